//! What the files of a home say is done once and as a whole, however often the host dies over it.

use serde_json::{Map, json};
use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::{RuleMode, RuleStep};
use tamis_catalog::{Actor, Change};
use tamis_registry::Draft;
use tamis_registry::seed::{Seed, SeedMode};

use crate::home::{Home, RULE, alice, by};

/// The rule with this limit.
fn seed(mode: SeedMode, limit: u32) -> Seed {
    Seed {
        name: RULE.to_owned(),
        plugin: RULE.to_owned(),
        plugin_version: "1.0.0".to_owned(),
        config: Map::from_iter([("limit".to_owned(), json!(limit))]),
        route: None,
        mode,
    }
}

async fn home() -> Home {
    let home = Home::new().await;
    home.plugin("1.0.0", json!({})).await;
    home
}

/// Does the first `count` steps of a host that dies behind them.
async fn begin(home: &Home, seed: &Seed, count: usize) {
    let (operator, host) = (Actor::local(), Actor::system());
    let why = format!("the home's files say so: {:?}", seed.mode).to_lowercase();
    let change = Change { actor: &operator, why: Some(&why), at: 1 };
    let draft = Draft {
        plugin: Some(seed.plugin.clone()),
        plugin_version: Some(seed.plugin_version.clone()),
        config: Some(seed.config.clone()),
        route: Some(seed.route.clone()),
        ..Draft::default()
    };
    if count == 0 {
        return;
    }
    let number = match home.catalog().rule(RULE).await.unwrap() {
        Some(_) => home.registry.create_version(RULE, &draft, &change).await.unwrap().number,
        None => home.registry.create_rule(RULE, &draft, &change).await.map(|_| 1).unwrap(),
    };
    let review = [(VersionStep::Submit, &operator), (VersionStep::Approve, &host)];
    for (step, actor) in review.into_iter().take(count - 1) {
        let change = Change { actor, ..change };
        home.catalog().change_version(RULE, number, step, None, &change).await.unwrap();
    }
}

/// The rule's mode, how many versions it has, and which one runs.
async fn state(home: &Home) -> (RuleMode, u32, Option<u32>) {
    let pointers = home.rule().await.pointers;
    let trial = pointers.trial.as_ref().map(|trial| trial.version);
    let first = tamis_catalog::PageQuery { cursor: None, limit: 1 };
    let newest = home.catalog().rule_versions(RULE, &first).await.unwrap().items[0].number;
    (pointers.mode(), newest, trial.or(pointers.active_version))
}

#[tokio::test]
async fn a_host_that_died_between_two_steps_goes_on_with_the_next_one() {
    for mode in [SeedMode::Active, SeedMode::Shadow, SeedMode::Disabled] {
        for count in 0..=3 {
            for before in [None, Some(seed(SeedMode::Active, 1))] {
                let home = home().await;
                let mut version = 1;
                if let Some(before) = &before {
                    home.registry.sow(before).await.unwrap();
                    version = 2;
                }
                let seed = seed(mode, 2);
                begin(&home, &seed, count).await;
                home.registry.sow(&seed).await.unwrap();
                let expected = match mode {
                    SeedMode::Active => (RuleMode::Active, version, Some(version)),
                    SeedMode::Shadow if before.is_none() => (RuleMode::Shadow, 1, Some(1)),
                    SeedMode::Shadow => (RuleMode::Active, 2, Some(2)),
                    SeedMode::Disabled => (RuleMode::Disabled, version, before.map(|_| 1)),
                };
                assert_eq!(state(&home).await, expected, "{mode:?} behind {count} steps");
                let revision = home.rule().await.revision;
                home.registry.sow(&seed).await.unwrap();
                assert_eq!(home.rule().await.revision, revision, "{mode:?} behind {count} steps: it was said");
            }
        }
    }
}

#[tokio::test]
async fn what_people_decided_meanwhile_stands() {
    for count in 1..=3 {
        let home = home().await;
        home.registry.sow(&seed(SeedMode::Active, 1)).await.unwrap();
        let next = seed(SeedMode::Active, 2);
        begin(&home, &next, count).await;
        home.step(RuleStep::Disable).await.unwrap();
        home.registry.sow(&next).await.unwrap();
        assert_eq!(state(&home).await, (RuleMode::Disabled, 2, Some(1)), "behind {count} steps");
        // The files speak again.
        home.registry.sow(&seed(SeedMode::Active, 3)).await.unwrap();
        assert_eq!(state(&home).await, (RuleMode::Active, 3, Some(3)));
    }
    let home = home().await;
    let said = seed(SeedMode::Active, 1);
    begin(&home, &said, 2).await;
    home.catalog().change_version(RULE, 1, VersionStep::Reject, None, &by(&alice())).await.unwrap();
    home.registry.sow(&said).await.unwrap();
    assert_eq!(state(&home).await, (RuleMode::Disabled, 1, None), "somebody sent it back");
}

#[tokio::test]
async fn a_host_starts_although_the_files_try_what_was_stopped() {
    let home = home().await;
    home.registry.sow(&seed(SeedMode::Active, 1)).await.unwrap();
    home.step(RuleStep::Disable).await.unwrap();
    home.registry.sow(&seed(SeedMode::Shadow, 2)).await.unwrap();
    assert_eq!(state(&home).await, (RuleMode::Disabled, 2, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_may_say_the_same_at_the_same_time() {
    for _ in 0..5 {
        let home = home().await;
        let said = seed(SeedMode::Active, 1);
        let (one, other) = tokio::join!(home.registry.sow(&said), home.registry.sow(&said));
        for result in [one, other] {
            result.unwrap();
        }
        assert_eq!(state(&home).await, (RuleMode::Active, 1, Some(1)));
    }
}
