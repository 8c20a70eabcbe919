//! The orders of a country, by the minute and by five minutes: what became of them, how much they are worth, how they are delivered.

use tamis_sdk::prelude::*;

/// A step in the life of an order.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Order<'a> {
    delivery_country: Option<&'a str>,
    event_type: &'a str,
    total: Option<Cents>,
    item_count: Option<i64>,
    delivery_method: Option<&'a str>,
}

/// What is kept of the orders of a window. Totals, items and delivery methods are those of the created ones.
#[derive(Default, State)]
pub struct Tally {
    volume: Total,
    totals: i64,
    items: i64,
    item_counts: i64,
    types: Counts,
    methods: Counts,
}

impl Fold<Order<'_>> for Tally {
    fn add(&mut self, order: &Order) {
        self.types.add(order.event_type);
        if order.event_type != "created" {
            return;
        }
        self.volume += order.total;
        self.totals += i64::from(order.total.is_some());
        self.items += order.item_count.unwrap_or(0);
        self.item_counts += i64::from(order.item_count.is_some());
        order.delivery_method.iter().for_each(|method| self.methods.add(method));
    }
}

/// What a row says of a window.
#[derive(Debug, PartialEq, Output)]
pub struct Orders {
    /// Null when it has more than 18 digits.
    volume: Option<Cents>,
    events_per_type: Counts,
    mean_basket: Option<f64>,
    mean_item_count: Option<f64>,
    count_per_delivery_method: Counts,
    cancellation_rate: f64,
}

/// Sums up a window. The cancellation rate is the share of all its events, from 0 to 1; nulls are left out of sums and means.
#[aggregate(
    dataset = "orders_by_country",
    key = "delivery_country",
    windows("1m" = 60_000, "5m" = 300_000),
    title = "Orders of a country by the minute and by five minutes",
    owner = "orders"
)]
pub fn orders_by_country(orders: &Tumbling<Order, Tally>) -> Orders {
    let events: u64 = orders.types.iter().map(|(_, count)| count).sum();
    Orders {
        volume: orders.volume.cents(),
        events_per_type: orders.types.clone(),
        mean_basket: orders.volume.mean(orders.totals),
        mean_item_count: (orders.item_counts > 0).then(|| orders.items as f64 / orders.item_counts as f64),
        count_per_delivery_method: orders.methods.clone(),
        cancellation_rate: orders.types.of("cancelled") as f64 / events as f64,
    }
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    const CREATED: Order = Order {
        delivery_country: Some("FR"),
        event_type: "created",
        total: Some(Cents(1_000)),
        item_count: Some(2),
        delivery_method: Some("express"),
    };

    fn check(orders: &[Order], expected: Orders) {
        let mut tally = Tally::default();
        orders.iter().for_each(|order| tally.add(order));
        assert_eq!(testing::tumbling(tally, 60_000, orders_by_country), expected);
    }

    #[test]
    fn amounts_and_deliveries_are_those_of_created_orders() {
        check(
            &[
                CREATED,
                Order { total: Some(Cents(1_001)), item_count: Some(5), delivery_method: Some("pickup"), ..CREATED },
                Order { event_type: "cancelled", total: Some(Cents(77)), ..CREATED },
                Order { event_type: "shipped", ..CREATED },
            ],
            Orders {
                volume: Some(Cents(2_001)),
                events_per_type: ["created", "created", "cancelled", "shipped"].into_iter().collect(),
                mean_basket: Some(10.005),
                mean_item_count: Some(3.5),
                count_per_delivery_method: ["express", "pickup"].into_iter().collect(),
                cancellation_rate: 0.25,
            },
        );
    }

    #[test]
    fn nulls_are_left_out_of_sums_and_means() {
        check(
            &[CREATED, Order { total: None, item_count: None, delivery_method: None, ..CREATED }],
            Orders {
                volume: Some(Cents(1_000)),
                events_per_type: ["created"; 2].into_iter().collect(),
                mean_basket: Some(10.0),
                mean_item_count: Some(2.0),
                count_per_delivery_method: ["express"].into_iter().collect(),
                cancellation_rate: 0.0,
            },
        );
    }

    #[test]
    fn without_a_created_order_there_are_no_means() {
        check(
            &[Order { event_type: "cancelled", ..CREATED }],
            Orders {
                volume: Some(Cents(0)),
                events_per_type: ["cancelled"].into_iter().collect(),
                mean_basket: None,
                mean_item_count: None,
                count_per_delivery_method: Counts::default(),
                cancellation_rate: 1.0,
            },
        );
    }

    #[test]
    fn a_row_has_the_columns_of_the_contract_in_their_order() {
        let run = testing::Run::<Plugin>::new("{}");
        let output = &run.manifest()["output"];
        let columns = output["columns"].as_array().unwrap().iter();
        let names: Vec<_> = columns.map(|column| column["name"].as_str().unwrap()).collect();
        let expected = "name window window_start window_end key volume events_per_type mean_basket mean_item_count \
            count_per_delivery_method cancellation_rate";
        assert_eq!((&output["dataset"], &names.join(" ")[..]), (&"orders_by_country".into(), expected));
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let tally = "volume:total,totals:i64,items:i64,item_counts:i64,types:counts,methods:counts";
        let shape = format!("tumbling[60000,300000]({tally})");
        assert_eq!((&run.manifest()["state_version"], &run.manifest()["state_shape"]), (&1.into(), &shape.into()));
    }
}
