//! The table of steps: what each makes of the pointers, and where it is refused.

use super::*;
use crate::budgets::Budget;

const APPROVED: Option<VersionState> = Some(VersionState::Approved);
const NOT_APPROVED: &str = "the version is not approved";

fn pointers(active_version: u32, trial: Option<Trial>, live_before: &[u32]) -> Pointers {
    let active_version = (active_version > 0).then_some(active_version);
    Pointers { active_version, trial, disabled: false, live_before: live_before.to_vec() }
}

fn disabled(pointers: Pointers) -> Pointers {
    Pointers { disabled: true, ..pointers }
}

fn shadow(version: u32) -> Trial {
    Trial { version, mode: TrialMode::Shadow }
}

fn canary(version: u32) -> Trial {
    let budget = Budget { rows_min: 100, errors_percent_max: 1.0, alerts_percent_max: None, window_rows: 1_000 };
    Trial { version, mode: TrialMode::Canary { canary_percent: 10, budget } }
}

/// What a step makes of the pointers, or why it is refused.
#[track_caller]
fn check(before: &Pointers, step: &RuleStep, target: Option<VersionState>, expected: Result<Pointers, &str>) {
    let found = before.after(step, target).map_err(|conflict| conflict.to_string());
    assert_eq!(found, expected.map_err(str::to_owned), "{step:?} of {target:?}");
}

#[test]
fn a_version_of_any_state_is_tried_in_shadow_only_an_approved_one_as_canary() {
    for state in VersionState::ALL {
        let (target, approved) = (Some(*state), !matches!(state, VersionState::Draft | VersionState::InReview));
        for before in [pointers(0, None, &[]), pointers(1, None, &[]), pointers(1, Some(shadow(3)), &[])] {
            let after = |trial| Pointers { trial: Some(trial), ..before.clone() };
            check(&before, &RuleStep::Try(shadow(2)), target, Ok(after(shadow(2))));
            let expected = if approved { Ok(after(canary(2))) } else { Err(NOT_APPROVED) };
            check(&before, &RuleStep::Try(canary(2)), target, expected);
        }
    }
}

#[test]
fn a_trial_is_of_another_version_than_the_active_one_and_of_a_rule_that_is_not_disabled() {
    for trial in [shadow(1), canary(1)] {
        let step = RuleStep::Try(trial);
        check(&pointers(1, None, &[]), &step, APPROVED, Err("version 1 is active"));
        let stopped = disabled(pointers(0, None, &[]));
        check(&stopped, &step, APPROVED, Err("the rule is disabled, enable it first"));
    }
}

#[test]
fn only_what_was_approved_judges() {
    let before = pointers(1, Some(shadow(3)), &[]);
    let step = RuleStep::Activate { version: 2 };
    for state in VersionState::ALL {
        let approved = !matches!(state, VersionState::Draft | VersionState::InReview);
        let expected = if approved { Ok(pointers(2, Some(shadow(3)), &[1])) } else { Err(NOT_APPROVED) };
        check(&before, &step, Some(*state), expected);
    }
}

#[test]
fn an_activation_ends_the_trial_of_its_version_and_takes_the_kill_switch_back() {
    let step = RuleStep::Activate { version: 2 };
    check(&pointers(0, None, &[]), &step, APPROVED, Ok(pointers(2, None, &[])));
    check(&pointers(1, Some(canary(2)), &[]), &step, APPROVED, Ok(pointers(2, None, &[1])));
    check(&disabled(pointers(1, None, &[])), &step, APPROVED, Ok(pointers(2, None, &[1])));
    check(&disabled(pointers(2, None, &[1])), &step, Some(VersionState::Live), Ok(pointers(2, None, &[1])));
    // Nothing else is revived.
    check(&disabled(pointers(1, Some(canary(3)), &[])), &step, APPROVED, Ok(pointers(2, None, &[1])));
    check(&disabled(pointers(2, Some(shadow(3)), &[])), &step, Some(VersionState::Live), Ok(pointers(2, None, &[])));
}

#[test]
fn each_roll_back_goes_one_activation_back() {
    let mut now = pointers(0, None, &[]);
    for version in [1, 2, 3, 2] {
        now = now.after(&RuleStep::Activate { version }, APPROVED).unwrap();
    }
    assert_eq!(now, pointers(2, None, &[1, 2, 3]));
    for expected in [pointers(3, None, &[1, 2]), pointers(2, None, &[1]), pointers(1, None, &[])] {
        check(&now, &RuleStep::RollBack, None, Ok(expected.clone()));
        now = expected;
    }
    check(&now, &RuleStep::RollBack, None, Err("no version was live before"));

    let tried = pointers(2, Some(shadow(1)), &[1]);
    check(&tried, &RuleStep::RollBack, None, Ok(pointers(1, None, &[])));
    let stopped = disabled(pointers(2, Some(shadow(3)), &[1]));
    check(&stopped, &RuleStep::RollBack, None, Ok(disabled(pointers(1, Some(shadow(3)), &[]))));
}

#[test]
fn the_way_back_is_bounded() {
    let mut now = pointers(0, None, &[]);
    for version in 1..=100 {
        now = now.after(&RuleStep::Activate { version }, APPROVED).unwrap();
    }
    assert_eq!(now.live_before, (68..=99).collect::<Vec<_>>());
}

#[test]
fn the_kill_switch_works_in_every_state_and_keeps_the_pointers() {
    for before in [
        pointers(0, None, &[]),
        pointers(1, None, &[]),
        pointers(1, Some(shadow(2)), &[3]),
        pointers(0, Some(canary(2)), &[]),
    ] {
        let stopped = disabled(before.clone());
        check(&before, &RuleStep::Disable, None, Ok(stopped.clone()));
        check(&stopped, &RuleStep::Disable, None, Ok(stopped.clone()));
        check(&stopped, &RuleStep::Enable, None, Ok(before));
    }
}

#[test]
fn a_step_that_changes_nothing_is_refused() {
    let before = pointers(1, Some(shadow(2)), &[]);
    let unchanged = Err("nothing would change");
    check(&before, &RuleStep::Try(shadow(2)), APPROVED, unchanged.clone());
    check(&before, &RuleStep::Activate { version: 1 }, Some(VersionState::Live), unchanged.clone());
    check(&before, &RuleStep::Enable, None, unchanged.clone());
    check(&pointers(1, None, &[]), &RuleStep::EndTrial, None, unchanged);
    check(&before, &RuleStep::EndTrial, None, Ok(pointers(1, None, &[])));
}

#[test]
fn the_host_stops_what_still_runs_as_it_did() {
    let check = |before: &Pointers, version, trial, expected: Option<(Pointers, Action, Trouble)>| {
        let trip = Trip { version, trial, reason: "it failed" };
        assert_eq!(before.after_trip(&trip), expected, "{trip:?} of {before:?}");
    };
    let (in_shadow, as_canary) = (pointers(1, Some(shadow(2)), &[]), pointers(1, Some(canary(2)), &[]));
    let alone = pointers(1, None, &[]);
    check(&in_shadow, 2, true, Some((alone.clone(), Action::RuleTrip, Trouble::RuleTripped)));
    check(&as_canary, 2, true, Some((alone.clone(), Action::RuleRollBackCanary, Trouble::CanaryRolledBack)));
    let stopped = disabled(as_canary.clone());
    check(&as_canary, 1, false, Some((stopped.clone(), Action::RuleTrip, Trouble::RuleTripped)));
    // Somebody was faster: ended the trial, tries another version, made it the active one, pulled the kill switch.
    for (before, version, trial) in
        [(&alone, 2, true), (&as_canary, 3, true), (&pointers(2, None, &[1]), 2, true), (&alone, 2, false)]
    {
        check(before, version, trial, None);
    }
    check(&stopped, 1, false, None);
    check(&stopped, 2, true, None);
}

#[test]
fn each_step_has_its_name_and_its_permission() {
    let check = |step: RuleStep, action: &str, permission: &str| {
        assert_eq!((step.action().name(), step.permission().name()), (action, permission), "{step:?}");
    };
    check(RuleStep::Try(shadow(1)), "rule.shadow", "rules:write");
    check(RuleStep::EndTrial, "rule.end_trial", "rules:write");
    check(RuleStep::Try(canary(1)), "rule.canary", "rules:activate");
    check(RuleStep::Activate { version: 1 }, "rule.activate", "rules:activate");
    check(RuleStep::RollBack, "rule.roll_back", "rules:activate");
    check(RuleStep::Enable, "rule.enable", "rules:activate");
    check(RuleStep::Disable, "rule.disable", "rules:disable");
}
