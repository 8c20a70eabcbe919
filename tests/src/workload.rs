//! What benchmarks of whole streams judge: payments, and the rules that are put to work on them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tamis_engine::rules::RuleSet;
use tamis_plugin::Sandbox;
use tamis_registry::rule_plan;

use crate::components;
use crate::payments::{Numbers, Shape, line_among};

/// A rule: its name, its plugin, and the settings that are not the plugin's own.
pub type Work = (&'static str, &'static str, Value);

/// Writes a topic of one partition into its folder: payments of about 690 bytes in the order of their times, three to a session, of
/// so many customers, 200 a second.
pub fn write_payments(topic: &Path, count: u64, customers: u64) -> io::Result<()> {
    let partition = topic.join("0");
    fs::create_dir_all(&partition)?;
    let mut out = BufWriter::new(File::create(partition.join("00000000000000000000.jsonl"))?);
    let mut numbers = Numbers::new(7);
    (0..count).try_for_each(|offset| writeln!(out, "{}", line_among(customers, &mut numbers, offset, Shape::Usual)))?;
    out.flush()
}

/// The first three rules there were, of which two have a key. They fire for 11 % of the demo's payments.
pub fn three() -> Vec<Work> {
    ["payment-direct-fraud", "card-testing", "psp-error-rate"].map(|name| (name, name, Value::Null)).to_vec()
}

/// Ten rules, of which four have a key: session, provider, customer and device. They fire for one in a hundred of the payments of
/// [`write_payments`].
pub fn ten() -> Vec<Work> {
    let condition = "amount > 500.0 && ip_country != billing_country && (risk_score > 90 || status == 'failed')";
    vec![
        (
            "payment-direct-fraud",
            "payment-direct-fraud",
            json!({"risk_score_max": 98, "failed_risk_score_max": 90, "high_risk_countries": ["KP"]}),
        ),
        ("payment-high-amount", "payment-high-amount", Value::Null),
        ("fraud-bin", "fraud-bin", Value::Null),
        ("geo-mismatch", "geo-mismatch", json!({"risk_score_max": 95})),
        ("bot-checkout", "bot-checkout", Value::Null),
        ("large-and-foreign", "expression", json!({"condition": condition})),
        ("card-testing", "card-testing", Value::Null),
        ("psp-error-rate", "psp-error-rate", Value::Null),
        ("card-wallet", "card-wallet", Value::Null),
        ("shared-device", "shared-device", Value::Null),
    ]
}

/// What `tamis.toml` says of rules.
pub fn config(work: &[Work]) -> String {
    let rule = |(name, plugin, settings): &Work| {
        let settings = settings.as_object().into_iter().flatten();
        let settings: String = settings.map(|(setting, value)| format!("{setting} = {value}\n")).collect();
        format!("[rules.{name}]\nplugin = \"{plugin}\"\n[rules.{name}.config]\n{settings}")
    };
    work.iter().map(rule).collect()
}

/// The rules as a set, each in the sandbox.
///
/// # Panics
/// When a component is missing or refuses its settings.
pub fn rule_set(sandbox: &Arc<Sandbox>, work: &[Work]) -> RuleSet {
    let rules = work.iter().map(|(name, plugin, settings)| {
        let plugin = components::load(sandbox, plugin);
        let config = plugin.effective_config(settings).expect("the settings fit");
        Arc::new(rule_plan(name, &plugin, config).expect("the settings fit"))
    });
    RuleSet { revision: 1, rules: rules.collect() }
}
