//! Rules with a key: state passes through bisection as if the poison rows had not been there.

use serde_json::Value;
use tamis_model::rule::{Judged, NEVER, NOT_JUDGED, Rule, Subject};
use tamis_plugin::SandboxedRule;

use crate::fixture::*;

fn keyed(manifest: &Value) -> SandboxedRule {
    load("hostile-rule", manifest).rule("{}").unwrap()
}

fn states(judged: &Judged) -> Vec<String> {
    let states = judged.states.as_strings();
    (0..states.len()).map(|i| String::from_utf8(states.get(i).to_vec()).unwrap()).collect()
}

#[test]
fn states_and_wakes_belong_to_their_keys() {
    let rows = Rows::keyed(&["x"; 4], &[1, 0, NOT_JUDGED, 1], &[("a", "10"), ("b", "")]);
    let judged = keyed(&keyed_manifest()).apply(&rows.view()).unwrap();
    assert_eq!(
        (found(&judged), states(&judged), judged.wakes),
        (vec![0, 1, 3], vec!["11".into(), "2".into()], vec![11, 2])
    );
}

#[test]
fn each_breach_is_isolated_and_the_counts_of_the_others_are_right() {
    let mut rule = keyed(&keyed_manifest());
    for (command, words) in [
        ("trap", "unreachable"),
        ("too_few_states", "states for"),
        ("falling_states", "offsets that fall"),
        ("states_beyond", "offsets up to 4294967295"),
        ("long_state", "bytes, and one key may have 1040384"),
        ("too_many_wakes", "wakes for"),
    ] {
        // Keys take turns; the poison row is one of key `b`.
        let mut commands = ["x"; 9];
        commands[4] = command;
        let rows = Rows::keyed(&commands, &[0, 1, 2, 0, 1, 2, 0, 1, 2], &[("a", "100"), ("b", ""), ("c", "7")]);
        let judged = rule.apply(&rows.view()).unwrap();
        let [(4, _, message)] = poisoned(&judged)[..] else { panic!("{command}: {:?}", judged.poisoned) };
        assert!(message.contains(words), "{command}: `{words}` is not in: {message}");
        assert_eq!(states(&judged), ["103", "2", "10"], "{command}");
        assert_eq!(judged.wakes, [103, 2, 10], "{command}");
        assert_eq!(found(&judged), [0, 1, 2, 3, 5, 6, 7, 8], "{command}");
    }
}

#[test]
fn a_finding_on_a_row_that_is_not_judged_is_a_breach() {
    let rows = Rows::keyed(&["x", "unjudged_row"], &[0, NOT_JUDGED], &[("a", "")]);
    let judged = keyed(&keyed_manifest()).apply(&rows.view()).unwrap();
    assert_eq!(poisoned(&judged), [(1, "contract", "a finding on row 0, which is not judged")]);
    assert_eq!((found(&judged), states(&judged)), (vec![0], vec!["1".to_owned()]));
}

#[test]
fn a_key_whose_rows_are_all_poisoned_keeps_its_state_and_wakes_at_once() {
    let rows = Rows::keyed(&["trap", "x", "trap"], &[0, 1, 2], &[("a", "5"), ("b", "6"), ("new", "")]);
    let judged = keyed(&keyed_manifest()).apply(&rows.view()).unwrap();
    assert_eq!((states(&judged), judged.wakes), (vec!["5".into(), "7".into(), String::new()], vec![77, 7, NEVER]));
}

#[test]
fn advance_isolates_keys() {
    let mut rule = keyed(&keyed_manifest());
    let due = Rows::keyed(&[], &[], &[("a", "1"), ("trap", "2"), ("c", "3"), ("falling_states", "4"), ("e", "5")]);
    let judged = rule.advance(&due.view()).unwrap();
    assert_eq!(poisoned(&judged).iter().map(|p| (p.0, p.1)).collect::<Vec<_>>(), [(1, "trap"), (3, "contract")]);
    let mut groups: Vec<_> = judged
        .findings
        .iter()
        .map(|finding| match finding.subject {
            Subject::Window { group, start: 0, end: 77 } => group,
            ref other => panic!("{other:?}"),
        })
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, [0, 2, 4]);
    assert_eq!(states(&judged), ["1", "2", "3", "4", "5"]);
    assert_eq!(judged.wakes, [NEVER; 5]);
}

#[test]
fn lengths_that_do_not_fit_are_the_caller_s_error() {
    let mut rule = keyed(&keyed_manifest());
    let refused = |rule: &mut SandboxedRule, rows: Rows| rule.apply(&rows.view()).unwrap_err().chain();
    let few_groups = Rows::keyed(&["x"; 3], &[0, 0], &[("a", "")]);
    assert!(refused(&mut rule, few_groups).contains("2 groups instead of 3"));
    let beyond = Rows::keyed(&["x"], &[5], &[("a", "")]);
    assert!(refused(&mut rule, beyond).contains("beyond the 1 keys"));
}
