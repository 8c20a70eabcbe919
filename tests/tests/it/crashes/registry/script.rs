//! What people and the host do to the rules of a home, one operation after the other.

use serde_json::{Map, Value, json};
use tamis_catalog::budgets::Budget;
use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::{RuleStep, Trial, TrialMode};
use tamis_catalog::{Actor, Change};
use tamis_engine::rules::Trip;
use tamis_model::Result;
use tamis_registry::seed::{Seed, SeedMode};
use tamis_registry::upload::Wait;
use tamis_registry::{Draft, Registry};
use tamis_tests::components;

/// The rule that people change.
pub const RULE: &str = "payment-direct-fraud";
/// The list that its plugin declares.
const LIST: &str = "high_risk_countries";
/// The rules of the home's files.
pub const OF_FILES: [&str; 3] = ["card-testing", "payments-by-currency", "psp-error-rate"];

/// The operations that are refused as things stand.
const REFUSED: [&str; 2] = ["approve one's own", "activate the active version"];

/// An operation, by a name that is its own.
pub struct Operation {
    pub name: &'static str,
    pub asks: Asks,
    /// Whether it is refused as things stand.
    pub is_refused: bool,
}

/// What is asked for.
pub enum Asks {
    TakeIn(&'static str),
    Sow(&'static str, SeedMode, Value),
    Upload,
    /// An upload whose process dies over it.
    BeginUpload,
    /// The host refuses what died.
    CloseDeadUploads,
    CreateRule,
    /// The version of this number, with these settings.
    CreateVersion(u32, Value),
    /// What somebody does to a version.
    Review(u32, VersionStep, &'static str),
    Step(RuleStep),
    Put(&'static [&'static str]),
    /// The host has stopped a version, on trial or not.
    Trip(u32, bool),
}

/// The life of a rule, beside those of the home's files.
pub fn script() -> Vec<Operation> {
    use Asks::{
        BeginUpload, CloseDeadUploads, CreateRule, CreateVersion, Put, Review, Sow, Step, TakeIn, Trip, Upload,
    };
    use VersionStep::{Approve, Reject, Submit};
    let shadow = |version| Step(RuleStep::Try(Trial { version, mode: TrialMode::Shadow }));
    let canary = |version| {
        let budget = Budget { rows_min: 1_000, errors_percent_max: 50.0, alerts_percent_max: None, window_rows: 1_000 };
        Step(RuleStep::Try(Trial { version, mode: TrialMode::Canary { canary_percent: 50, budget } }))
    };
    let activate = |version| Step(RuleStep::Activate { version });
    let operations = [
        ("take in the first plugin", TakeIn(OF_FILES[0])),
        ("take in the second plugin", TakeIn(OF_FILES[1])),
        ("take in the third plugin", TakeIn(OF_FILES[2])),
        ("sow an active rule", Sow(OF_FILES[0], SeedMode::Active, json!({}))),
        ("sow another active rule", Sow(OF_FILES[1], SeedMode::Active, json!({}))),
        ("sow a shadow", Sow(OF_FILES[2], SeedMode::Shadow, json!({}))),
        ("begin an upload", BeginUpload),
        ("refuse dead uploads", CloseDeadUploads),
        ("upload", Upload),
        ("create a rule", CreateRule),
        ("submit", Review(1, Submit, "alice")),
        ("approve one's own", Review(1, Approve, "alice")),
        ("approve", Review(1, Approve, "bob")),
        ("shadow", shadow(1)),
        ("canary of a rule without an active version", canary(1)),
        ("activate what is on trial", activate(1)),
        ("create a version", CreateVersion(2, json!({"risk_score_max": 95, "high_risk_countries": ["FR"]}))),
        ("submit another version", Review(2, Submit, "alice")),
        ("reject", Review(2, Reject, "bob")),
        ("submit again", Review(2, Submit, "alice")),
        ("approve another version", Review(2, Approve, "bob")),
        ("canary beside the active version", canary(2)),
        ("activate another version", activate(2)),
        ("roll back", Step(RuleStep::RollBack)),
        ("put a list", Put(&["FR", "KP"])),
        ("activate the active version", activate(1)),
        ("disable", Step(RuleStep::Disable)),
        ("enable", Step(RuleStep::Enable)),
        ("put a list again", Put(&["KP"])),
        ("shadow beside the active version", shadow(2)),
        ("end the trial", Step(RuleStep::EndTrial)),
        ("shadow that will trip", shadow(2)),
        ("trip of a shadow", Trip(2, true)),
        ("canary that will trip", canary(2)),
        ("trip of a canary", Trip(2, true)),
        ("trip of the active version", Trip(1, false)),
        ("activate instead of what tripped", activate(2)),
        ("sow a rule anew", Sow(OF_FILES[0], SeedMode::Active, json!({"attempts_max": 6}))),
        ("sow the end of a rule", Sow(OF_FILES[1], SeedMode::Disabled, json!({}))),
        ("sow the end of a trial", Sow(OF_FILES[2], SeedMode::Active, json!({"error_percent_max": 15}))),
    ];
    let operation = |(name, asks): (&'static str, Asks)| Operation { name, asks, is_refused: REFUSED.contains(&name) };
    operations.into_iter().map(operation).collect()
}

impl Asks {
    /// Whether it is refused when it was done already; everything else can be done again.
    pub fn is_done_once(&self) -> bool {
        matches!(self, Self::CreateRule | Self::Review(..) | Self::Step(_) | Self::Put(_))
    }

    /// The revision that somebody sees who asks for it.
    pub async fn seen(&self, registry: &Registry) -> Result<Option<u64>> {
        Ok(match self {
            Self::Review(..) | Self::Step(_) => registry.catalog().rule(RULE).await?.map(|rule| rule.revision),
            Self::Put(_) => registry.catalog().list(LIST).await?.map(|list| list.revision),
            _ => None,
        })
    }

    /// Asks for it, of a home that is at the revision that was seen.
    pub async fn ask(&self, registry: &Registry, seen: Option<u64>) -> Result<()> {
        let by = |subject: &str| Actor { subject: subject.to_owned(), token_id: None };
        let (alice, catalog) = (by("alice"), registry.catalog());
        let change = Change { actor: &alice, why: Some("a test"), at: 7 };
        match self {
            Self::TakeIn(plugin) => registry.take_in(component(plugin)).await,
            Self::Sow(rule, mode, config) => registry.sow(&seed(rule, *mode, config)).await,
            Self::BeginUpload => catalog.begin_upload(&"0".repeat(64), 1, &change).await.map(drop),
            Self::CloseDeadUploads => catalog.close_dead_uploads(7).await,
            Self::Upload => registry.upload(component(RULE), Wait::Built, &change).await.map(drop),
            Self::CreateRule => registry.create_rule(RULE, &Draft::default(), &change).await.map(drop),
            // One can have any number of drafts: whoever got no answer looks first.
            Self::CreateVersion(number, _) if catalog.rule_version(RULE, *number).await?.is_some() => Ok(()),
            Self::CreateVersion(_, config) => {
                let draft = Draft { config: Some(members(config)), ..Draft::default() };
                registry.create_version(RULE, &draft, &change).await.map(drop)
            }
            Self::Review(version, step, subject) => {
                let change = Change { actor: &by(subject), ..change };
                catalog.change_version(RULE, *version, *step, seen, &change).await.map(drop)
            }
            Self::Step(step) => registry.change_rule(RULE, step, seen, &change).await.map(drop),
            Self::Put(values) => {
                let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
                registry.put_list(LIST, &values, seen, &change).await.map(drop)
            }
            Self::Trip(version, trial) => {
                let reason = "it failed too often".to_owned();
                let trip = Trip { rule: RULE.to_owned(), version: *version, trial: *trial, reason };
                registry.record_trip(&trip, 7).await
            }
        }
    }
}

fn component(plugin: &str) -> Vec<u8> {
    std::fs::read(components::folder().join(plugin).with_extension("wasm")).unwrap()
}

fn seed(rule: &str, mode: SeedMode, config: &Value) -> Seed {
    // All crates of the workspace have the same.
    let plugin_version = env!("CARGO_PKG_VERSION").to_owned();
    let (name, plugin) = (rule.to_owned(), rule.to_owned());
    Seed { name, plugin, plugin_version, config: members(config), route: None, mode }
}

fn members(config: &Value) -> Map<String, Value> {
    config.as_object().unwrap().clone()
}
