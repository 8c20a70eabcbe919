//! Changes of rules: each one transaction with its history, its audit row, its event, and, when another thing runs than
//! before, a new revision of the rule set.

use serde_json::{Value, json};
use sqlx::types::Json;
use tamis_model::Result;
use tamis_model::time::Millis;

use super::{Pointers, Rule, RuleStep, Trip, find};
use crate::change::{Action, Actor, Change, Write, Written};
use crate::conflict::Conflict;
use crate::diff::diff;
use crate::expected::Expected;
use crate::operations::{OperationalAlert, Trouble};
use crate::rule_versions::{NewVersion, VersionState, change as rule_versions};
use crate::{Catalog, names, operations, rule_history, rule_sets};

impl Catalog {
    /// Makes a rule with its first version, a draft.
    pub async fn create_rule(&self, name: &str, first: &NewVersion, change: &Change<'_>) -> Result<Rule> {
        names::check_rule_name(name)?;
        let mut write = self.change(Action::RuleCreate, name, change).await?;
        let result = create(&mut write, first).await;
        write.finish(result).await
    }

    /// Does a step to a rule, if things stand as expected.
    pub async fn change_rule(
        &self,
        name: &str,
        step: &RuleStep,
        expected: impl Into<Expected>,
        change: &Change<'_>,
    ) -> Result<Rule> {
        let expected = expected.into();
        let mut write = self.change(step.action(), name, change).await?;
        let result = apply(&mut write, step, &expected).await;
        write.finish(result).await
    }

    /// Stops a version of a rule on the host's own account, and tells whoever must look at it. None when the version no
    /// longer runs as it did: somebody was faster.
    pub async fn trip(&self, name: &str, trip: &Trip<'_>, now: Millis) -> Result<Option<Rule>> {
        let system = Actor::system();
        let change = Change { actor: &system, why: Some(trip.reason), at: now };
        let mut write = self.change(Action::RuleTrip, name, &change).await?;
        let rule = load(&mut write, None).await?;
        let Some((pointers, action, trouble)) = rule.pointers.after_trip(trip) else {
            return Ok(None);
        };
        write.becomes(action);
        let result = stop(&mut write, &rule, pointers, trip, trouble).await;
        write.finish(result).await.map(Some)
    }
}

/// The rule of a change, at the revision that its caller expects.
pub(crate) async fn load(write: &mut Write<'_>, expected_revision: Option<u64>) -> Result<Rule> {
    let found = find(&mut *write.transaction, write.object).await?;
    let rule = found.ok_or_else(|| write.missing("there is no rule of this name"))?;
    write.expect_revision(expected_revision, rule.revision)?;
    Ok(rule)
}

/// The next revision of a rule, with its history; `version` is the one that it is about.
pub(crate) async fn advance(
    write: &mut Write<'_>,
    rule: &Rule,
    version: Option<u32>,
    before: &Value,
    after: &Value,
) -> Result<Rule> {
    let next = Rule { revision: rule.revision + 1, changed_at: write.at(), ..rule.clone() };
    let query = sqlx::query("UPDATE rules SET revision = ?, changed_at = ? WHERE name = ?");
    write.execute(query.bind(next.revision.cast_signed()).bind(&next.changed_at).bind(&next.name)).await?;
    rule_history::append(write, next.revision, version, before, after).await?;
    Ok(next)
}

async fn create(write: &mut Write<'_>, first: &NewVersion) -> Result<Written<Rule>> {
    let query = sqlx::query(
        "INSERT INTO rules (name, revision, disabled, live_before, created_by, created_at, changed_at) \
         VALUES (?, 1, 0, '[]', ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let query = query.bind(write.object).bind(write.subject()).bind(write.at()).bind(write.at());
    if write.execute(query).await? == 0 {
        return Err(write.refuse(Conflict::Exists));
    }
    let version = rule_versions::insert(write, 1, first).await?;
    let after = version.shown();
    rule_history::append(write, 1, Some(1), &Value::Null, &after).await?;
    Ok(Written { value: load(write, None).await?, before: Value::Null, after })
}

async fn apply(write: &mut Write<'_>, step: &RuleStep, expected: &Expected) -> Result<Written<Rule>> {
    let rule = load(write, expected.revision).await?;
    write.expect_checked(&expected.checked, Some(rule.revision)).await?;
    if step.needs_why() {
        write.expect_why()?;
    }
    if let RuleStep::Try(trial) = step {
        trial.check().map_err(|reason| write.invalid(reason))?;
    }
    let target = match step.target() {
        Some(number) => Some(rule_versions::load(write, number).await?.state),
        None => None,
    };
    let pointers = rule.pointers.after(step, target).map_err(|conflict| write.refuse(conflict))?;
    let version = match step {
        RuleStep::RollBack => pointers.active_version,
        _ => step.target(),
    };
    point(write, &rule, pointers, version).await
}

async fn stop(
    write: &mut Write<'_>,
    rule: &Rule,
    pointers: Pointers,
    trip: &Trip<'_>,
    trouble: Trouble,
) -> Result<Written<Rule>> {
    let message = format!("version {} was stopped: {}", trip.version, trip.reason);
    let alert = OperationalAlert::new(None, trouble, &rule.name, &message, write.change.at);
    operations::insert(&mut *write.transaction, &alert).await?;
    point(write, rule, pointers, Some(trip.version)).await
}

/// Gives a rule other pointers, and all that goes with it.
async fn point(write: &mut Write<'_>, rule: &Rule, next: Pointers, version: Option<u32>) -> Result<Written<Rule>> {
    let (before, after) = diff(&shown(&rule.pointers), &shown(&next));
    let (old, new) = (rule.pointers.active_version, next.active_version);
    if old != new {
        // The old one first: one version of a rule is live at a time.
        for (number, state) in [(old, VersionState::Retired), (new, VersionState::Live)] {
            if let Some(number) = number {
                rule_versions::set_state(write, number, state).await?;
            }
        }
    }
    let query =
        sqlx::query("UPDATE rules SET active_version = ?, trial = ?, disabled = ?, live_before = ? WHERE name = ?");
    let query = query.bind(new).bind(next.trial.as_ref().map(Json)).bind(next.disabled).bind(Json(&next.live_before));
    write.execute(query.bind(&rule.name)).await?;
    if next != rule.pointers {
        rule_sets::bump(write).await?;
    }
    let rule = Rule { pointers: next, ..advance(write, rule, version, &before, &after).await? };
    Ok(Written { value: rule, before, after })
}

/// What people see of the pointers.
fn shown(pointers: &Pointers) -> Value {
    json!({
        "mode": pointers.mode(), "active_version": pointers.active_version, "trial": pointers.trial,
        "disabled": pointers.disabled,
    })
}
