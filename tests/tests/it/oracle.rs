//! All rules and aggregates of contracts 3 against their plainest reading: an oracle that looks at a whole feed at once, with
//! quadratic loops and nothing of the engine or the SDK, and the real plugins in the real engine, which see it in batches.

mod aggregates;
mod alerts;
mod decode;
mod engine;
mod feed;
mod group;
mod rules;
mod settings;
mod shapes;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use aggregates::Rows;
use alerts::{Alerts, Content, alert_id};
use decode::Letter;
use engine::{Engine, Found, Way};
use feed::Record;
use settings::Overrides;
pub use settings::RULES;

/// Feeds that are compared; each goes through the engine in every [`Way`].
const FEEDS: u32 = 160;
/// Feeds that are compared over one partition and over six, each in sixteen ways.
const SPREAD_FEEDS: u32 = 12;

#[test]
fn what_the_engine_raises_is_what_the_contract_says() {
    let engine = Engine::new();
    let fired = RefCell::new(BTreeMap::<String, u32>::new());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: FEEDS, source_file: Some(file!()), ..ProptestConfig::default() });
    let feeds = settings::overrides().prop_flat_map(|(window_ms, overrides)| (feed::feed(window_ms), Just(overrides)));
    let compared = runner.run(&feeds, |(feed, overrides)| {
        let said = Said::of(&feed, &overrides);
        for way in Way::ALL {
            said.compare(&engine.run(&feed, &overrides, way), way)?;
        }
        let mut fired = fired.borrow_mut();
        let names = said.alerts.rules().map(str::to_owned).chain(said.rows.names().map(str::to_owned));
        names.for_each(|name| *fired.entry(name).or_default() += 1);
        Ok(())
    });
    compared.unwrap_or_else(|error| panic!("{error}"));
    // What never fires is not compared.
    let silent: Vec<_> =
        RULES.iter().chain(&settings::AGGREGATES).filter(|name| !fired.borrow().contains_key(**name)).collect();
    assert!(silent.is_empty(), "no feed made these say anything: {silent:?}");
}

/// One feed without late records: how it is spread over partitions makes no difference either.
#[test]
fn partitions_batches_shards_hosts_and_restarts_change_no_alert() {
    let engine = Engine::new();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: SPREAD_FEEDS,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    let feeds =
        settings::overrides().prop_flat_map(|(window_ms, overrides)| (feed::timely(window_ms), Just(overrides)));
    let compared = runner.run(&feeds, |(feeds, overrides)| {
        let said = feeds.each_ref().map(|feed| Said::of(feed, &overrides));
        prop_assert!(said[0].alerts.ids().eq(said[1].alerts.ids()));
        for (feed, said) in feeds.iter().zip(&said) {
            for way in Way::each() {
                said.compare(&engine.run(feed, &overrides, way), way)?;
            }
        }
        Ok(())
    });
    compared.unwrap_or_else(|error| panic!("{error}"));
}

/// What the contract says of a feed.
struct Said {
    alerts: Alerts,
    rows: Rows,
    letters: Vec<Letter>,
}

impl Said {
    fn of(feed: &[Record], overrides: &Overrides) -> Self {
        let (events, letters) = decode::events(feed);
        let alerts = rules::alerts(&events, &settings::effective(overrides));
        Self { alerts, rows: aggregates::rows(&events), letters }
    }

    fn compare(&self, found: &Found, way: Way) -> Result<(), TestCaseError> {
        let differences = [self.alerts.differences(&found.alerts), self.rows.differences(&found.rows)].concat();
        prop_assert!(differences.is_empty(), "{way:?}:\n{}", differences.join("\n"));
        prop_assert_eq!(&self.letters, &found.letters, "{:?}", way);
        Ok(())
    }
}

#[test]
fn a_difference_is_seen() {
    let content = Content { rule: "r".to_owned(), severity: "high".to_owned(), ..Content::default() };
    let mut expected = Alerts::default();
    expected.add("r|payments|p1", content.clone());
    let found = |id: &str, severity: &str| {
        BTreeMap::from([(alert_id(id), vec![Content { severity: severity.to_owned(), ..content.clone() }])])
    };
    assert!(expected.differences(&found("r|payments|p1", "high")).is_empty());
    assert_eq!(expected.differences(&found("r|payments|p1", "critical")).len(), 1);
    assert_eq!(expected.differences(&found("r|payments|p2", "high")).len(), 2);
}
