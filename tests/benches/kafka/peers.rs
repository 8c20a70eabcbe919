//! Tamis and Flink SQL, one after the other: what each costs, and whether both found the same.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tamis_model::position::Positions;
use tamis_services::flink::{self, Flink};
use tamis_services::kafka::{self, Tool};
use tamis_tests::checkout::root;

use super::cluster::{FLINK_ALERTS, Topics};
use super::run::{self, Figures};
use super::tamis::Home;
use super::{DELIVERIES, TEN_RULES, say};

/// Flink is given what it asks for: twice as much changes nothing.
const HEAP_MB: u32 = 4_096;
/// Between two checkpoints of Flink: as Tamis has them by itself, and ten times as long.
const CHECKPOINTS: [&str; 2] = ["1s", "10s"];

/// The ids of alerts, by rule.
type Alerts = BTreeMap<String, HashSet<String>>;

pub fn compare(broker: &kafka::Cluster, topics: &Topics, events: u64) -> Result<()> {
    let flink = Flink::install()?;
    let classes = tempfile::tempdir()?;
    flink.compile(&root().join("tests/peers/Peer.java"), classes.path())?;
    let create = ["--create", "--topic", FLINK_ALERTS, "--partitions", "6", "--config", "retention.ms=-1"];
    broker.tool(Tool::Topics, &create)?;
    say(&Figures::head())?;
    let mut found = Vec::new();
    for delivery in DELIVERIES {
        let (name, alerts) = (format!("Tamis, {delivery}"), topics.of_tamis()?);
        let home = Home::new(topics.bootstrap(), &TEN_RULES, delivery)?;
        let before = topics.ends(&alerts)?;
        say(&run::measure(home.to_the_end(), broker, topics, &alerts, events)?.row(&name))?;
        found.push((name, read(topics, &alerts, &before)?));
    }
    for (delivery, checkpoints) in DELIVERIES.iter().flat_map(|d| CHECKPOINTS.map(|checkpoints| (d, checkpoints))) {
        let (name, alerts) = (format!("Flink, {delivery}, {checkpoints}"), [FLINK_ALERTS.to_owned()]);
        let folder = tempfile::tempdir()?;
        let mut java = flink.java(classes.path(), HEAP_MB);
        java.arg("Peer").arg(root().join("tests/peers/rules.sql")).arg(format!("bootstrap={}", topics.bootstrap()));
        java.arg(format!("folder={}", folder.path().display())).arg(format!("checkpoint_interval={checkpoints}"));
        java.arg(format!("delivery={}", delivery.replace('_', "-")));
        let before = topics.ends(&alerts)?;
        say(&run::measure(java, broker, topics, &alerts, events)?.row(&name))?;
        found.push((name, read(topics, &alerts, &before)?));
    }
    say(&format!("Flink {}, events: {events}", flink::VERSION))?;
    agree(&found)
}

/// The alerts behind a place.
fn read(topics: &Topics, names: &[String], from: &Positions) -> Result<Alerts> {
    let mut alerts = Alerts::new();
    topics.read(names, Some(from), &mut |value| {
        let alert: Value = serde_json::from_slice(value)?;
        let text = |name: &str| alert[name].as_str().with_context(|| format!("an alert without {name}: {alert}"));
        let (rule, id) = (text("rule")?, text("alert_id")?);
        let is_new = alerts.entry(rule.to_owned()).or_default().insert(id.to_owned());
        ensure!(is_new, "{rule} raised {id} twice, and nothing failed");
        Ok(())
    })?;
    Ok(alerts)
}

/// Fails when one has not found what another one has.
fn agree(found: &[(String, Alerts)]) -> Result<()> {
    let (first, expected) = found.first().context("something was measured")?;
    let mut differences = Vec::new();
    for rule in TEN_RULES {
        let expected = expected.get(rule).with_context(|| format!("{first} has no alert of {rule}"))?;
        say(&format!("{rule:<32}{:>13} alerts", expected.len()))?;
        for (name, alerts) in &found[1..] {
            let none = HashSet::new();
            let alerts = alerts.get(rule).unwrap_or(&none);
            let (missing, more) = (expected.difference(alerts).count(), alerts.difference(expected).count());
            if missing + more > 0 {
                differences.push(format!("{name}: {rule}: {missing} alerts of {first} are missing, {more} are new"));
            }
        }
    }
    ensure!(differences.is_empty(), "they do not agree:\n{}", differences.join("\n"));
    say("All found the same alerts.")
}
