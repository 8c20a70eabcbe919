//! What is put to work can run, whoever changes what at the same time.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tamis_catalog::rules::{RuleStep, Trial, TrialMode};
use tamis_catalog::{Conflict, PageQuery};
use tamis_engine::Role;
use tamis_model::{Error, Kind};
use tamis_registry::Draft;

use crate::components;
use crate::home::{Home, LIST, RULE, alice, by, strict};

const SHORT: &str = "411111";
const LONG: &str = "4111111";

fn activate(version: u32) -> RuleStep {
    RuleStep::Activate { version }
}

fn shadow(version: u32) -> RuleStep {
    RuleStep::Try(Trial { version, mode: TrialMode::Shadow })
}

fn conflict(error: &Error) -> &Conflict {
    Conflict::of(error).unwrap_or_else(|| panic!("{}", error.chain()))
}

/// A home in which the first of these plugins' versions runs; each is one of the rule.
async fn running(plugins: &[(&str, Value)]) -> Home {
    let home = Home::new().await;
    for (version, members) in plugins {
        home.plugin(version, members.clone()).await;
        home.approved(version).await;
    }
    home.step(activate(1)).await.unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_list_and_a_version_that_refuses_it_one_is_let_in() {
    let home = running(&[("1.0.0", json!({})), ("2.0.0", strict())]).await;
    for round in 0..20 {
        let (activated, put) = tokio::join!(home.step(activate(2)), home.put(LONG));
        assert_ne!(activated.is_ok(), put.is_ok(), "round {round}: one of both comes first");
        for refused in [activated.err(), put.err()].into_iter().flatten() {
            assert_eq!(refused.kind(), Kind::Invalid, "{}", refused.chain());
        }
        home.registry.rule_set().await.unwrap();
        // A list that is as it was is put all the same, an activation is refused.
        home.put(SHORT).await.unwrap();
        let _ = home.step(activate(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_roll_backs_is_checked() {
    for _ in 0..10 {
        let home = running(&[("1.0.0", strict()), ("2.0.0", json!({})), ("3.0.0", json!({}))]).await;
        home.step(activate(2)).await.unwrap();
        home.step(activate(3)).await.unwrap();
        home.put(LONG).await.unwrap();
        let (one, other) = tokio::join!(home.step(RuleStep::RollBack), home.step(RuleStep::RollBack));
        assert_ne!(one.is_ok(), other.is_ok(), "version 1 refuses the list");
        assert_eq!(home.rule().await.pointers.active_version, Some(2));
    }
}

#[tokio::test]
async fn a_trial_has_a_state_of_its_own_once_the_stream_tries_it() {
    let keyed = |state_version: u32| {
        let columns = json!([{"name": "payment_id", "type": "text"}]);
        let input = json!({"topic": "payments", "columns": columns, "key": "payment_id"});
        json!({"inputs": [input], "state_version": state_version})
    };
    let home = running(&[("1.0.0", keyed(1)), ("2.0.0", keyed(2))]).await;
    home.step(shadow(2)).await.unwrap();
    home.registry.set_tried([("other".to_owned(), 2), (RULE.to_owned(), 1)]);
    let refused = home.step(activate(2)).await.unwrap_err();
    assert!(matches!(conflict(&refused), Conflict::State(reason) if reason.contains("cannot read")), "{refused:?}");
    home.registry.set_tried([(RULE.to_owned(), 2)]);
    assert_eq!(home.step(activate(2)).await.unwrap().pointers.active_version, Some(2));
}

#[tokio::test]
async fn who_has_not_seen_what_is_there_is_told_that() {
    let home = running(&[("1.0.0", strict())]).await;
    let (found, stale) = (home.rule().await.revision, Some(1));
    let expected = |found| Conflict::Revision { expected: 1, found };
    let missing = activate(9);
    let refused = home.registry.change_rule(RULE, &missing, stale, &by(&alice())).await.unwrap_err();
    assert_eq!(*conflict(&refused), expected(found));
    home.put(SHORT).await.unwrap();
    let refused = home.registry.put_list(LIST, &[LONG.to_owned()], stale, &by(&alice())).await.unwrap_err();
    assert_eq!(*conflict(&refused), expected(2));
}

#[tokio::test]
async fn a_declared_list_is_made_by_who_writes_the_rule_and_nothing_runs_by_it() {
    let home = Home::new().await;
    home.plugin("1.0.0", json!({})).await;
    home.registry.draft_plan(RULE, &Draft::default()).await.unwrap();
    assert_eq!(home.catalog().list(LIST).await.unwrap(), None, "who only looks makes nothing");
    home.approved("1.0.0").await;
    let history = home.catalog().list_history(LIST, &PageQuery { cursor: None, limit: 9 }).await.unwrap().items;
    let subjects: Vec<_> = history.iter().map(|revision| revision.summary.subject.as_str()).collect();
    assert_eq!(subjects, ["alice"]);
    assert_eq!(*home.registry.revisions().borrow(), 0);
}

#[tokio::test]
async fn a_version_is_put_to_work_only_when_the_topic_of_its_alerts_is_there() {
    let home = Home::new().await;
    home.plugin("1.0.0", json!({})).await;
    let version = home.approved("1.0.0").await;
    let topics = Arc::new(Mutex::new(Ok(Vec::<String>::new())));
    let known = Arc::clone(&topics);
    home.registry.ask_for_topics(Box::new(move |topic| {
        let known = known.lock().unwrap();
        known
            .as_ref()
            .map(|topics| topics.iter().any(|known| known == topic))
            .map_err(|()| Error::new(Kind::Outage, "ask", "nobody"))
    }));
    let step = async |step: RuleStep| home.registry.change_rule(RULE, &step, None, &by(&alice())).await;
    let error = step(activate(version)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
    assert!(
        error.chain().contains("no broker has topic") && error.chain().contains("make it first"),
        "{}",
        error.chain()
    );
    let route = home.registry.version_plan(RULE, version, Role::Active).await.unwrap().route;
    *topics.lock().unwrap() = Ok(vec![route]);
    step(activate(version)).await.unwrap();
    *topics.lock().unwrap() = Ok(Vec::new());
    step(RuleStep::Disable).await.unwrap();
    assert_eq!(step(RuleStep::Enable).await.unwrap_err().kind(), Kind::Invalid);
    *topics.lock().unwrap() = Err(());
    step(RuleStep::Enable).await.unwrap();
}

#[tokio::test]
async fn alerts_never_go_where_events_come_from_or_letters_lie() {
    let home = Home::new().await;
    for (name, route, allowed) in [
        ("one", "payments", false),
        ("two", "dead_letters", false),
        ("three", "shadow_alerts", false),
        ("four", "alerts_fraud", true),
    ] {
        let mut manifest = components::manifest(name, "1.0.0");
        manifest["route"] = json!(route);
        home.registry.take_in(components::describing(&manifest)).await.unwrap();
        let made = home.registry.create_rule(name, &Draft::default(), &by(&alice())).await;
        assert_eq!(made.as_ref().map(drop).map_err(Error::kind), if allowed { Ok(()) } else { Err(Kind::Invalid) });
        let elsewhere = Draft { route: Some(Some("alerts".to_owned())), ..Draft::default() };
        home.registry.draft_plan(name, &elsewhere).await.unwrap();
    }
}
