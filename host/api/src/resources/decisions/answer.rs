//! The answer to a request for decisions, as it is sent.

use serde::Serialize;
use tamis_engine::decisions::{Decision, Outcome, RuleResult, Verdict};
use tamis_engine::rules::Role;
use tamis_model::alert::{AlertContext, AlertMode};
use tamis_model::rule::Severity;
use utoipa::ToSchema;

use crate::decisions::text_of;

/// What came of the events.
#[derive(Serialize, ToSchema)]
pub(super) struct DecisionAnswer {
    /// The request's id; the header `tamis.decision` of the records has it.
    #[schema(example = "6f1a0c0e9d3b4f57a8c2d1e0f3b4a596")]
    id: String,
    /// Of each event, in the order in which they were sent.
    decisions: Vec<EventDecision>,
}

impl DecisionAnswer {
    pub fn new(id: u128, decisions: &[Decision]) -> Self {
        Self { id: text_of(id), decisions: decisions.iter().map(EventDecision::from).collect() }
    }
}

/// What came of an event.
#[derive(Serialize, ToSchema)]
struct EventDecision {
    /// The partition in which it is.
    partition: u32,
    /// Its offset there.
    offset: i64,
    /// Whether rules judged it.
    outcome: EventOutcome,
    /// Of a refused event: why, a stable name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "missing_field")]
    reason: Option<String>,
    /// Of a refused event: why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Whether it lay behind the watermark of its partition: windows leave it out.
    late: bool,
    /// The revision of the rules that were at work.
    rule_set_revision: u64,
    /// The worst that a rule said whose alerts count; null when none fired.
    severity: Option<Severity>,
    /// What each version said that judged the event.
    rules: Vec<RuleDecision>,
}

/// Whether rules judged an event.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EventOutcome {
    /// They did.
    Judged,
    /// It could not be decoded, or its time cannot be: it is among the dead letters.
    Refused,
}

/// What a version of a rule said of an event.
#[derive(Serialize, ToSchema)]
struct RuleDecision {
    /// The rule.
    #[schema(example = "card-testing")]
    rule: String,
    /// The number of the version.
    version: u32,
    /// Its plugin.
    plugin: String,
    /// The plugin's version.
    plugin_version: String,
    /// Whether its alerts count: those of a version in shadow do not.
    mode: VersionMode,
    /// What it said when it judged the event. What a window will say when it closes is not known yet.
    result: RuleVerdict,
    /// Of a hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    hit: Option<RuleHit>,
    /// Of an error: why its code failed, a stable name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "deadline")]
    reason: Option<String>,
    /// Of an error: in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// How a version of a rule runs.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum VersionMode {
    /// It judges.
    Active,
    /// It is tried; its alerts count for a share of the keys, of which the event's is one.
    Canary,
    /// It is tried; its alerts do not count.
    Shadow,
}

/// What a rule said of an event.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RuleVerdict {
    /// It fired.
    Hit,
    /// It did not.
    NoHit,
    /// Its code failed: the event has a dead letter.
    Error,
}

/// An alert about an event.
#[derive(Serialize, ToSchema)]
struct RuleHit {
    /// Its id.
    alert_id: String,
    /// How bad it is.
    severity: Severity,
    /// The criteria that hold.
    criteria: Vec<String>,
    /// The values that made the rule fire.
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    context: AlertContext,
    /// Whether it was raised before, about an event with the same id: then it was not written again.
    repeated: bool,
}

impl From<&Decision> for EventDecision {
    fn from(decision: &Decision) -> Self {
        let Decision { partition, offset, revision, outcome } = decision;
        let mut event = Self {
            partition: partition.number,
            offset: *offset,
            outcome: EventOutcome::Judged,
            reason: None,
            message: None,
            late: false,
            rule_set_revision: *revision,
            severity: None,
            rules: Vec::new(),
        };
        match outcome {
            Outcome::Judged { late, rules } => {
                event.late = *late;
                event.severity = rules.iter().filter_map(severity).max();
                event.rules = rules.iter().map(RuleDecision::from).collect();
            }
            Outcome::Refused { reason, message } => {
                event.outcome = EventOutcome::Refused;
                (event.reason, event.message) = (Some(reason.to_string()), Some(message.clone()));
            }
        }
        event
    }
}

/// How bad a hit is that counts.
fn severity(result: &RuleResult) -> Option<Severity> {
    match &result.verdict {
        Verdict::Hit(hit) if result.role.alert_mode() == AlertMode::Live => Some(hit.severity),
        _ => None,
    }
}

impl From<&RuleResult> for RuleDecision {
    fn from(RuleResult { rule, version, plugin, plugin_version, role, verdict }: &RuleResult) -> Self {
        let mut decision = Self {
            rule: rule.clone(),
            version: *version,
            plugin: plugin.clone(),
            plugin_version: plugin_version.clone(),
            mode: match role {
                Role::Active => VersionMode::Active,
                Role::Canary { .. } => VersionMode::Canary,
                Role::Shadow => VersionMode::Shadow,
            },
            result: RuleVerdict::NoHit,
            hit: None,
            reason: None,
            message: None,
        };
        match verdict {
            Verdict::NoHit => {}
            Verdict::Hit(hit) => {
                decision.result = RuleVerdict::Hit;
                decision.hit = Some(RuleHit {
                    alert_id: hit.alert_id.clone(),
                    severity: hit.severity,
                    criteria: hit.criteria.clone(),
                    context: hit.context.clone(),
                    repeated: hit.repeated,
                });
            }
            Verdict::Error { reason, message } => {
                decision.result = RuleVerdict::Error;
                (decision.reason, decision.message) = (Some(reason.to_string()), Some(message.clone()));
            }
        }
        decision
    }
}
