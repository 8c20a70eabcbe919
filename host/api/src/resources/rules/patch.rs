//! What of a rule runs: tried, put to work, stopped, rolled back.

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use tamis_catalog::Action;
use tamis_catalog::budgets::Budget;
use tamis_catalog::roles::Permission;
use tamis_catalog::rules::{Rule, RuleStep, Trial, TrialMode};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa_axum::routes;

use super::{RulePath, RuleView};
use crate::access::{Access, Caller, Undecided};
use crate::app::{self, App};
use crate::effect::{Effect, effect};
use crate::etag::{IfMatch, IfMatchHeader, Tagged};
use crate::extract::{Json as Body, Path, Why};
use crate::openapi::{Conflicts, Preconditions};
use crate::problem::Problem;
use crate::routes::Routes;

/// What steps can need; see [`RuleStep::permission`].
const PERMISSIONS: &[Permission] = &[Permission::RulesWrite, Permission::RulesActivate, Permission::RulesDisable];

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(Access::ByBody(PERMISSIONS), routes!(change_rule))
        .add(Access::Write(Permission::RulesActivate, Action::RuleRollBack), routes!(roll_back_rule))
}

/// A rule that was changed.
#[derive(Serialize, ToSchema)]
struct ChangedRule {
    #[serde(flatten)]
    rule: RuleView,
    #[serde(flatten)]
    effect: Effect,
}

/// What is to be done to a rule.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
enum RulePatch {
    /// Something of it is to run, or nothing.
    Mode(ModePatch),
    /// Nothing of it is to be tried any more.
    Trial(TrialPatch),
}

/// What of a rule is to run.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum ModePatch {
    /// The kill switch: nothing of the rule runs, and what ran is kept in mind. Needs `rules:disable`.
    Disabled {
        /// Why, in your words.
        why: Why,
    },
    /// A version is tried on all keys; its alerts do not count. Needs `rules:write`.
    Shadow {
        /// Which version.
        #[schema(minimum = 1)]
        version: u32,
        /// Why, in your words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
    },
    /// A version is tried on some of the keys in place of the active one; its alerts count. Needs `rules:activate`.
    Canary {
        /// Which version.
        #[schema(minimum = 1)]
        version: u32,
        /// Of how many keys in a hundred.
        #[schema(minimum = 1, maximum = 99)]
        canary_percent: u8,
        /// What it must keep to, or the host ends the trial.
        budget: Budget,
        /// Why, in your words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
    },
    /// A version judges; when the rule was disabled, its trial ends. Needs `rules:activate`.
    Active {
        /// Which version; absent = all goes on that the kill switch stopped.
        #[schema(minimum = 1)]
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
        /// Why, in your words.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<Why>,
    },
}

/// Ends the trial. Needs `rules:write`.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TrialPatch {
    /// null.
    #[schema(schema_with = null, required)]
    trial: (),
    /// Why, in your words.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// Which of both it is decides a member, so that an error is about that one.
impl<'de> Deserialize<'de> for RulePatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        let is_mode = !members.contains_key("trial");
        let value = Value::Object(members);
        let read = if is_mode {
            serde_json::from_value(value).map(Self::Mode)
        } else {
            serde_json::from_value(value).map(Self::Trial)
        };
        read.map_err(de::Error::custom)
    }
}

impl RulePatch {
    /// The step that it asks for, and why.
    fn step(self) -> (RuleStep, Option<Why>) {
        match self {
            Self::Trial(TrialPatch { trial: (), why }) => (RuleStep::EndTrial, why),
            Self::Mode(ModePatch::Disabled { why }) => (RuleStep::Disable, Some(why)),
            Self::Mode(ModePatch::Shadow { version, why }) => {
                (RuleStep::Try(Trial { version, mode: TrialMode::Shadow }), why)
            }
            Self::Mode(ModePatch::Canary { version, canary_percent, budget, why }) => {
                (RuleStep::Try(Trial { version, mode: TrialMode::Canary { canary_percent, budget } }), why)
            }
            Self::Mode(ModePatch::Active { version: Some(version), why }) => (RuleStep::Activate { version }, why),
            Self::Mode(ModePatch::Active { version: None, why }) => (RuleStep::Enable, why),
        }
    }
}

/// The body of what must not be done without a reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MustSayWhy {
    /// Why, in your words.
    pub why: Why,
}

/// Lets another version of a rule run, or nothing of it.
///
/// Waits up to a second for the stream, and says whether it works by the change.
#[utoipa::path(
    patch, path = "/rules/{name}", tag = "rules",
    params(RulePath, IfMatchHeader),
    request_body(content = RulePatch, examples(
        ("disable" = (value = json!({"mode": "disabled", "why": "floods the desk"}))),
        ("shadow" = (value = json!({"mode": "shadow", "version": 2}))),
        ("canary" = (value = json!({
            "mode": "canary", "version": 2, "canary_percent": 10,
            "budget": {"rows_min": 1000, "errors_percent_max": 1.0, "alerts_percent_max": 5.0, "window_rows": 10000},
        }))),
        ("activate" = (value = json!({"mode": "active", "version": 2}))),
        ("enable" = (value = json!({"mode": "active"}))),
        ("end_trial" = (value = json!({"trial": null}))),
    )),
    responses(
        (status = 200, description = "The rule as it is now.", body = ChangedRule, headers(("ETag" = String))),
        Conflicts, Preconditions,
    ),
)]
async fn change_rule(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
    caller: Undecided,
    if_match: Result<IfMatch, Problem>,
    Body(patch): Body<RulePatch>,
) -> Result<Tagged<ChangedRule>, Problem> {
    let (step, why) = patch.step();
    let caller = caller.require(&app, step.permission(), step.action(), &name).await?;
    do_step(&app, &name, &step, &caller, why.as_ref(), if_match?).await
}

/// Lets the version judge again that was live before.
///
/// Done once more, it is the one before that. Waits for the stream as a change does.
#[utoipa::path(
    post, path = "/rules/{name}/rollback", tag = "rules",
    params(RulePath, IfMatchHeader),
    request_body = MustSayWhy,
    responses(
        (status = 200, description = "The rule as it is now.", body = ChangedRule, headers(("ETag" = String))),
        Conflicts, Preconditions,
    ),
)]
async fn roll_back_rule(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
    caller: Caller,
    if_match: IfMatch,
    Body(MustSayWhy { why }): Body<MustSayWhy>,
) -> Result<Tagged<ChangedRule>, Problem> {
    do_step(&app, &name, &RuleStep::RollBack, &caller, Some(&why), if_match).await
}

async fn do_step(
    app: &App,
    name: &str,
    step: &RuleStep,
    caller: &Caller,
    why: Option<&Why>,
    if_match: IfMatch,
) -> Result<Tagged<ChangedRule>, Problem> {
    let Rule { revision, .. } = app.rule(name).await?;
    let expected = if_match.expected(revision);
    let change = caller.change(app, why.map(AsRef::as_ref));
    let rule = app.registry().change_rule(name, step, expected, &change).await.map_err(Problem::of_body)?;
    let revision = rule.revision;
    Ok(Tagged { revision, body: ChangedRule { rule: rule.into(), effect: effect(app).await } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_one_step() {
        let budget = Budget { rows_min: 1, errors_percent_max: 2.0, alerts_percent_max: None, window_rows: 3 };
        let check = |body: Value, expected: RuleStep| {
            let patch: RulePatch = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(serde_json::to_value(&patch).unwrap(), body, "it is written as it is read");
            assert_eq!(patch.step().0, expected, "{body}");
        };
        check(json!({"mode": "disabled", "why": "w"}), RuleStep::Disable);
        check(json!({"mode": "active"}), RuleStep::Enable);
        check(json!({"mode": "active", "version": 2, "why": "w"}), RuleStep::Activate { version: 2 });
        check(json!({"trial": null}), RuleStep::EndTrial);
        check(json!({"mode": "shadow", "version": 2}), RuleStep::Try(Trial { version: 2, mode: TrialMode::Shadow }));
        let canary = json!({"mode": "canary", "version": 2, "canary_percent": 10,
                            "budget": {"rows_min": 1, "errors_percent_max": 2.0, "window_rows": 3}});
        let mode = TrialMode::Canary { canary_percent: 10, budget };
        check(canary, RuleStep::Try(Trial { version: 2, mode }));
    }

    #[test]
    fn what_is_no_step_is_refused_with_the_reason() {
        let check = |body: Value, reason: &str| {
            let error = serde_json::from_value::<RulePatch>(body.clone()).unwrap_err().to_string();
            assert!(error.contains(reason), "{body}: {error}");
        };
        check(json!({}), "missing field `mode`");
        check(json!({"mode": "off"}), "unknown variant `off`");
        check(json!({"mode": "disabled"}), "missing field `why`");
        check(json!({"mode": "shadow"}), "missing field `version`");
        check(json!({"mode": "shadow", "version": 1, "canary_percent": 3}), "unknown field `canary_percent`");
        check(json!({"mode": "canary", "version": 1, "canary_percent": 300}), "300");
        check(json!({"trial": {"version": 1}}), "expected unit");
        check(json!({"trial": null, "mode": "active"}), "unknown field `mode`");
        check(json!([]), "invalid type");
    }
}
