//! `Crossed`.

use super::rules::crossed;
use super::*;

const LENGTH: i64 = 5_000;

/// An event with a value is an order, one without a payment.
fn record(event: &Event) -> Record {
    match event.value {
        None => event.record(),
        Some(value) => event.record().of_input(1).with("event_type", if value == 3 { "shipped" } else { "created" }),
    }
}

/// The inputs and ids of events whose window holds more than two payments and more than one created order.
fn expected(events: &[Event]) -> BTreeSet<(u8, String)> {
    let counted: Vec<_> = events.iter().filter(|event| event.key.is_some() && event.value != Some(3)).collect();
    let fires = |x: &&&Event| {
        let in_window = |e: &&Event| e.key == x.key && x.time - LENGTH < e.time && e.time <= x.time;
        let (orders, payments): (Vec<&Event>, Vec<&Event>) =
            counted.iter().copied().filter(in_window).partition(|event| event.value.is_some());
        payments.len() > 2 && orders.len() > 1
    };
    counted.iter().filter(fires).map(|event| (u8::from(event.value.is_some()), event.id.to_string())).collect()
}

fn inputs(fired: &[Fired]) -> BTreeSet<(u8, String)> {
    fired.iter().map(|fired| (fired.input, fired.id.clone())).collect()
}

proptest! {
    #[test]
    fn counts_both_topics_as_the_contract_does(events in events(), batch_size in 1..20usize) {
        let records: Vec<_> = events.iter().map(record).collect();
        let fired = run::<crossed::Plugin>("{}", &records, batch_size);
        prop_assert_eq!(inputs(&fired), expected(&events));
    }
}

#[test]
fn the_last_of_either_topic_fires_and_names_what_was_counted() {
    let payment = |time: i64| Record::new(time, format!("p{time}")).with("session", "s");
    let order = |time: i64| Record::new(time, format!("e{time}")).of_input(1).with("session", "s");
    let created = |time: i64| order(time).with("event_type", "created");
    let check = |records: &[Record], expected: &[(u8, &str)]| {
        for batch_size in 1..=records.len() {
            let fired = run::<crossed::Plugin>("{}", records, batch_size);
            assert_eq!(
                inputs(&fired),
                expected.iter().map(|(input, id)| (*input, (*id).to_owned())).collect(),
                "{records:?} in batches of {batch_size}"
            );
        }
    };
    check(&[payment(0), payment(1), created(2), created(3), payment(4)], &[(0, "p4")]);
    check(&[payment(0), payment(1), payment(2), created(3), created(4)], &[(1, "e4")]);
    check(&[payment(0), payment(1), payment(2), created(3), order(4).with("event_type", "shipped")], &[]);
    check(&[payment(0), payment(1), created(3), created(4_999), payment(4_999)], &[(0, "p4999"), (1, "e4999")]);
    check(&[payment(0), payment(1), created(3), created(5_000), payment(5_000)], &[]);
    // What was there before fires when an earlier event arrives after it.
    check(&[payment(1), payment(2), created(3), created(4), payment(0)], &[(1, "e4")]);
    let fired = run::<crossed::Plugin>("{}", &[payment(1), payment(2), created(3), created(4), payment(0)], 1);
    let names: Vec<_> = fired[0].context.keys().map(String::as_str).collect();
    assert_eq!(names, ["orders", "payments", "window_end", "window_start"]);
}
