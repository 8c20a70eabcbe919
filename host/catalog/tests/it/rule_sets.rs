//! The snapshot of all that runs.

use tamis_catalog::lists::List;
use tamis_catalog::rules::RuleStep;

use crate::home::{FIRST, Home, alice, by, sha256, shadow, version};

#[tokio::test]
async fn only_what_runs_is_in_it_with_all_that_it_needs() {
    let home = Home::with_rule("in-shadow").await;
    for name in ["active", "both", "disabled", "draft"] {
        home.catalog.create_rule(name, &version("1.0.0", 3), &by(&alice())).await.unwrap();
    }
    home.step("in-shadow", &shadow(1)).await.unwrap();
    for name in ["active", "both", "disabled"] {
        home.approve(name, 1).await;
        home.step(name, &RuleStep::Activate { version: 1 }).await.unwrap();
    }
    home.upload("2.0.0").await;
    home.catalog.create_version("both", &version("2.0.0", 4), None, &by(&alice())).await.unwrap();
    home.step("both", &shadow(2)).await.unwrap();
    home.step("disabled", &RuleStep::Disable).await.unwrap();
    let values = ["FR".to_owned(), "DE".to_owned()];
    for count in [2, 1] {
        home.catalog.put_list("countries", &values[..count], None, &by(&alice())).await.unwrap();
    }

    let running = home.catalog.running_rules().await.unwrap();
    assert_eq!(running.revision, home.catalog.rule_set_revision().await.unwrap());
    assert_eq!(running.lists, [List { name: "countries".to_owned(), revision: 2, values: vec!["FR".to_owned()] }]);
    let found: Vec<_> = running
        .rules
        .iter()
        .map(|running| {
            let sha256 = |version: &tamis_catalog::rule_versions::RuleVersion| version.content.plugin_sha256.clone();
            (running.rule.name.as_str(), running.active.as_ref().map(sha256), running.trial.as_ref().map(sha256))
        })
        .collect();
    let (one, two) = (Some(sha256("1.0.0")), Some(sha256("2.0.0")));
    let expected = [("active", one.clone(), None), ("both", one.clone(), two), ("in-shadow", None, one)];
    assert_eq!(found, expected);
    for running in running.rules {
        assert_eq!(Some(running.rule.clone()), home.catalog.rule(&running.rule.name).await.unwrap());
    }
}

#[tokio::test]
async fn the_revision_goes_up_when_another_thing_runs_and_only_then() {
    let home = Home::with_rule("a").await;
    let revision = async || home.catalog.rule_set_revision().await.unwrap();
    home.approve("a", 1).await;
    home.approved("a", 4).await;
    assert_eq!(revision().await, 0, "drafts and reviews change nothing that runs");
    home.step("a", &RuleStep::Activate { version: 1 }).await.unwrap();
    home.step("a", &RuleStep::Disable).await.unwrap();
    assert_eq!(revision().await, 2);
    home.step("a", &RuleStep::Disable).await.unwrap();
    assert_eq!(revision().await, 2, "it was disabled");
    assert_eq!(home.catalog.rule_history("a", &FIRST).await.unwrap().items[0].action.name(), "rule.disable");
    home.catalog.put_list("countries", &[], None, &by(&alice())).await.unwrap();
    assert_eq!(revision().await, 3);
    home.catalog.ensure_list("countries", &["FR".to_owned()], &by(&alice())).await.unwrap();
    assert_eq!(revision().await, 3, "it is there");
}
