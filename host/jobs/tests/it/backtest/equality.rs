//! What counts is what a live stream raises for the window.

use std::collections::BTreeMap;

use serde_json::json;
use tamis_jobs::backtest::{Backtest, Margins, Window};
use tamis_model::time::rfc3339_millis;

use super::feed::{LENGTH_MS, MIDDLE, MINUTE_MS, NOON, SHOP, plan, raised, rules, run, whole, within};

/// Windows in the middle, at both ends, over everything, and where nothing is.
const WINDOWS: [Window; 5] = [
    MIDDLE,
    Window { from: NOON - MINUTE_MS, to: NOON + 7 * MINUTE_MS },
    Window { from: NOON + 111 * MINUTE_MS, to: NOON + LENGTH_MS + MINUTE_MS },
    Window { from: NOON - MINUTE_MS, to: NOON + LENGTH_MS + MINUTE_MS },
    Window { from: NOON - 60 * MINUTE_MS, to: NOON - 30 * MINUTE_MS },
];

#[test]
fn a_backtest_raises_what_a_live_stream_raised_for_its_window() {
    for rule in rules() {
        let live = SHOP.live(&rule);
        for (index, window) in WINDOWS.into_iter().enumerate() {
            let report = run(&SHOP.context(), &whole(rule.clone(), window));
            let expected = within(&live, window);
            assert_eq!(expected.is_empty(), index == 4, "{rule}: {} alerts in window {index}", expected.len());
            assert_eq!(raised(&report), expected, "{rule}, window {index}");
            let over_time: u64 = report.version.alerts.over_time.iter().flat_map(|at| at.by_severity.values()).sum();
            let by_severity: u64 = report.version.alerts.by_severity.values().sum();
            assert_eq!((over_time, by_severity), (report.version.alerts.total, report.version.alerts.total));
            assert!(!report.truncated && report.version.errors == Default::default(), "{report:?}");
        }
    }
}

/// What a backtest without margins makes of the middle: alerts that only the live stream raised, and surplus ones.
fn without_margins(rule: usize) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let rule = rules()[rule].clone();
    let margins = Margins::default();
    let found = raised(&run(&SHOP.context(), &Backtest { margins, ..whole(rule.clone(), MIDDLE) }));
    let live = within(&SHOP.live(&rule), MIDDLE);
    let without = |these: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
        these.iter().filter(|(id, _)| !others.contains_key(*id)).map(|(id, time)| (id.clone(), time.clone())).collect()
    };
    (without(&live, &found), without(&found, &live))
}

#[test]
fn without_a_warm_up_alerts_are_missing_at_the_start_only() {
    let (missing, surplus) = without_margins(1);
    let warm = rfc3339_millis(MIDDLE.from + 40_000);
    assert!(!missing.is_empty() && surplus.is_empty(), "{missing:?} {surplus:?}");
    assert!(missing.values().all(|time| *time < warm), "{missing:?}");
}

#[test]
fn without_a_run_out_windows_are_cut_at_the_end_only() {
    let (missing, surplus) = without_margins(2);
    let complete = rfc3339_millis(MIDDLE.to - 5 * MINUTE_MS);
    assert!(missing.len() + surplus.len() > 0, "the shop has such a window");
    assert!(missing.values().chain(surplus.values()).all(|time| *time > complete), "{missing:?} {surplus:?}");
}

#[test]
fn two_runs_report_the_same_apart_from_times() {
    let what = Backtest { compared_with: Some(plan("card-testing", json!({}))), ..whole(rules()[1].clone(), MIDDLE) };
    let [first, second] = [(); 2].map(|()| {
        let mut report = run(&SHOP.context(), &what);
        (report.took_ms, report.rows_per_second) = (0, 0);
        for version in [Some(&mut report.version), report.compared_with.as_mut()].into_iter().flatten() {
            assert!(version.event_ns > 0.0, "{version:?}");
            (version.took_ms, version.event_ns) = (0, 0.0);
        }
        report
    });
    assert_eq!(first, second);
}

#[test]
fn rows_of_aggregates_count_by_the_start_of_their_window() {
    let aggregate = plan("payments-by-currency", json!({}));
    let (_, rows) = SHOP.stream(&aggregate);
    let expected = rows.iter().filter(|row| MIDDLE.has(row.window_start)).count() as u64;
    let report = run(&SHOP.context(), &whole(aggregate, MIDDLE));
    assert!(expected > 70, "{expected}");
    assert_eq!(report.version.rows_emitted, expected);
}
