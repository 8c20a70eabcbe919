//! Archive, silver of topics and replay, as people run them.

use serde_json::Value;

use crate::feed;
use crate::process::Home;
use crate::results::{Results, assert_same, records, results};

const PAYMENTS: u64 = 1_000;
/// Of those each 97th has a method that there is not.
const BARTERS: u64 = 11;

fn judged(payments: u64) -> Home {
    let home = Home::with(&["payment-direct-fraud", "card-testing", "silver-payments"]);
    feed::append(home.path(), 0..payments);
    home.run(&["run", "streams", "--until-end"]);
    home
}

fn held(home: &Home) -> Results {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(results(home.path(), &["payments"]))
}

/// Alerts written to each place, and those that were there.
pub fn written(rows: &[Value]) -> Vec<(&str, u64, u64)> {
    let places = rows.iter().filter_map(|row| Some((row["place"].as_str()?, row)));
    places
        .map(|(place, row)| (place, row["written"].as_u64().unwrap(), row["there_already"].as_u64().unwrap()))
        .collect()
}

#[test]
fn topics_are_archived_and_added_to_silver_once() {
    let home = judged(PAYMENTS);
    let archived = home.run(&["run", "archive"]);
    assert_eq!((archived[0]["topic"].as_str(), archived[0]["records"].as_u64()), (Some("payments"), Some(PAYMENTS)));
    assert_eq!(home.run(&["run", "archive"]), [Value::Null; 0]);
    let silver = home.run(&["run", "silver"]);
    let of = |name: &str| silver[0][name].as_u64();
    assert_eq!(["rows_in", "rows_out", "duplicates", "rejected"].map(of), [PAYMENTS, PAYMENTS, 0, 0].map(Some));
    assert_eq!((silver.len(), of("files"), of("cells_nullified")), (1, Some(2), Some(BARTERS)));
    assert_eq!(home.run(&["run", "silver", "payments"]), [Value::Null; 0]);
    // The same payments again.
    feed::append(home.path(), 0..10);
    home.run(&["run", "archive"]);
    let silver = home.run(&["run", "silver", "payments"]);
    let of = |name: &str| silver[0][name].as_u64();
    assert_eq!(["rows_in", "rows_out", "duplicates", "rejected"].map(of), [10, 0, 10, 0].map(Some));
}

#[test]
fn a_replay_writes_what_is_missing() {
    let home = judged(PAYMENTS);
    let live = held(&home);
    let of_rule = |rule: &str| {
        records(home.path(), "alerts_advanced_fraud").iter().filter(|r| r["value"]["rule"] == rule).count() as u64
    };
    let alerts = of_rule("card-testing");
    assert!(alerts > 10, "{alerts}");

    let shadow = home.run(&["replay", "--rule", "card-testing"]);
    assert_eq!(written(&shadow), [("topics", alerts, 0), ("lake", alerts, 0)]);
    let again = home.run(&["replay", "--rule", "card-testing"]);
    assert_eq!(written(&again), [("topics", 0, alerts), ("lake", 0, alerts)]);
    assert_eq!(records(home.path(), "shadow_alerts_replay").len() as u64, alerts);

    home.run(&["run", "archive"]);
    let part = home.run(&[
        "replay",
        "--archive",
        "--rule",
        "card-testing",
        "--from",
        "+100",
        "--to",
        "-100",
        "--into",
        "topic:part",
    ]);
    assert_eq!(part[0]["records"].as_u64(), Some(PAYMENTS - 400));
    assert!((1..alerts).contains(&written(&part)[0].1), "{part:?}");

    // What is gone from the lake comes back, and nothing else happens.
    let refused = home.command(&["replay", "--into", "routes"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    std::fs::remove_dir_all(home.path().join("lake/alerts/card-testing")).unwrap();
    let routes = home.run(&["replay", "--into", "routes", "--yes"]);
    let [("topics", 0, all), ("lake", back, rest)] = written(&routes)[..] else { panic!("{routes:?}") };
    assert_eq!(back + rest, all);
    assert!(back >= alerts);

    // The streams go on where they were.
    feed::append(home.path(), PAYMENTS..2 * PAYMENTS);
    home.run(&["run", "streams", "--until-end"]);
    let undisturbed = judged(PAYMENTS);
    feed::append(undisturbed.path(), PAYMENTS..2 * PAYMENTS);
    undisturbed.run(&["run", "streams", "--until-end"]);
    let mut after = held(&home);
    after.retain(|place, _| !place.starts_with("shadow") && !place.contains("part") && !place.contains("replay"));
    assert_same(&after, &held(&undisturbed), "after a replay");
    assert!(live.values().map(Vec::len).sum::<usize>() > 0);
}
