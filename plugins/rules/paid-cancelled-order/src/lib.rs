//! A payment of an order after its cancellation.

use tamis_sdk::prelude::*;

/// A payment that came through.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    order_id: Option<&'a str>,
    #[row(only = "succeeded")]
    status: &'a str,
}

/// The cancellation of an order.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Cancelled<'a> {
    order_id: &'a str,
    #[row(only = "cancelled")]
    event_type: &'a str,
}

/// Whether a payment that came through is later than a cancellation of its order, whichever of its cancellations that is.
#[rule(
    key = "order_id",
    pairing = "any",
    severity = "critical",
    route = "alerts_fraud_crossed",
    title = "Payment of an order that was cancelled",
    owner = "fraud"
)]
pub fn paid_cancelled_order(pair: &Joined<Payment, Cancelled>) -> bool {
    pair.left_time() > pair.right_time()
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn only_a_later_payment_fires() {
        for (paid, cancelled, expected) in [(1, 0, true), (0, 0, false), (0, 1, false)] {
            let payment = Payment { order_id: Some("o1"), status: "succeeded" };
            let order = Cancelled { order_id: "o1", event_type: "cancelled" };
            let holds =
                testing::joined::<Payment, Cancelled, _>((paid, payment), (cancelled, order), paid_cancelled_order);
            assert_eq!(holds, expected, "paid at {paid}, cancelled at {cancelled}");
        }
    }

    #[test]
    fn any_cancellation_counts_and_a_payment_fires_once() {
        let payment = |time: i64, status: &str| {
            testing::Record::new(time, format!("p{time}")).with("order_id", "o1").with("status", status)
        };
        let order = |time: i64, event_type: &str| {
            testing::Record::new(time, format!("e{time}"))
                .of_input(1)
                .with("order_id", "o1")
                .with("event_type", event_type)
        };
        let mut run = testing::Run::<Plugin>::new("{}");
        let records = [
            order(0, "created"),
            order(9, "cancelled"),
            payment(5, "succeeded"),
            payment(6, "failed"),
            order(4, "cancelled"),
            order(3, "cancelled"),
        ];
        let fired = run.all(&records, 2);
        assert_eq!(fired.iter().map(|fired| &fired.id[..]).collect::<Vec<_>>(), ["p5"]);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let shape = "joined(any;payments(order_id:text?,status:text);orders(order_id:text,event_type:text))";
        assert_eq!((&run.manifest()["state_version"], &run.manifest()["state_shape"]), (&1.into(), &shape.into()));
    }
}
