//! Many who write at once: each change is whole, none is lost, and of those who saw the same revision one wins.

use std::sync::Arc;

use tamis_catalog::rules::RuleStep;
use tamis_catalog::{Catalog, Conflict};
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
