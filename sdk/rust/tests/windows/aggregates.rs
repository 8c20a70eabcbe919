//! Aggregates: several lengths of windows in one state, and the rows that come out of them.

use serde_json::{Value as Json, json};

use super::rules::volumes::Plugin;
use super::*;

const LENGTHS: [(&str, i64); 2] = [("5s", 5_000), ("20s", 20_000)];

fn payment(time: i64, session: &str, amount: Option<i64>) -> Record {
    Record::new(time, time).with("session", session).with("card", "c1").with("amount", amount)
}

/// The rows that come out of records in batches of each size.
fn check(records: &[Record], expected: &[Json]) {
    for batch_size in 1..=records.len() {
        let mut run = Run::<Plugin>::new("{}");
        assert_eq!(run.all(records, batch_size), [], "an aggregate finds nothing");
        assert_eq!(sorted(run.rows()), sorted(expected), "{records:?} in batches of {batch_size}");
        assert_eq!(run.states().count(), 0, "nothing is remembered behind the end");
    }
}

fn sorted(rows: &[Json]) -> BTreeSet<String> {
    let texts: BTreeSet<_> = rows.iter().map(Json::to_string).collect();
    assert_eq!(texts.len(), rows.len(), "no row comes twice: {rows:?}");
    texts
}

/// The part of a row that says which window it is of.
fn bounds(row: &Json) -> (String, i64, i64) {
    let instant = |name: &str| row[name].as_i64().expect("an instant") / 1000;
    (row["window"].as_str().expect("a name").to_owned(), instant("window_start"), instant("window_end"))
}

fn short(start: i64) -> (String, i64, i64) {
    ("5s".to_owned(), start, start + 5_000)
}

fn long(start: i64) -> (String, i64, i64) {
    ("20s".to_owned(), start, start + 20_000)
}

#[test]
fn a_row_says_of_which_window_it_is_and_then_what_was_made_of_it() {
    let label = |window: &str, end: i64| json!({"name": "volumes", "window": window, "window_start": 0, "window_end": end, "key": "s"});
    let with = |mut label: Json, count: i64, volume: i64, mean: Json, cards: Json| {
        for (name, value) in [("count", json!(count)), ("volume", json!(volume)), ("mean", mean), ("cards", cards)] {
            label[name] = value;
        }
        label
    };
    let records =
        [payment(0, "s", Some(100)), payment(4_999, "s", None).with("card", Json::Null), payment(1, "s", Some(201))];
    let cards = json!({"c1": 2, "none": 1});
    check(
        &records,
        &[
            with(label("5s", 5_000_000), 3, 301, json!(1.505), cards.clone()),
            with(label("20s", 20_000_000), 3, 301, json!(1.505), cards),
        ],
    );
    let cards = json!({"c1": 1});
    check(
        &[payment(3, "s", None)],
        &[
            with(label("5s", 5_000_000), 1, 0, Json::Null, cards.clone()),
            with(label("20s", 20_000_000), 1, 0, Json::Null, cards),
        ],
    );
}

#[test]
fn the_columns_of_a_row_come_in_their_order() {
    let mut run = Run::<Plugin>::new("{}");
    let output = run.manifest()["output"].clone();
    assert_eq!(output["dataset"], "volumes");
    assert_eq!(output["columns"][1], json!({"name": "window", "type": "text", "required": true}));
    assert_eq!(output["columns"][2], json!({"name": "window_start", "type": "timestamp", "required": true}));
    assert_eq!(output["columns"][6], json!({"name": "volume", "type": "decimal"}));
    assert_eq!(output["columns"][8], json!({"name": "cards", "type": "text", "required": true, "json": true}));
    run.all(&[payment(0, "s", None)], 1);
    let names: Vec<_> = run.rows()[0].as_object().unwrap().keys().cloned().collect();
    let declared: Vec<_> = output["columns"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
    assert_eq!(json!(names), json!(declared));
    assert_eq!(names, ["name", "window", "window_start", "window_end", "key", "count", "volume", "mean", "cards"]);
}

#[test]
fn each_window_closes_when_the_watermark_reaches_its_end() {
    let mut run = Run::<Plugin>::new("{}");
    run.batch(&[payment(4_999, "s", None), payment(5_000, "s", None)]);
    let mut closed_at = |watermark, expected: &[(String, i64, i64)]| {
        let known = run.rows().len();
        run.advance(watermark);
        assert_eq!(run.rows()[known..].iter().map(bounds).collect::<Vec<_>>(), expected, "at {watermark}");
    };
    closed_at(4_999, &[]);
    closed_at(5_000, &[short(0)]);
    closed_at(9_999, &[]);
    closed_at(10_000, &[short(5_000)]);
    closed_at(19_999, &[]);
    closed_at(20_000, &[long(0)]);
    assert_eq!(run.states().count(), 0);
}

#[test]
fn a_key_wakes_at_the_earliest_end_of_its_windows() {
    let mut run = Run::<Plugin>::new("{}");
    // The first window of 5 s that is opened is not the first that ends.
    run.batch(&[payment(14_000, "s", None), payment(4_000, "s", None)]);
    run.batch(&[payment(15_000, "t", None)]);
    assert_eq!(run.rows().iter().map(bounds).collect::<Vec<_>>(), [short(0)]);
}

#[test]
fn late_events_and_those_without_a_key_are_in_no_window() {
    let records = [payment(0, "s", None), payment(15_000, "s", None)];
    let late = [payment(4_999, "s", None), Record::new(15_000, "x").with("session", Json::Null)];
    let rows = |records: &[Record]| {
        let mut run = Run::<Plugin>::new("{}");
        run.all(records, 1);
        sorted(run.rows())
    };
    assert_eq!(rows(&records), rows(&[&records[..], &late].concat()));
    // Exactly ten seconds behind is in time.
    assert_ne!(rows(&records), rows(&[&records[..], &[payment(5_000, "s", None)]].concat()));
}

#[test]
fn a_sum_beyond_an_amount_is_null_and_the_mean_still_tells() {
    const HIGHEST: i64 = 999_999_999_999_999_999;
    let mut run = Run::<Plugin>::new("{}");
    run.all(&[payment(0, "s", Some(HIGHEST)), payment(1, "s", Some(HIGHEST))], 2);
    let row = &run.rows()[0];
    assert_eq!((&row["volume"], &row["mean"]), (&Json::Null, &json!(1e16)));
}

#[test]
fn events_at_the_ends_of_time_share_their_windows() {
    for time in [i64::MIN, i64::MAX - 1] {
        let mut run = Run::<Plugin>::new("{}");
        run.batch(&[payment(time, "s", None), payment(time, "s", None)]);
        run.advance(i64::MAX);
        let counts: Vec<_> = run.rows().iter().map(|row| &row["count"]).collect();
        assert_eq!(counts, [2, 2], "at {time}");
    }
}

proptest! {
    #[test]
    fn counts_as_the_contract_does(events in events(), batch_size in 1..20usize) {
        let mut windows = BTreeMap::<_, i64>::new();
        for event in &events {
            for (window, length) in LENGTHS {
                if let Some(key) = event.key {
                    let start = event.time.div_euclid(length) * length;
                    *windows.entry((format!("s{key}"), (window.to_owned(), start, start + length))).or_default() += 1;
                }
            }
        }
        let mut run = Run::<Plugin>::new("{}");
        run.all(&records(&events), batch_size);
        let row = |row: &Json| ((row["key"].as_str().unwrap().to_owned(), bounds(row)), row["count"].as_i64().unwrap());
        let rows: BTreeMap<_, _> = run.rows().iter().map(row).collect();
        prop_assert_eq!(rows.len(), run.rows().len(), "a window has one row");
        prop_assert_eq!(rows, windows);
        prop_assert_eq!(run.states().count(), 0);
    }
}
