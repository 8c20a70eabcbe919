//! Two versions over the same records.

use std::collections::BTreeMap;

use serde_json::json;
use tamis_jobs::backtest::{AlertExample, Backtest, BacktestReport, Margins, PairExample};

use super::feed::{MIDDLE, SHOP, plan, run, whole, within};

fn compared(new: serde_json::Value, old: serde_json::Value) -> (BacktestReport, [BTreeMap<String, String>; 2]) {
    let (new, old) = (plan("card-testing", new), plan("card-testing", old));
    let live = [&new, &old].map(|rule| within(&SHOP.live(rule), MIDDLE));
    let margins = Margins::of(&new).or(Margins::of(&old));
    let what = Backtest { compared_with: Some(old), margins, ..whole(new, MIDDLE) };
    (run(&SHOP.context(), &what), live)
}

fn ids(examples: &[AlertExample]) -> Vec<String> {
    let mut ids: Vec<_> = examples.iter().map(|example| example.alert_id.clone()).collect();
    ids.sort();
    ids
}

#[test]
fn the_overlap_of_two_configurations_is_exact() {
    // A shorter window that bears less: some alerts of each alone, and some of both.
    let (report, [new, old]) =
        compared(json!({"attempts_max": 1, "window_ms": 20_000}), json!({"attempts_max": 2, "window_ms": 60_000}));
    let overlap = report.overlap.unwrap();
    let only = |these: &BTreeMap<String, String>, others: &BTreeMap<String, String>| -> Vec<String> {
        these.keys().filter(|id| !others.contains_key(*id)).cloned().collect()
    };
    let both: Vec<String> = new.keys().filter(|id| old.contains_key(*id)).cloned().collect();
    let (only_new, only_old) = (only(&new, &old), only(&old, &new));
    assert!([&both, &only_new, &only_old].iter().all(|ids| !ids.is_empty()), "{both:?} {only_new:?} {only_old:?}");
    assert_eq!(
        (overlap.both, overlap.only_new, overlap.only_old),
        (both.len() as u64, only_new.len() as u64, only_old.len() as u64)
    );
    assert_eq!(ids(&overlap.examples.only_new), only_new);
    assert_eq!(ids(&overlap.examples.only_old), only_old);
    let (pairs_new, pairs_old): (Vec<_>, Vec<_>) =
        overlap.examples.both.into_iter().map(|PairExample { new, old }| (new, old)).unzip();
    assert_eq!((ids(&pairs_new), ids(&pairs_old)), (both.clone(), both));
    assert_eq!((overlap.not_compared_new, overlap.not_compared_old, report.truncated), (0, 0, false));
    let versions = [&report.version, report.compared_with.as_ref().unwrap()];
    assert_eq!(versions.map(|version| version.alerts.total), [new.len() as u64, old.len() as u64]);
    assert_eq!(versions[0].judged, versions[1].judged, "both judge the same events");
}

#[test]
fn a_version_overlaps_with_itself_wholly() {
    let config = json!({"attempts_max": 1, "window_ms": 40_000});
    let (report, [live, _]) = compared(config.clone(), config);
    let overlap = report.overlap.unwrap();
    assert_eq!((overlap.both, overlap.only_new, overlap.only_old), (live.len() as u64, 0, 0));
    let pair = &overlap.examples.both[0];
    assert_eq!(pair.new, pair.old);
}

#[test]
fn people_are_pseudonyms_in_examples() {
    let (report, _) = compared(json!({"attempts_max": 1}), json!({"attempts_max": 2}));
    let example = &report.version.alerts.examples[0];
    let customer = example.customer_id.as_deref().unwrap();
    assert_eq!(customer.len(), 32, "{customer}");
    assert!(example.payment_id.as_deref().unwrap().starts_with('p') && example.context.is_object(), "{example:?}");
}
