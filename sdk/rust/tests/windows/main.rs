//! Windows and joins against what the contract says, computed the slow way: whatever the order of arrival within the
//! lateness, and however the events are cut into batches.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tamis_sdk::rule::RulePlugin;
use tamis_sdk::testing::{Fired, Record, Run};

mod aggregates;
mod crossed;
mod joins;
mod migrations;
mod rules;
mod sliding;
mod states;
mod tumbling;

/// An event before it becomes a record: key, time, value.
#[derive(Clone, Debug)]
struct Event {
    id: usize,
    key: Option<u8>,
    time: i64,
    value: Option<u8>,
}

impl Event {
    fn record(&self) -> Record {
        let record = Record::new(self.time, self.id).of(Some("o1"), None);
        record
            .with("session", self.key.map(|key| format!("s{key}")))
            .with("card", self.value.map(|value| format!("c{value}")))
    }
}

/// Events in an order of arrival in which none is late: each is delayed by less than the lateness of 10 s.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (
        prop::option::weighted(0.9, 0..3u8),
        0..40_000i64,
        prop::option::weighted(0.8, 0..4u8),
        0..10_000i64,
        any::<bool>(),
    );
    prop::collection::vec(event, 0..60).prop_map(|mut events| {
        events.sort_by_key(|(_, time, _, delay, _)| time + delay);
        let event = |(id, (key, time, value, _, round))| {
            // Half of the times fall on the same few milliseconds.
            let time = if round { time / 500 * 500 } else { time };
            Event { id, key, time, value }
        };
        let mut events: Vec<_> = events.into_iter().enumerate().map(event).collect();
        let mut newest = i64::MIN;
        events.retain(|event| {
            newest = newest.max(event.time);
            event.time >= newest - 10_000
        });
        events
    })
}

fn records(events: &[Event]) -> Vec<Record> {
    events.iter().map(Event::record).collect()
}

fn ids(fired: &[Fired]) -> BTreeSet<String> {
    fired.iter().map(|fired| fired.id.clone()).collect()
}

/// Runs a plugin over records; every finding once.
fn run<P: RulePlugin>(config: &str, records: &[Record], batch_size: usize) -> Vec<Fired> {
    let mut run = Run::<P>::new(config);
    let fired = run.all(records, batch_size);
    assert_eq!(ids(&fired).len(), fired.len(), "every event and window fires at most once: {fired:?}");
    assert_eq!(run.states().count(), 0, "nothing is remembered behind the end");
    fired
}

/// Values of a context column.
fn context(fired: &[Fired], name: &str) -> BTreeMap<String, String> {
    fired.iter().map(|fired| (fired.id.clone(), format!("{:?}", fired.context[name]))).collect()
}
