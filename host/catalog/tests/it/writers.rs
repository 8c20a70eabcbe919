//! Many who write at once: each change is whole, none is lost, and of those who saw the same revision one wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use tamis_catalog::rules::RuleStep;
use tamis_catalog::{Catalog, Checked, Conflict, Expected, Moved};
use tokio::task::JoinSet;

use crate::home::{FIRST, Home, alice, by, conflict, shadow};

const RULE: &str = "card-testing";
const WRITERS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_saw_the_same_revision_one_wins() {
    let home = Home::with_rule(RULE).await;
    // Two programs at once: the connections of one do not know of those of the other.
    let other = Catalog::open(&home.folder.path().join("tamis.db")).await.unwrap();
    for round in 1..=10 {
        let step = if round % 2 == 0 { RuleStep::EndTrial } else { shadow(1) };
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let catalog = if writer % 2 == 0 { home.catalog.clone() } else { other.clone() };
            let step = step.clone();
            writers.spawn(async move { catalog.change_rule(RULE, &step, Some(round), &by(&alice())).await });
        }
        let (won, lost): (Vec<_>, Vec<_>) = writers.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        for result in lost {
            assert_eq!(conflict(result), Conflict::Revision { expected: round, found: round + 1 });
        }
    }
    let history = home.catalog.rule_history(RULE, &FIRST).await.unwrap().items;
    let revisions: Vec<_> = history.iter().map(|row| row.revision).collect();
    assert_eq!(revisions, (1..=11).rev().collect::<Vec<_>>());
    assert_eq!(home.catalog.rule_set_revision().await.unwrap(), 10);
}

#[tokio::test]
async fn what_was_checked_is_written_only_while_the_check_holds() {
    let home = Home::with_rule(RULE).await;
    home.approve(RULE, 1).await;
    for values in [&["1".to_owned()][..], &[]] {
        home.catalog.put_list("bins", values, None, &by(&alice())).await.unwrap();
    }
    let rule = home.catalog.rule(RULE).await.unwrap().unwrap().revision;
    let set = home.catalog.rule_set_revision().await.unwrap();
    let lists = |revision| BTreeMap::from([("bins".to_owned(), revision)]);
    let none = Checked::default();
    let traces = home.traces(RULE).await;
    for moved in [
        Checked { rule_set: Some(set - 1), ..none.clone() },
        Checked { rule: Some(rule - 1), ..none.clone() },
        none.clone().with_lists(&lists(1)),
        none.clone().with_lists(&lists(1)).with_lists(&lists(2)),
        none.clone().with_lists(&lists(2)).with_lists(&lists(1)),
        Checked { lists: BTreeMap::from([("gone".to_owned(), 1)]), ..none },
    ] {
        let expected = Expected { revision: None, checked: moved };
        let step = RuleStep::Activate { version: 1 };
        let error = home.catalog.change_rule(RULE, &step, expected.clone(), &by(&alice())).await.unwrap_err();
        assert!(Moved::is_reason_of(&error) && error.can_retry(), "{expected:?}: {}", error.chain());
        let error = home.catalog.put_list("bins", &[], expected.clone(), &by(&alice())).await.unwrap_err();
        assert!(Moved::is_reason_of(&error), "{expected:?}: {}", error.chain());
        assert_eq!(home.traces(RULE).await, traces, "nobody was refused");
    }
    // Who has not seen what is there must look again: that comes first.
    let checked = Checked { rule_set: Some(set - 1), ..Checked::default() };
    let stale = home.catalog.put_list("bins", &[], Expected { revision: Some(1), checked }, &by(&alice())).await;
    assert_eq!(conflict(stale), Conflict::Revision { expected: 1, found: 2 });
    let checked = Checked { rule: Some(rule), rule_set: Some(set), lists: lists(2) };
    let expected = Expected { revision: Some(rule), checked };
    home.catalog.change_rule(RULE, &RuleStep::Activate { version: 1 }, expected, &by(&alice())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_is_of_one_moment() {
    let home = Arc::new(Home::with_rule(RULE).await);
    home.approve(RULE, 1).await;
    home.approved(RULE, 5).await;
    home.step(RULE, &RuleStep::Activate { version: 1 }).await.unwrap();
    let writer = tokio::spawn({
        let home = Arc::clone(&home);
        async move {
            for round in 0..40 {
                // Odd revisions of the rule set have version 1, even ones version 2.
                home.step(RULE, &RuleStep::Activate { version: 2 - round % 2 }).await.unwrap();
            }
        }
    });
    let mut seen = 0;
    while !writer.is_finished() {
        let running = home.catalog.running_rules().await.unwrap();
        let [rule] = &running.rules[..] else { panic!("{running:?}") };
        let active = rule.active.as_ref().unwrap();
        assert_eq!(Some(active.number), rule.rule.pointers.active_version);
        assert_eq!(u64::from(active.number % 2), running.revision % 2, "{running:?}");
        assert_eq!(active.state.name(), "live");
        seen += 1;
    }
    writer.await.unwrap();
    assert!(seen > 1);
}
