//! What happens to orders, from the archive of their topic: one row an event.

use tamis_sdk::prelude::*;
use tamis_sdk::read::{Unreadable, json};

const EVENT_TYPES: [&str; 4] = ["created", "shipped", "delivered", "cancelled"];
const DELIVERY_METHODS: [&str; 3] = ["standard", "express", "pickup"];

/// An event of the topic.
#[derive(Clone, Copy, Default, Row)]
#[row(source = "orders", format = "records")]
pub struct Event<'a> {
    event_id: Option<&'a str>,
    event_type: Option<&'a str>,
    order_id: Option<&'a str>,
    #[row(personal)]
    customer_id: Option<&'a str>,
    items: Option<&'a str>,
    item_count: Option<&'a str>,
    subtotal: Option<&'a str>,
    discount: Option<&'a str>,
    shipping_fee: Option<&'a str>,
    total: Option<&'a str>,
    currency: Option<&'a str>,
    coupon_code: Option<&'a str>,
    delivery_method: Option<&'a str>,
    delivery_country: Option<&'a str>,
    payment_method: Option<&'a str>,
    channel: Option<&'a str>,
    created_at: Option<&'a str>,
}

/// An event of an order.
#[derive(Debug, PartialEq, Output)]
#[output(dataset = "silver.orders", partition_by = "event_date", key = "event_id")]
pub struct OrderEvent<'a> {
    event_id: &'a str,
    event_type: Cell<&'static str>,
    order_id: Cell<&'a str>,
    client_id: Cell<Pseudo<'a>>,
    items: Cell<List<Item>>,
    item_count: Cell<i32>,
    subtotal: Cell<Cents>,
    discount: Cell<Cents>,
    shipping_fee: Cell<Cents>,
    total: Cell<Cents>,
    currency: Cell<&'a str>,
    coupon_code: Cell<&'a str>,
    delivery_method: Cell<&'static str>,
    delivery_country: Cell<&'a str>,
    payment_method: Cell<&'a str>,
    channel: Cell<&'a str>,
    created_at: Cell<Timestamp>,
    event_date: Option<Date>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    product_id: Cell<String>,
    category: Cell<String>,
    quantity: Cell<i32>,
    unit_price: Cell<Cents>,
}

impl Struct for Item {
    const FIELDS: &'static [(&'static str, ColumnType)] = &[
        ("product_id", ColumnType::Text),
        ("category", ColumnType::Text),
        ("quantity", ColumnType::Int32),
        ("unit_price", ColumnType::Decimal),
    ];

    fn write(self, fields: &mut Fields<'_>) {
        fields.text(self.product_id);
        fields.text(self.category);
        fields.int32(self.quantity);
        fields.amount(self.unit_price);
    }
}

/// Makes a row of an event; one without event_id goes to quarantine.
#[transform(title = "Events of orders", owner = "data")]
pub fn orders<'a>(event: &Event<'a>) -> Outcome<OrderEvent<'a>> {
    let Ok(Some(event_id)) = read::plain_text(event.event_id) else { return Outcome::Reject("no event_id") };
    let created_at = read::timestamp(event.created_at);
    Outcome::Keep(OrderEvent {
        event_id,
        event_type: read::one_of(event.event_type, &EVENT_TYPES),
        order_id: read::plain_text(event.order_id),
        client_id: read::plain_text(event.customer_id).map(|customer| customer.map(Pseudo)),
        items: items(event.items),
        item_count: read::int32(event.item_count),
        subtotal: read::amount(event.subtotal),
        discount: read::amount(event.discount),
        shipping_fee: read::amount(event.shipping_fee),
        total: read::amount(event.total),
        currency: read::plain_text(event.currency),
        coupon_code: read::plain_text(event.coupon_code),
        delivery_method: read::one_of(event.delivery_method, &DELIVERY_METHODS),
        delivery_country: read::plain_text(event.delivery_country),
        payment_method: read::plain_text(event.payment_method),
        channel: read::plain_text(event.channel),
        created_at,
        event_date: created_at.ok().flatten().map(Timestamp::date),
    })
}

/// The lines of an order; what is no array cannot be read, and an element that is no object is null.
fn items(cell: Option<&str>) -> Cell<List<Item>> {
    let Some(array) = read::text(cell) else { return Ok(None) };
    let elements = json::elements(array).ok_or(Unreadable)?;
    Ok(Some(List(elements.into_iter().map(|element| item(element).ok_or(Unreadable)).collect())))
}

fn item(object: &str) -> Option<Item> {
    let text = |name| {
        let cell = json::member(object, name)?;
        Some(read::plain_text(cell.as_deref()).map(|text| text.map(str::to_owned)))
    };
    Some(Item {
        product_id: text("product_id")?,
        category: text("category")?,
        quantity: read::int32(json::member(object, "quantity")?.as_deref()),
        unit_price: read::amount(json::member(object, "unit_price")?.as_deref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_its_key_is_rejected() {
        assert_eq!(orders(&Event::default()), Outcome::Reject("no event_id"));
    }

    #[test]
    fn items_are_read_cell_by_cell() {
        let item = |quantity, unit_price| Item {
            product_id: Ok(Some("p1".to_owned())),
            category: Ok(None),
            quantity,
            unit_price,
        };
        let check = |text: &str, expected: Cell<List<Item>>| assert_eq!(items(Some(text)), expected, "{text}");
        check("NA", Ok(None));
        check("[]", Ok(Some(List(vec![]))));
        check("{}", Err(Unreadable));
        check(
            r#"[{"product_id":" p1 ","category":"N/A","quantity":2.0,"unit_price":1.005}, 7]"#,
            Ok(Some(List(vec![Ok(item(Ok(Some(2)), Ok(Some(Cents(101))))), Err(Unreadable)]))),
        );
        check(
            r#"[{"product_id":"p1","quantity":"two","unit_price":"1 234,56 €"}]"#,
            Ok(Some(List(vec![Ok(item(Err(Unreadable), Ok(Some(Cents(123_456)))))]))),
        );
    }
}
