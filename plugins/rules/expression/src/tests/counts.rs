//! Counts over sliding windows: which events fire, when, and what is kept of them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tamis_sdk::bindings::types::{Groups, Keyed, Severity, Strings, Value};
use tamis_sdk::rule::RulePlugin;
use tamis_sdk::testing::{Fired, Record, Run};

use super::keyed;
use crate::Plugin;
use crate::window::STATE_VERSION;

/// Two counts of events by customer, of windows of 2 and 5 seconds.
fn config(condition: &str) -> String {
    json!({
        "topic": "payments", "condition": condition, "key": "customer_id", "severity": "critical",
        "counts": {
            "failed": {"where": "status == 'failed'", "window_ms": 2000},
            "paid": {"where": "amount > 10", "window_ms": 5000},
        },
    })
    .to_string()
}

fn run(condition: &str) -> Run<Plugin> {
    Run::new(&config(condition))
}

fn payment(time: i64, status: &str, cents: i64) -> Record {
    let payment = Record::new(time, format!("p{time}")).with("customer_id", "c1").with("status", status);
    payment.with("amount", cents).of(Some("o1"), Some("c1"))
}

fn strings(text: &[u8]) -> Strings {
    Strings { offsets: vec![0, text.len() as u32], data: text.to_vec() }
}

fn ids(fired: &[Fired]) -> Vec<&str> {
    fired.iter().map(|fired| fired.id.as_str()).collect()
}

/// An event as the model sees it.
#[derive(Clone, Debug)]
struct Event {
    time: i64,
    /// How much later than others of its time it arrives.
    delay: i64,
    customer: u8,
    failed: bool,
    cents: i64,
    risk: Option<i64>,
}

impl Event {
    fn record(&self, index: usize) -> Record {
        let record = Record::new(self.time, index).with("customer_id", format!("c{}", self.customer));
        let record = record.with("status", if self.failed { "failed" } else { "succeeded" }).with("amount", self.cents);
        record.with("risk_score", self.risk.map_or(Json::Null, Json::from))
    }
}

/// An event with how many failed and how many paid ones its windows hold.
type Judge = fn(&Event, i64, i64) -> bool;

/// Conditions, and the same in Rust.
const CONDITIONS: [(&str, Judge); 15] = [
    ("failed > 2", |_, failed, _| failed > 2),
    ("failed > 1 && paid >= 2", |_, failed, paid| failed > 1 && paid >= 2),
    ("amount > 20 && (failed > 1 || paid > 3)", |e, failed, paid| e.cents > 2000 && (failed > 1 || paid > 3)),
    ("status == 'failed' && 2 * failed + paid > 6", |e, failed, paid| e.failed && 2 * failed + paid > 6),
    ("failed > risk_score", |e, failed, _| e.risk.is_some_and(|risk| failed > risk)),
    // A score of 0 leaves it to the counts, which may never decide.
    ("failed > 2 || 8 / risk_score > 3", |e, failed, _| {
        failed > 2 || e.risk.is_some_and(|risk| risk != 0 && 8 / risk > 3)
    }),
    ("8 / risk_score > 3 && failed > 1", |e, failed, _| {
        failed > 1 && e.risk.is_some_and(|risk| risk != 0 && 8 / risk > 3)
    }),
    // These can stop holding when counts grow.
    ("failed != 1 && (8 / risk_score > 3 || paid > 2)", |e, failed, paid| {
        failed != 1 && (paid > 2 || e.risk.is_some_and(|risk| risk != 0 && 8 / risk > 3))
    }),
    ("failed == 2", |_, failed, _| failed == 2),
    ("paid > 1 && failed == 0", |_, failed, paid| paid > 1 && failed == 0),
    ("100 * failed > 50 * paid && paid > 0", |_, failed, paid| 100 * failed > 50 * paid && paid > 0),
    ("!(failed > 1) && amount < 30.5", |e, failed, _| failed <= 1 && e.cents < 3050),
    ("(failed > 1 ? paid : failed) in [1, 3]", |_, failed, paid| {
        [1, 3].contains(if failed > 1 { &paid } else { &failed })
    }),
    ("(failed > 0) == (paid > 1)", |_, failed, paid| (failed > 0) == (paid > 1)),
    ("amount * failed > 40.0 - paid * 2.5", |e, failed, paid| e.cents * failed * 10 > 40_000 - 2500 * paid),
];

/// The events that fire, by the definition: each judged with everything that is in its windows.
fn model(events: &[Event], judge: Judge) -> BTreeSet<String> {
    let fires = |event: &&(usize, &Event)| {
        let (_, event) = **event;
        let within = |length: i64| {
            let of_key = events.iter().filter(move |other| other.customer == event.customer);
            of_key.filter(move |other| event.time - length < other.time && other.time <= event.time)
        };
        let failed = within(2000).filter(|other| other.failed).count() as i64;
        let paid = within(5000).filter(|other| other.cents > 1000).count() as i64;
        judge(event, failed, paid)
    };
    let events: Vec<(usize, &Event)> = events.iter().enumerate().collect();
    events.iter().filter(fires).map(|(index, _)| index.to_string()).collect()
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let time = prop_oneof![0..20_000i64, (0..20i64).prop_map(|second| second * 1000)];
    let event = (time, 0..=10_000i64, 0..2u8, any::<bool>(), 0..5000i64, proptest::option::of(0..4i64));
    let event = event.prop_map(|(time, delay, customer, failed, cents, risk)| Event {
        time,
        delay,
        customer,
        failed,
        cents,
        risk,
    });
    proptest::collection::vec(event, 0..60)
}

proptest! {
    #[test]
    fn the_events_that_fire_do_not_depend_on_the_order_of_arrival(events in events(), batch in 1..20usize, in_order: bool) {
        let mut arrivals: Vec<(usize, &Event)> = events.iter().enumerate().collect();
        // Nobody is more than 10 s late.
        arrivals.sort_by_key(|(_, event)| if in_order { event.time } else { event.time + event.delay });
        let records: Vec<Record> = arrivals.iter().map(|(index, event)| event.record(*index)).collect();
        for (condition, judge) in CONDITIONS {
            let fired = run(condition).all(&records, batch);
            let found: BTreeSet<String> = fired.iter().map(|fired| fired.id.clone()).collect();
            prop_assert_eq!(found.len(), fired.len(), "{} fired twice", condition);
            prop_assert_eq!(found, model(&events, judge), "{}", condition);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, marked: Vec<u8>) {
        // The second one waits, and reads what another one kept.
        for condition in ["failed > 1 && amount > 1", "failed == 1 && amount > 1"] {
            let mut plugin = Plugin::configure(&config(condition)).unwrap();
            // An event that can fire, with ids of no bytes and as much kept as there is.
            let event = [&[STATE_VERSION, 0, 0, 2, 1, 0, 0, marked.len() as u8 & 0x7f][..], &marked[..marked.len() & 0x7f]].concat();
            for state in [&bytes, &event] {
                let groups = Groups { members: Vec::new(), keys: strings(b"c1"), states: strings(state) };
                drop(plugin.advance(&Keyed { groups: Some(groups), ..keyed(&[], &[]) }));
            }
        }
    }
}

#[test]
fn an_alert_tells_what_was_compared() {
    let mut run = run("amount > 20 && failed > 1");
    assert_eq!(ids(&run.batch(&[payment(1000, "failed", 500), payment(1500, "failed", 2500)])), ["p1500"]);
    let fired = run.batch(&[payment(1200, "failed", 3000)]);
    // The newcomer is not older than itself, and the one that has fired does not fire again.
    assert_eq!(ids(&fired), ["p1200"]);
    assert_eq!((fired[0].severity, &fired[0].criteria[..]), (Severity::Critical, &["condition".to_owned()][..]));
    assert_eq!((fired[0].order_id.as_deref(), fired[0].customer_id.as_deref()), (Some("o1"), Some("c1")));
    let context: Vec<_> = fired[0].context.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(
        context,
        [
            ("amount", Value::Decimal(3000)),
            ("failed", Value::Int64(2)),
            ("failed_start", Value::Timestamp(-800)),
            ("paid", Value::Int64(1)),
            ("paid_start", Value::Timestamp(-3800)),
        ]
    );
}

#[test]
fn an_earlier_event_fires_when_one_arrives_in_its_window() {
    let mut run = run("has(error_code) && failed > 1");
    let earlier = payment(5000, "failed", 1).with("error_code", "declined");
    assert!(run.batch(&[earlier]).is_empty());
    let fired = run.batch(&[payment(4000, "failed", 1)]);
    assert_eq!(ids(&fired), ["p5000"]);
    assert_eq!(fired[0].context["error_code"], Value::Text("declined".to_owned()));
    assert_eq!(fired[0].order_id.as_deref(), Some("o1"));
}

#[test]
fn a_condition_that_may_stop_holding_waits_for_the_watermark() {
    let mut run = run("failed == 1");
    assert!(run.batch(&[payment(1000, "failed", 1)]).is_empty());
    // Up to 11 s an event of the first second could still come.
    assert!(run.batch(&[payment(11_000, "succeeded", 1)]).is_empty());
    assert_eq!(ids(&run.batch(&[payment(11_001, "succeeded", 1)])), ["p1000"]);
    assert!(run.finish().is_empty());
    assert!(run.states().next().is_none());
}

#[test]
fn a_condition_that_goes_with_its_counts_fires_at_once() {
    let mut run = run("failed >= 1");
    assert_eq!(ids(&run.batch(&[payment(1000, "failed", 1)])), ["p1000"]);
}

/// How many bytes the state of the one customer has.
fn state_bytes(run: &Run<Plugin>) -> usize {
    run.states().map(|(_, state)| state.len()).sum()
}

#[test]
fn a_state_holds_what_is_needed_and_no_more() {
    let mut run = run("amount > 20 && failed > 2");
    // Neither counted nor able to fire.
    run.batch(&[payment(0, "succeeded", 500)]);
    assert_eq!(state_bytes(&run), 0);
    // Counted: version, first time, and of the event its time, marks, and one byte with its length.
    run.batch(&[payment(100, "failed", 500)]);
    assert_eq!(state_bytes(&run), 1 + 2 + 1 + 1 + 2);
    // It may fire: with its ids and columns.
    run.batch(&[payment(200, "failed", 2500)]);
    let with_ids = state_bytes(&run);
    assert!(with_ids > 20, "{with_ids}");
    // When it has, only its counts are left.
    assert_eq!(ids(&run.batch(&[payment(150, "failed", 500)])), ["p200"]);
    assert_eq!(state_bytes(&run), 3 + 3 * 4);
    // When the watermark has passed the windows, nothing is.
    run.advance(5200);
    assert_eq!(run.states().count(), 0);
}

#[test]
fn each_count_forgets_by_its_own_window() {
    let mut run = run("failed + paid > 100");
    run.batch(&[payment(0, "failed", 1), payment(1, "failed", 5000)]);
    run.advance(10_000);
    run.batch(&[payment(12_500, "succeeded", 1)]);
    assert!(run.finish().is_empty());
    assert_eq!(run.states().count(), 0);
}

#[test]
fn what_was_kept_under_another_condition_counts_and_is_not_judged_again() {
    let mut run = run("amount > 1 && failed > 2");
    run.batch(&[payment(1000, "failed", 500), payment(1500, "failed", 500)]);
    run.configure(&config("amount > 2 && failed > 1"));
    // Both fire when judged by the new condition, but only the newcomer is.
    assert_eq!(ids(&run.batch(&[payment(1400, "failed", 500)])), ["p1400"]);
    // A changed limit of a count leaves what is known of an event as it is.
    run.configure(&config("amount > 2 && failed > 3"));
    run.batch(&[payment(3400, "failed", 500)]);
    run.configure(&config("amount > 2 && failed > 1"));
    assert_eq!(ids(&run.batch(&[payment(3300, "failed", 1)])), ["p3400"]);
}

#[test]
fn late_events_are_left_out() {
    let mut run = run("failed > 1");
    let late = [payment(20_000, "failed", 1), payment(9_999, "failed", 1), payment(10_000, "failed", 1)];
    assert!(run.batch(&late).is_empty());
    assert_eq!(ids(&run.batch(&[payment(18_500, "failed", 1)])), ["p20000"]);
}
