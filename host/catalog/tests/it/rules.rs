//! What runs of a rule: each change of it is told everywhere, a refused one leaves nothing but its audit row.

use serde_json::{Value, json};
use tamis_catalog::change::Action;
use tamis_catalog::rule_versions::VersionState;
use tamis_catalog::rules::{Pointers, RuleMode, RuleStep, Trial, TrialMode, Trip};
use tamis_catalog::{Change, Conflict, PageQuery};
use tamis_model::Kind;

use crate::home::{FIRST, Home, alice, by, conflict, shadow, version};

const RULE: &str = "card-testing";

fn canary(version: u32) -> RuleStep {
    let mode = json!({"mode": "canary", "version": version, "canary_percent": 10,
        "budget": {"rows_min": 100, "errors_percent_max": 1.0, "window_rows": 1000}});
    RuleStep::Try(serde_json::from_value(mode).unwrap())
}

async fn states(home: &Home) -> Vec<VersionState> {
    let versions = home.catalog.rule_versions(RULE, &FIRST).await.unwrap().items;
    versions.iter().rev().map(|version| version.state).collect()
}

#[tokio::test]
async fn a_new_rule_has_a_draft_and_runs_nothing() {
    let home = Home::with_rule(RULE).await;
    let rule = home.catalog.rule(RULE).await.unwrap().unwrap();
    assert_eq!((rule.revision, rule.created_by.as_str(), &rule.pointers), (1, "alice", &Pointers::default()));
    assert_eq!(rule.pointers.mode(), RuleMode::Disabled);
    assert_eq!(states(&home).await, [VersionState::Draft]);
    assert_eq!(home.catalog.rule_set_revision().await.unwrap(), 0, "nothing runs");

    let twice = home.catalog.create_rule(RULE, &version("1.0.0", 3), &by(&alice())).await;
    assert_eq!(conflict(twice), Conflict::Exists);
    let unnamed = home.catalog.create_rule("Not a name", &version("1.0.0", 3), &by(&alice())).await;
    assert_eq!(unnamed.unwrap_err().kind(), Kind::Invalid);
    let without_plugin = home.catalog.create_rule("other", &version("9.9.9", 3), &by(&alice())).await;
    assert_eq!(without_plugin.unwrap_err().kind(), Kind::Missing);
    assert_eq!(home.catalog.rule("other").await.unwrap(), None, "a refused rule leaves nothing behind");
}

/// All that can be done to a rule: the step, its name, and then the mode of the rule and the states of its two versions.
#[tokio::test]
async fn each_step_is_told_everywhere() {
    use VersionState::{Approved, Live, Retired};
    let home = Home::with_rule(RULE).await;
    home.approve(RULE, 1).await;
    home.approved(RULE, 5).await;
    let table = [
        (shadow(1), "rule.shadow", RuleMode::Shadow, [Approved, Approved]),
        (canary(1), "rule.canary", RuleMode::Canary, [Approved, Approved]),
        (RuleStep::Activate { version: 1 }, "rule.activate", RuleMode::Active, [Live, Approved]),
        (canary(2), "rule.canary", RuleMode::Active, [Live, Approved]),
        (RuleStep::EndTrial, "rule.end_trial", RuleMode::Active, [Live, Approved]),
        (RuleStep::Activate { version: 2 }, "rule.activate", RuleMode::Active, [Retired, Live]),
        (RuleStep::Disable, "rule.disable", RuleMode::Disabled, [Retired, Live]),
        (RuleStep::Enable, "rule.enable", RuleMode::Active, [Retired, Live]),
        (RuleStep::RollBack, "rule.roll_back", RuleMode::Active, [Live, Retired]),
    ];
    for (step, action, mode, expected) in table {
        let (before, traces) = (home.catalog.rule(RULE).await.unwrap().unwrap(), home.traces(RULE).await);
        let rule = home.step(RULE, &step).await.unwrap();
        assert_eq!(rule.pointers.mode(), mode, "{step:?}");
        assert_eq!(states(&home).await, expected, "{step:?}");
        assert_eq!(home.catalog.rule(RULE).await.unwrap().as_ref(), Some(&rule), "what comes back is what is stored");
        assert_eq!(rule.revision, before.revision + 1);
        let one_each = (traces.0 + 1, traces.1 + 1, traces.2 + 1, traces.3 + 1);
        assert_eq!(home.traces(RULE).await, one_each, "{step:?}: audit row, event, history row, rule set");

        let history = home.catalog.rule_history(RULE, &PageQuery { limit: 1, ..FIRST }).await.unwrap().items;
        assert_eq!((history[0].action.name(), history[0].revision), (action, rule.revision));
        assert_eq!((history[0].subject.as_str(), history[0].why.as_deref()), ("alice", Some("a test")));
        assert_ne!(history[0].before, history[0].after, "{step:?}");
        let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
        assert_eq!((audited.action.name(), audited.object.as_str()), (action, RULE));
        assert_eq!(audited.after.as_ref(), Some(&history[0].after));
        let event = &home.catalog.events_after(traces.1, 10).await.unwrap()[0];
        assert_eq!((event.kind.as_str(), event.object.as_str()), (action, RULE));
        assert_eq!((&event.data["subject"], &event.data["after"]), (&json!("alice"), &history[0].after));
    }
}

#[tokio::test]
async fn history_shows_what_differs() {
    let home = Home::with_rule(RULE).await;
    home.approve(RULE, 1).await;
    home.step(RULE, &RuleStep::Activate { version: 1 }).await.unwrap();
    let history = home.catalog.rule_history(RULE, &FIRST).await.unwrap().items;
    let told: Vec<(Action, &Value, &Value)> = history.iter().map(|row| (row.action, &row.before, &row.after)).collect();
    let state = |state: &str| json!({"version": 1, "state": state});
    let created = json!({"version": 1, "content": history[3].after["content"]});
    assert_eq!(
        told,
        [
            (
                Action::RuleActivate,
                &json!({"mode": "disabled", "active_version": null}),
                &json!({"mode": "active", "active_version": 1})
            ),
            (Action::VersionApprove, &state("in_review"), &state("approved")),
            (Action::VersionSubmit, &state("draft"), &state("in_review")),
            (Action::RuleCreate, &Value::Null, &created),
        ]
    );
    let page = home.catalog.rule_history(RULE, &PageQuery { cursor: Some("3"), limit: 1 }).await.unwrap();
    assert_eq!((&page.items[..], page.next_cursor.as_deref()), (&history[2..3], Some("2")));
}

#[tokio::test]
async fn a_refused_step_leaves_its_audit_row_alone() {
    let home = Home::with_rule(RULE).await;
    home.approved(RULE, 5).await;
    home.step(RULE, &RuleStep::Activate { version: 2 }).await.unwrap();
    let (before, alice) = (home.catalog.rule(RULE).await.unwrap(), alice());
    let table = [
        (RuleStep::Activate { version: 1 }, None, Conflict::State("the version is not approved".to_owned())),
        (canary(1), None, Conflict::State("the version is not approved".to_owned())),
        (shadow(2), None, Conflict::State("version 2 is active".to_owned())),
        (RuleStep::RollBack, None, Conflict::State("no version was live before".to_owned())),
        (RuleStep::Enable, None, Conflict::Unchanged),
        (RuleStep::EndTrial, None, Conflict::Unchanged),
        (RuleStep::Disable, Some(2), Conflict::Revision { expected: 2, found: 5 }),
    ];
    for (step, expected_revision, expected) in table {
        let traces = home.traces(RULE).await;
        let result = home.catalog.change_rule(RULE, &step, expected_revision, &by(&alice)).await;
        assert_eq!(conflict(result), expected, "{step:?}");
        assert_eq!(home.traces(RULE).await, (traces.0 + 1, traces.1, traces.2, traces.3), "{step:?}");
        let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
        assert_eq!((audited.action, audited.outcome.name()), (step.action(), "refused"));
        assert!(audited.reason.as_ref().unwrap().ends_with(&expected.to_string()), "{:?}", audited.reason);
    }
    // What makes no sense or names nothing is no conflict: it is not even audited.
    let silent = Change { why: None, ..by(&alice) };
    let traces = home.traces(RULE).await;
    for (step, change, kind) in [
        (shadow(9), by(&alice), Kind::Missing),
        (RuleStep::Activate { version: 9 }, by(&alice), Kind::Missing),
        (RuleStep::Disable, silent, Kind::Invalid),
        (RuleStep::RollBack, silent, Kind::Invalid),
    ] {
        let error = home.catalog.change_rule(RULE, &step, None, &change).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{step:?}: {}", error.chain());
    }
    assert_eq!(home.step("nobody", &RuleStep::Disable).await.unwrap_err().kind(), Kind::Missing);
    assert_eq!(home.traces(RULE).await, traces);
    assert_eq!(home.catalog.rule(RULE).await.unwrap(), before);
}

#[tokio::test]
async fn a_canary_has_a_share_and_a_budget_that_make_sense() {
    let home = Home::with_rule(RULE).await;
    home.approve(RULE, 1).await;
    for (canary_percent, rows_min) in [(0, 100), (100, 100), (10, 1_001)] {
        let RuleStep::Try(Trial { mode: TrialMode::Canary { budget, .. }, .. }) = canary(1) else { unreachable!() };
        let budget = tamis_catalog::budgets::Budget { rows_min, ..budget };
        let step = RuleStep::Try(Trial { version: 1, mode: TrialMode::Canary { canary_percent, budget } });
        assert_eq!(home.step(RULE, &step).await.unwrap_err().kind(), Kind::Invalid, "{canary_percent} %, {rows_min}");
    }
}

#[tokio::test]
async fn the_host_ends_a_canary_and_takes_a_rule_down() {
    let home = Home::with_rule(RULE).await;
    home.approve(RULE, 1).await;
    home.approved(RULE, 5).await;
    home.step(RULE, &RuleStep::Activate { version: 1 }).await.unwrap();
    home.step(RULE, &canary(2)).await.unwrap();
    let trip = async |version, trial| {
        let trip = Trip { version, trial, reason: "it failed on 6 of 100 events" };
        home.catalog.trip(RULE, &trip, 9).await.unwrap()
    };

    let traces = home.traces(RULE).await;
    assert_eq!(trip(3, true).await, None, "it is not on trial");
    assert_eq!(home.traces(RULE).await, traces);
    let rule = trip(2, true).await.unwrap();
    assert_eq!((rule.pointers.mode(), &rule.pointers.trial), (RuleMode::Active, &None));
    assert_eq!(trip(2, true).await, None, "once");
    let rule = trip(1, false).await.unwrap();
    assert_eq!((rule.pointers.mode(), rule.pointers.active_version), (RuleMode::Disabled, Some(1)));
    assert_eq!(home.traces(RULE).await, (traces.0 + 2, traces.1 + 2, traces.2 + 2, traces.3 + 2));

    let history = home.catalog.rule_history(RULE, &FIRST).await.unwrap().items;
    let told: Vec<_> = history[..2].iter().map(|row| (row.subject.as_str(), row.action.name(), row.version)).collect();
    assert_eq!(told, [("system", "rule.trip", Some(1)), ("system", "rule.roll_back_canary", Some(2))]);
    let alerts = home.catalog.all_operational_alerts(&FIRST).await.unwrap().items;
    let told: Vec<_> = alerts.iter().map(|row| (row.alert.kind.as_str(), row.alert.message.as_str())).collect();
    assert_eq!(
        told,
        [
            ("rule_tripped", "version 1 was stopped: it failed on 6 of 100 events"),
            ("canary_rolled_back", "version 2 was stopped: it failed on 6 of 100 events"),
        ]
    );
    assert_eq!(home.step(RULE, &RuleStep::Enable).await.unwrap().pointers.mode(), RuleMode::Active);
}

#[tokio::test]
async fn rules_are_listed_by_name() {
    let home = Home::with_rule("b").await;
    for name in ["c", "a"] {
        home.catalog.create_rule(name, &version("1.0.0", 3), &by(&alice())).await.unwrap();
    }
    let page = home.catalog.rules(&PageQuery { limit: 2, ..FIRST }).await.unwrap();
    let rest = home.catalog.rules(&PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST }).await.unwrap();
    let names: Vec<_> = page.items.iter().chain(&rest.items).map(|rule| rule.name.as_str()).collect();
    assert_eq!((names, rest.next_cursor), (vec!["a", "b", "c"], None));
}
