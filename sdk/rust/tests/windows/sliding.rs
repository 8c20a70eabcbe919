//! `Sliding` and `Distinct`.

use super::rules::{counted, distinct, kept};
use super::*;

const LENGTH: i64 = 5_000;

/// The ids of events whose window satisfies a condition that more events can only make truer.
fn expected(events: &[Event], counts: impl Fn(&Event) -> bool, holds: impl Fn(&[&Event]) -> bool) -> BTreeSet<String> {
    let counted: Vec<_> = events.iter().filter(|event| event.key.is_some() && counts(event)).collect();
    let fires = |x: &&&Event| {
        let in_window = |e: &&&Event| e.key == x.key && x.time - LENGTH < e.time && e.time <= x.time;
        holds(&counted.iter().filter(in_window).copied().collect::<Vec<_>>())
    };
    counted.iter().filter(fires).map(|event| event.id.to_string()).collect()
}

proptest! {
    #[test]
    fn counts_as_the_contract_does(events in events(), batch_size in 1..20usize) {
        let fired = run::<counted::Plugin>("{}", &records(&events), batch_size);
        prop_assert_eq!(ids(&fired), expected(&events, |_| true, |window| window.len() > 2));
    }

    #[test]
    fn a_finding_does_not_depend_on_the_batches(events in events(), a in 1..20usize, b in 1..20usize) {
        let [a, b] = [a, b].map(|size| run::<counted::Plugin>("{}", &records(&events), size));
        prop_assert_eq!(context(&a, "count"), context(&b, "count"));
        prop_assert_eq!(context(&a, "window_start"), context(&b, "window_start"));
    }

    #[test]
    fn kept_rows_are_those_of_the_window(events in events(), batch_size in 1..20usize) {
        let fired = run::<kept::Plugin>("{}", &records(&events), batch_size);
        let many = |window: &[&Event]| window.iter().filter(|event| event.value == Some(1)).count() > 2;
        prop_assert_eq!(ids(&fired), expected(&events, |_| true, many));
    }

    #[test]
    fn distinct_values_as_the_contract_does(events in events(), batch_size in 1..20usize) {
        let fired = run::<distinct::Plugin>("{}", &records(&events), batch_size);
        let many = |window: &[&Event]| window.iter().map(|event| event.value).collect::<BTreeSet<_>>().len() > 2;
        prop_assert_eq!(ids(&fired), expected(&events, |event| event.value.is_some(), many));
    }

    #[test]
    fn windows_of_many_events_are_counted_as_those_of_few(values in prop::collection::vec(0..30u8, 0..80)) {
        let event = |(id, value): (usize, &u8)| Event { id, key: Some(0), time: id as i64, value: Some(*value) };
        let events: Vec<_> = values.iter().enumerate().map(event).collect();
        let fired = run::<distinct::Plugin>(r#"{"count_max": 20}"#, &records(&events), 7);
        let many = |window: &[&Event]| window.iter().map(|event| event.value).collect::<BTreeSet<_>>().len() > 20;
        prop_assert_eq!(ids(&fired), expected(&events, |_| true, many));
    }
}

proptest! {
    /// Most arrive in order, some do not, and some have equal times.
    #[test]
    fn windows_of_many_events_out_of_order(
        arrivals in prop::collection::vec((0..30u8, prop_oneof![4 => Just(0), 1 => 0..3_000i64], 0..150i64), 0..200),
        batch_size in 1..90usize,
        count_max in 2..25u64,
    ) {
        let mut clock = 0;
        let event = |(id, (value, behind, step)): (usize, (u8, i64, i64))| {
            clock += if step < 50 { 0 } else { step };
            Event { id, key: Some(0), time: clock - behind, value: Some(value) }
        };
        let events: Vec<_> = arrivals.into_iter().enumerate().map(event).collect();
        let fired = run::<distinct::Plugin>(&format!(r#"{{"count_max": {count_max}}}"#), &records(&events), batch_size);
        let many = |window: &[&Event]| {
            window.iter().map(|event| event.value).collect::<BTreeSet<_>>().len() as u64 > count_max
        };
        prop_assert_eq!(ids(&fired), expected(&events, |_| true, many));
        let context = context(&fired, "distinct");
        let single = run::<distinct::Plugin>(&format!(r#"{{"count_max": {count_max}}}"#), &records(&events), 1);
        prop_assert_eq!(context, self::context(&single, "distinct"));
    }
}

fn times(times: &[i64]) -> Vec<Record> {
    let event = |(id, time): (usize, &i64)| Event { id, key: Some(0), time: *time, value: None };
    records(&times.iter().enumerate().map(event).collect::<Vec<_>>())
}

/// Ids are positions in `arrivals`.
fn check(arrivals: &[i64], expected: &[usize]) {
    for batch_size in 1..=arrivals.len() {
        let fired = run::<counted::Plugin>("{}", &times(arrivals), batch_size);
        assert_eq!(
            ids(&fired),
            expected.iter().map(ToString::to_string).collect(),
            "{arrivals:?} in batches of {batch_size}"
        );
    }
}

#[test]
fn the_window_s_edges() {
    check(&[0, 1, 4_999], &[2]);
    check(&[0, 1, 5_000], &[]);
    check(&[0, 0, 0], &[0, 1, 2]);
    check(&[0, 2, 1], &[1]);
}

#[test]
fn an_event_exactly_ten_seconds_behind_is_in_time() {
    check(&[0, 1, 10_002, 2], &[3]);
    check(&[0, 1, 10_003, 2], &[]);
    check(&[0, 0, 10_000, 0], &[0, 1, 3]);
}

#[test]
fn times_far_apart_are_kept_exactly() {
    check(&[i64::MIN, i64::MAX - 10_000, i64::MAX - 10_000, i64::MAX - 10_000], &[1, 2, 3]);
}

#[test]
fn a_remembered_event_fires_with_its_names() {
    let mut run = Run::<counted::Plugin>::new("{}");
    let session = |time, id| Record::new(time, id).with("session", "s");
    assert_eq!(run.batch(&[session(10, "late one").of(Some("o"), Some("c")), session(2, "a")]), []);
    let fired = run.batch(&[session(1, "b")]);
    assert_eq!(fired.len(), 1);
    assert_eq!(
        (&fired[0].id[..], fired[0].order_id.as_deref(), fired[0].customer_id.as_deref()),
        ("late one", Some("o"), Some("c"))
    );
}

#[test]
fn a_changed_setting_applies_from_the_next_evaluation() {
    let mut run = Run::<counted::Plugin>::new(r#"{"count_max": 9}"#);
    assert_eq!(run.batch(&times(&[5, 6, 7])), []);
    run.configure(r#"{"count_max": 3}"#);
    assert_eq!(ids(&run.batch(&times(&[6])[..])), ids_of(&["2"]));
    run.configure(r#"{"window_ms": 1, "count_max": 1}"#);
    assert_eq!(run.batch(&times(&[8])), []);
}

fn ids_of(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
