//! A day of orders: created, shipped, delivered, cancelled.

use super::company::{Basket, Customer, DAY_MS, Dice, basket, customer};
use super::{Event, Scale, cents, day_start};

pub(super) const PER_DAY: u64 = 10_000;

/// A whole day of order events, ordered as they arrive.
pub fn day(seed: u64, scale: Scale) -> impl Iterator<Item = Event> {
    let mut dice = Dice::new(seed, "orders");
    let count = scale.of(PER_DAY);
    (0..count).map(move |i| {
        let time = day_start() + dice.time_of_day(i, count).min(DAY_MS - 1);
        let number = i + 1;
        let shopper = customer(seed, dice.between(1, scale.of(5_000) as i64) as u64);
        let kind = match dice.between(0, 99) {
            0..=69 => "created",
            70..=84 => "shipped",
            85..=95 => "delivered",
            _ => "cancelled",
        };
        event(&mut dice, number, kind, &shopper, &basket(seed, number), time)
    })
}

/// A step of the order `number`, which is the `number`-th event.
pub(super) fn event(dice: &mut Dice, number: u64, kind: &str, shopper: &Customer, basket: &Basket, time: i64) -> Event {
    let value = format!(
        concat!(
            r#"{{"event_id":"evt-{:08}","event_type":"{}","order_id":"ord-{:08}","customer_id":"{}","items":[{{"product_id":"prd-{:04}","#,
            r#""category":"{}","quantity":{},"unit_price":{}}}],"item_count":{},"subtotal":{},"discount":{},"shipping_fee":{},"total":{},"#,
            r#""currency":"EUR","coupon_code":{},"delivery_method":"{}","delivery_country":"{}","payment_method":"card","channel":"{}","created_at":"{}"}}"#
        ),
        number,
        kind,
        number,
        shopper.id,
        dice.between(1, 400),
        dice.pick(&["chaussures", "maison", "jardin", "high-tech"]),
        basket.quantity,
        cents(basket.unit),
        basket.quantity,
        cents(basket.subtotal),
        cents(basket.discount),
        cents(basket.shipping),
        cents(basket.total()),
        if basket.discount > 0 { "\"PRINTEMPS\"" } else { "null" },
        dice.pick(&["standard", "standard", "express", "pickup"]),
        shopper.country,
        dice.pick(&["seo", "google-ads", "email", "direct"]),
        tamis_model::time::rfc3339_millis(time),
    );
    Event { timestamp: time, key: shopper.id.clone(), value }
}
