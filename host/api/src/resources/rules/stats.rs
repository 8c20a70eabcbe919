//! What a rule does right now: what the stream counts of it, and how its code is doing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tamis_catalog::roles::Permission;
use tamis_catalog::rules::RuleMode;
use tamis_engine::report::{RuleCounts, RuleGauge};
use tamis_model::time::rfc3339_millis;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::RulePath;
use crate::access::Access;
use crate::app;
use crate::extract::Path;
use crate::problem::Problem;
use crate::routes::Routes;
use crate::streams::{StreamState, StreamStatus};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(get_rule_stats))
}

/// What a rule does.
#[derive(Serialize, ToSchema)]
struct RuleStats {
    /// The rule.
    #[schema(example = "card-testing")]
    rule: String,
    /// What it is to do.
    mode: RuleMode,
    /// What the stream does.
    stream: StreamState,
    /// When the stream was looked at, RFC 3339.
    updated_at: String,
    /// The version that judges.
    active: Option<VersionStats>,
    /// The version that is tried.
    trial: Option<VersionStats>,
}

/// What a version of a rule does. Counts go back to the first checkpoint and are those of all versions that were active,
/// or on trial, since then; times and keys are those of this version in this process, and null as long as the stream does
/// not run it.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct VersionStats {
    /// Its number.
    version: u32,
    /// Events judged; of a canary all of them, whatever its share.
    events: u64,
    /// Findings; beside a canary each version's own share of the keys counts.
    hits: u64,
    /// Findings whose alert had been raised before.
    repeated: u64,
    /// Events and keys that its code failed on.
    errors: u64,
    /// Rows emitted.
    emitted: u64,
    /// Alerts by severity.
    #[schema(example = json!({"critical": 3}))]
    alerts: BTreeMap<String, u64>,
    /// Keys that have state.
    keys: Option<u64>,
    /// Calls of its code.
    calls: Option<u64>,
    /// The median time of a call, in nanoseconds.
    call_ns_p50: Option<u64>,
    /// The time that 99 of 100 calls keep, in nanoseconds.
    call_ns_p99: Option<u64>,
    /// Why the host has stopped it.
    tripped: Option<String>,
}

impl VersionStats {
    fn of(status: &StreamStatus, rule: &str, version: u32, trial: bool) -> Self {
        let counts = &status.report.counts;
        let counted = if trial { &counts.trials } else { &counts.rules };
        let none = RuleCounts::default();
        let counted = counted.get(rule).unwrap_or(&none);
        let is_it = |gauge: &&RuleGauge| gauge.rule == rule && gauge.version == version && gauge.trial == trial;
        let gauge = status.rules.iter().find(is_it);
        Self {
            version,
            events: counted.judged,
            hits: counted.findings,
            repeated: counted.repeated,
            errors: counted.poisoned,
            emitted: counted.emitted,
            alerts: counted.alerts.iter().map(|(severity, count)| (severity.name().to_owned(), *count)).collect(),
            keys: gauge.map(|gauge| gauge.keys),
            calls: gauge.map(|gauge| gauge.calls),
            call_ns_p50: gauge.map(|gauge| gauge.call_ns_p50),
            call_ns_p99: gauge.map(|gauge| gauge.call_ns_p99),
            tripped: gauge.and_then(|gauge| gauge.tripped.clone()),
        }
    }
}

/// What a rule does: events, hits, errors, times and keys of the version that judges and of the one that is tried.
#[utoipa::path(
    get, path = "/rules/{name}/stats", tag = "rules", params(RulePath),
    responses((status = 200, description = "As of the last look at the stream, at most a second ago.", body = RuleStats)),
)]
async fn get_rule_stats(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
) -> Result<Json<RuleStats>, Problem> {
    let rule = app.rule(&name).await?;
    let status = app.api.streams.status.borrow();
    let active = rule.pointers.active_version.map(|version| VersionStats::of(&status, &name, version, false));
    let trial = rule.pointers.trial.as_ref().map(|trial| VersionStats::of(&status, &name, trial.version, true));
    Ok(Json(RuleStats {
        mode: rule.pointers.mode(),
        stream: status.state,
        updated_at: rfc3339_millis(status.updated_at),
        active,
        trial,
        rule: name,
    }))
}
