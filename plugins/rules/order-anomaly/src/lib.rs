//! An order out of the ordinary: a high total, a large discount, or many items cancelled.

use tamis_sdk::prelude::*;

/// What is out of the ordinary.
#[derive(Config)]
pub struct Limits {
    /// The highest total of a created order that is still normal.
    #[config(default = Cents(300_000), min = 0)]
    total_max: Cents,
    /// The highest discount of a created order that is still normal, in percent of its subtotal.
    #[config(default = Percent::whole(30), min = 0)]
    discount_percent_max: Percent,
    /// The most items of a cancelled order that are still normal.
    #[config(default = 4, min = 0)]
    item_count_max: i64,
}

/// A step in the life of an order.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Order<'a> {
    event_type: &'a str,
    total: Option<Cents>,
    subtotal: Option<Cents>,
    discount: Option<Cents>,
    item_count: Option<i64>,
}

/// Which of the criteria hold; null is nothing out of the ordinary.
#[rule(
    criteria = ["high_total", "high_discount", "cancelled_many_items"],
    severity(1 = "warning", 2 = "high"),
    route = "alerts_orders",
    title = "Order out of the ordinary",
    owner = "orders"
)]
pub fn order_anomaly(config: &Limits, order: &Order) -> [bool; 3] {
    let created = order.event_type == "created";
    let discount = order.discount.zip(order.subtotal);
    [
        created && order.total.is_some_and(|total| total > config.total_max),
        created && discount.is_some_and(|(discount, of)| config.discount_percent_max.is_exceeded(discount.0, of.0)),
        order.event_type == "cancelled" && order.item_count.is_some_and(|items| items > config.item_count_max),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: Order = Order {
        event_type: "created",
        total: Some(Cents(300_000)),
        subtotal: Some(Cents(100)),
        discount: Some(Cents(30)),
        item_count: Some(5),
    };

    fn check(order: Order, expected: [bool; 3]) {
        assert_eq!(order_anomaly(&Limits::default(), &order), expected);
    }

    #[test]
    fn each_criterion_by_itself() {
        check(CREATED, [false; 3]);
        check(Order { total: Some(Cents(300_001)), ..CREATED }, [true, false, false]);
        check(Order { discount: Some(Cents(31)), ..CREATED }, [false, true, false]);
        check(Order { total: Some(Cents(300_001)), discount: Some(Cents(31)), ..CREATED }, [true, true, false]);
        check(Order { event_type: "cancelled", item_count: Some(4), ..CREATED }, [false; 3]);
        check(Order { event_type: "cancelled", item_count: Some(5), ..CREATED }, [false, false, true]);
    }

    #[test]
    fn a_criterion_is_about_its_own_event_type() {
        let odd = Order { total: Some(Cents(300_001)), discount: Some(Cents(31)), ..CREATED };
        check(Order { event_type: "cancelled", ..odd }, [false, false, true]);
        for event_type in ["shipped", "delivered"] {
            check(Order { event_type, ..odd }, [false; 3]);
        }
    }

    #[test]
    fn a_discount_on_nothing_is_no_share() {
        for subtotal in [None, Some(Cents(0)), Some(Cents(-100))] {
            check(Order { subtotal, discount: Some(Cents(31)), ..CREATED }, [false; 3]);
        }
    }

    #[test]
    fn null_is_nothing_out_of_the_ordinary() {
        for event_type in ["created", "cancelled"] {
            check(Order { event_type, total: None, subtotal: None, discount: None, item_count: None }, [false; 3]);
        }
    }
}
