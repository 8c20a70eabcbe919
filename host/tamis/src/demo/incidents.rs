//! What goes wrong on the day, at the same hours whatever the seed: incidents that chance alone makes too seldom.

use super::company::{Basket, Customer, Dice, basket, customer};
use super::payments::{self, Payments};
use super::{Event, Scale, day_start, orders};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// 16:20: a customer orders and pays faster than people do.
const HURRY_MS: i64 = 16 * HOUR_MS + 20 * MINUTE_MS;

/// Puts incidents, which are ordered by time, into the events of the day.
pub fn among(day: impl Iterator<Item = Event>, incidents: Vec<Event>) -> impl Iterator<Item = Event> {
    let mut incidents = incidents.into_iter().peekable();
    day.flat_map(move |event| {
        let due = std::iter::from_fn(|| incidents.next_if(|incident| incident.timestamp <= event.timestamp));
        let mut events: Vec<_> = due.collect();
        events.push(event);
        events
    })
}

/// The payments of incidents.
pub fn of_payments(seed: u64, scale: Scale) -> Vec<Event> {
    let mut payments = Payments::new(seed, scale, "pay-incident");
    let mut attempt = |shopper: &Customer, time: i64| payments.attempt(shopper, day_start() + time, None);
    // 13:10: one customer after the other pays on the same device, from the same address.
    let shared = customer(seed, 1);
    let passing =
        |number: u64| Customer { device: shared.device.clone(), ip: shared.ip.clone(), ..customer(seed, number) };
    let passed = |number: u64| 13 * HOUR_MS + 10 * MINUTE_MS + 30_000 * number as i64;
    let mut events: Vec<_> = (1..=6).map(|number| attempt(&passing(number), passed(number))).collect();
    events.extend((0..6).map(|i| attempt(&shared, HURRY_MS + 15_000 * i)));
    events.sort_by_key(|event| event.timestamp);
    events
}

/// The order events of incidents.
pub fn of_orders(seed: u64, scale: Scale) -> Vec<Event> {
    let mut dice = Dice::new(seed, "incidents");
    let (orders, payments) = (scale.of(orders::PER_DAY), scale.of(payments::PER_DAY));
    let mut events = Vec::new();
    // 15:00: the stock was wrong, and large orders are cancelled.
    for i in 1..=15 {
        let large = Basket { quantity: 6, ..basket(seed, i) };
        let time = day_start() + 15 * HOUR_MS + 2_000 * i as i64;
        events.push(orders::event(&mut dice, orders + i, "cancelled", &customer(seed, i), &large, time));
    }
    for i in 16..=19 {
        let time = day_start() + HURRY_MS + 20_000 * (i as i64 - 16);
        events.push(orders::event(&mut dice, orders + i, "created", &customer(seed, 1), &basket(seed, i), time));
    }
    // Orders that are cancelled two hours before they are paid: the payment of that number comes at its time of the day.
    for number in (4..8).map(|eighth| eighth * payments / 8) {
        let time = day_start() + dice.time_of_day(number, payments) - 2 * HOUR_MS;
        events.push(orders::event(
            &mut dice,
            number,
            "cancelled",
            &customer(seed, number),
            &basket(seed, number),
            time,
        ));
    }
    events.sort_by_key(|event| event.timestamp);
    events
}
