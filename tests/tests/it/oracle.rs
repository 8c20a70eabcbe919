//! All rules and aggregates of contracts 3 against their plainest reading: an oracle that looks at a whole feed at once, with
//! quadratic loops and nothing of the engine or the SDK, and the real plugins in the real engine, which see it in batches.

mod aggregates;
mod decode;
mod engine;
mod feed;
mod rules;
mod settings;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use engine::{Engine, Way};
use rules::Alerts;
pub use settings::RULES;

/// Feeds that are compared; each goes through the engine in every [`Way`].
const FEEDS: u32 = 160;

#[test]
fn what_the_engine_raises_is_what_the_contract_says() {
    let engine = Engine::new();
    let fired = RefCell::new(BTreeMap::<String, u32>::new());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: FEEDS, source_file: Some(file!()), ..ProptestConfig::default() });
    let feeds = settings::overrides().prop_flat_map(|(window_ms, overrides)| (feed::feed(window_ms), Just(overrides)));
    let compared = runner.run(&feeds, |(feed, overrides)| {
        let events = decode::events(&feed);
        let alerts = rules::alerts(&events, &settings::effective(&overrides));
        let rows = aggregates::rows(&events);
        for way in Way::ALL {
            let found = engine.run(&feed, &overrides, way);
            let differences = [alerts.differences(&found.alerts), rows.differences(&found.rows)].concat();
            prop_assert!(differences.is_empty(), "{way:?}:\n{}", differences.join("\n"));
        }
        let mut fired = fired.borrow_mut();
        let names = alerts.rules().map(str::to_owned).chain(rows.names().map(str::to_owned));
        names.for_each(|name| *fired.entry(name).or_default() += 1);
        Ok(())
    });
    compared.unwrap_or_else(|error| panic!("{error}"));
    // What never fires is not compared.
    let silent: Vec<_> = settings::RULES
        .iter()
        .chain(&settings::AGGREGATES)
        .filter(|name| !fired.borrow().contains_key(**name))
        .collect();
    assert!(silent.is_empty(), "no feed made these say anything: {silent:?}");
}

#[test]
fn a_difference_is_seen() {
    let content = rules::Content { rule: "r".to_owned(), severity: "high", ..rules::Content::default() };
    let mut expected = Alerts::default();
    expected.add("r|payments|p1", content.clone());
    let found = |id: &str, severity: &'static str| {
        BTreeMap::from([(rules::alert_id(id), rules::Content { severity, ..content.clone() })])
    };
    assert!(expected.differences(&found("r|payments|p1", "high")).is_empty());
    assert_eq!(expected.differences(&found("r|payments|p1", "critical")).len(), 1);
    assert_eq!(expected.differences(&found("r|payments|p2", "high")).len(), 2);
}
