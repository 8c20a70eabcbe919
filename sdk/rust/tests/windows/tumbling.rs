//! `Tumbling`.

use super::rules::tumbling::Plugin;
use super::*;

const LENGTH: i64 = 5_000;

/// `key|start` and the number of events of the windows with more than `max` matching ones.
fn expected(events: &[Event], max: usize) -> BTreeMap<String, String> {
    let mut windows = BTreeMap::<_, Vec<&Event>>::new();
    for event in events {
        if let Some(key) = event.key {
            windows.entry((key, event.time.div_euclid(LENGTH) * LENGTH)).or_default().push(event);
        }
    }
    windows.retain(|_, events| events.iter().filter(|event| event.value == Some(1)).count() > max);
    let named = |((key, start), events): ((u8, i64), Vec<&Event>)| {
        (format!("s{key}|{start}"), format!("Value::Int64({})", events.len()))
    };
    windows.into_iter().map(named).collect()
}

proptest! {
    #[test]
    fn tallies_as_the_contract_does(events in events(), batch_size in 1..20usize) {
        let fired = run::<Plugin>(r#"{"count_max": 0}"#, &records(&events), batch_size);
        prop_assert_eq!(context(&fired, "count"), expected(&events, 0));
    }
}

fn matching(time: i64) -> Record {
    Record::new(time, time).with("session", "s").with("card", "c1")
}

#[test]
fn a_window_closes_when_the_watermark_reaches_its_end() {
    let mut run = Run::<Plugin>::new(r#"{"count_max": 0}"#);
    assert_eq!(run.batch(&[matching(4_999), matching(5_000)]), []);
    assert_eq!(run.advance(4_999), []);
    assert_eq!(ids(&run.advance(5_000)), BTreeSet::from(["s|0".to_owned()]));
    assert_eq!(run.advance(9_999), []);
    assert_eq!(ids(&run.advance(10_000)), BTreeSet::from(["s|5000".to_owned()]));
    assert_eq!(run.states().count(), 0);
}

#[test]
fn windows_before_the_epoch_are_aligned_too() {
    let fired = run::<Plugin>(r#"{"count_max": 0}"#, &[matching(-1), matching(-5_000)], 1);
    assert_eq!(ids(&fired), BTreeSet::from(["s|-5000".to_owned()]));
}

#[test]
fn a_changed_length_applies_from_the_next_window() {
    let mut run = Run::<Plugin>::new(r#"{"count_max": 0}"#);
    run.batch(&[matching(100)]);
    run.configure(r#"{"count_max": 0, "window_ms": 1000}"#);
    run.batch(&[matching(4_900), matching(5_100)]);
    let fired = run.finish();
    assert_eq!(ids(&fired), BTreeSet::from(["s|0".to_owned(), "s|5000".to_owned()]));
    assert_eq!(context(&fired, "window_end")["s|0"], "Value::Timestamp(5000)");
    assert_eq!(context(&fired, "window_end")["s|5000"], "Value::Timestamp(6000)");
}

#[test]
fn a_window_that_is_open_keeps_its_events_when_windows_become_longer() {
    for later in [[matching(7_000), matching(11_000)], [matching(11_000), matching(7_000)]] {
        let mut run = Run::<Plugin>::new(r#"{"count_max": 0}"#);
        run.batch(&[matching(5_100)]);
        run.configure(r#"{"count_max": 0, "window_ms": 60000}"#);
        run.batch(&later);
        let fired = run.finish();
        assert_eq!(context(&fired, "count")["s|5000"], "Value::Int64(2)");
        assert_eq!(context(&fired, "count")["s|0"], "Value::Int64(1)");
    }
}

#[test]
fn bounds_and_tallies_stand_in_the_context() {
    let fired = run::<Plugin>(r#"{"count_max": 0}"#, &[matching(1)], 1);
    let names: Vec<_> = fired[0].context.keys().map(String::as_str).collect();
    assert_eq!(names, ["count", "matching", "window_end", "window_start"]);
}
