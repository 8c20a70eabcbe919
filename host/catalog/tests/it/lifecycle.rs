//! The way of a rule version from draft to live, and who may take it there.

use tamis_catalog::change::Action;
use tamis_catalog::roles::Role;
use tamis_catalog::rule_versions::{FailurePolicy, NewVersion, RuleVersion, VersionState, VersionStep};
use tamis_catalog::rules::RuleStep;
use tamis_catalog::tokens::NewToken;
use tamis_catalog::{Actor, Change, Conflict, PageQuery};
use tamis_model::Kind;

use crate::home::{FIRST, Home, PLUGIN, alice, bob, by, conflict, sha256, version};

use VersionState::{Approved, Draft, InReview};
use VersionStep::{Approve, Reject, Submit};

const RULE: &str = "card-testing";

/// A home with a version of RULE in each state: its number is its place in `VersionState::ALL`, from 1.
async fn all_states() -> Home {
    let home = Home::with_rule(RULE).await;
    let drafted = home.catalog.create_version(RULE, &version("1.0.0", 2), None, &by(&alice())).await.unwrap();
    home.catalog.change_version(RULE, drafted.number, Submit, None, &by(&alice())).await.unwrap();
    home.approved(RULE, 3).await;
    let (live, retired) = (home.approved(RULE, 4).await, home.approved(RULE, 5).await);
    for version in [retired, live] {
        home.step(RULE, &RuleStep::Activate { version }).await.unwrap();
    }
    let states: Vec<_> =
        (home.catalog.rule_versions(RULE, &FIRST).await.unwrap().items.iter().rev()).map(|v| v.state).collect();
    assert_eq!(states, VersionState::ALL);
    home
}

#[tokio::test]
async fn each_step_is_allowed_in_one_state_only() {
    let table = [
        (Submit, [Some(InReview), None, None, None, None]),
        (Approve, [None, Some(Approved), None, None, None]),
        (Reject, [None, Some(Draft), None, None, None]),
    ];
    for (step, expected) in table {
        let home = all_states().await;
        for (number, (state, expected)) in (1..).zip(VersionState::ALL.iter().zip(expected)) {
            let traces = home.traces(RULE).await;
            let result = home.catalog.change_version(RULE, number, step, None, &by(&bob())).await;
            let refused = Conflict::State(format!("version {number} is {state}"));
            match expected {
                Some(expected) => assert_eq!(result.unwrap().state, expected, "{step:?} of {state}"),
                None => {
                    assert_eq!(conflict(result), refused, "{step:?} of {state}");
                    let left = (traces.0 + 1, traces.1, traces.2, traces.3);
                    assert_eq!(home.traces(RULE).await, left, "a refusal leaves its audit row alone");
                    let kept = home.catalog.rule_version(RULE, number).await.unwrap().unwrap();
                    assert_eq!(kept.state, *state);
                }
            }
        }
    }
}

#[tokio::test]
async fn an_author_never_approves_whatever_their_token() {
    for author in [alice(), Actor::local(), Actor::system()] {
        let home = Home::open().await;
        home.upload("1.0.0").await;
        home.catalog.create_rule(RULE, &version("1.0.0", 3), &by(&author)).await.unwrap();
        home.catalog.change_version(RULE, 1, Submit, None, &by(&author)).await.unwrap();
        let again = Actor { token_id: Some("ffffffff".to_owned()), ..author.clone() };
        for actor in [&author, &again] {
            let refused = home.catalog.change_version(RULE, 1, Approve, None, &by(actor)).await;
            let (subject, part) = (author.subject.clone(), "is its author");
            assert_eq!(conflict(refused), Conflict::OwnChange { subject, part });
        }
        let approved = home.catalog.change_version(RULE, 1, Approve, None, &by(&bob())).await.unwrap();
        assert_eq!((approved.state, approved.approved_by.as_deref()), (Approved, Some("bob")));
    }
}

#[tokio::test]
async fn four_eyes_are_of_two_people() {
    let home = Home::open().await;
    // Alice uploads the plugin, bob writes the version.
    home.upload("1.0.0").await;
    home.catalog.create_rule(RULE, &version("1.0.0", 3), &by(&bob())).await.unwrap();
    home.catalog.change_version(RULE, 1, Submit, None, &by(&bob())).await.unwrap();
    for (id, made_by) in [("0000000b", bob()), ("0000000c", alice())] {
        let token = NewToken {
            id: id.to_owned(),
            name: id.to_owned(),
            subject: "rob".to_owned(),
            role: Role::Reviewer,
            scopes: None,
            secret_sha256: [0; 32],
            expires_at: 1_000,
        };
        home.catalog.create_token(&token, &by(&made_by)).await.unwrap();
    }
    let approve = async |subject: &str, token_id: Option<&str>| {
        let actor = Actor { subject: subject.to_owned(), token_id: token_id.map(str::to_owned) };
        home.catalog.change_version(RULE, 1, Approve, None, &by(&actor)).await
    };
    let check = async |approver: &str, token_id: Option<&str>, subject: &str, part: &'static str| {
        let refused = Conflict::OwnChange { subject: subject.to_owned(), part };
        assert_eq!(conflict(approve(approver, token_id).await), refused, "{approver} with {token_id:?}");
    };
    check("bob", Some("0000000c"), "bob", "is its author").await;
    check("alice", None, "alice", "uploaded its plugin").await;
    check("rob", Some("0000000b"), "bob", "is its author and made the token that approves it").await;
    assert_eq!(approve("rob", Some("0000000c")).await.unwrap().state, Approved);
}

#[tokio::test]
async fn the_database_holds_it_too() {
    let home = Home::with_rule(RULE).await;
    home.catalog.change_version(RULE, 1, Submit, None, &by(&alice())).await.unwrap();
    let database = home.database().await;
    let check = async |statement: &'static str, reason: &str| {
        let error = sqlx::query(statement).execute(&database).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{statement}: {error}");
    };
    check("UPDATE rule_versions SET state = 'approved'", "CHECK").await;
    check("UPDATE rule_versions SET state = 'approved', approved_by = 'alice', approved_at = ''", "CHECK").await;
    check("DELETE FROM rule_versions", "rule versions are never deleted").await;
    let content = "the content of a rule version never changes";
    check("UPDATE rule_versions SET config = '{}'", content).await;
    check("INSERT OR REPLACE INTO rule_versions SELECT * FROM rule_versions", content).await;
    check("INSERT OR REPLACE INTO rule_history SELECT * FROM rule_history", "history never changes").await;
    check("UPDATE rule_history SET subject = 'bob'", "history never changes").await;
    check("DELETE FROM rule_history", "history is never deleted").await;
}

#[tokio::test]
async fn who_rejects_says_why() {
    let home = Home::with_rule(RULE).await;
    home.catalog.change_version(RULE, 1, Submit, None, &by(&alice())).await.unwrap();
    let bob = bob();
    for why in [None, Some(" ")] {
        let silent = home.catalog.change_version(RULE, 1, Reject, None, &Change { why, ..by(&bob) }).await;
        assert_eq!(silent.unwrap_err().kind(), Kind::Invalid);
    }
    let rejected = home.catalog.change_version(RULE, 1, Reject, None, &by(&bob)).await.unwrap();
    assert_eq!(rejected.state, Draft);
    home.approve(RULE, 1).await;
}

#[tokio::test]
async fn versions_count_up_and_tell_what_they_changed() {
    let home = Home::with_rule(RULE).await;
    home.upload("1.1.0").await;
    let new = NewVersion { based_on: Some(1), ..version("1.1.0", 4) };
    let drafted = home.catalog.create_version(RULE, &new, Some(1), &by(&alice())).await.unwrap();
    let RuleVersion { number, state, based_on, author, why, .. } = drafted.clone();
    assert_eq!((number, state, based_on), (2, Draft, Some(1)));
    assert_eq!((author.as_str(), why.as_deref()), ("alice", Some("a test")));
    assert_eq!(drafted.content, new.content);

    let history = home.catalog.rule_history(RULE, &FIRST).await.unwrap().items;
    assert_eq!((history[0].action, history[0].version, history[0].revision), (Action::VersionCreate, Some(2), 2));
    let content = |plugin: &str, attempts_max: u32| {
        serde_json::json!({
            "plugin_version": plugin, "plugin_sha256": sha256(plugin), "config": {"attempts_max": attempts_max},
        })
    };
    assert_eq!(history[0].before, serde_json::json!({"version": 1, "content": content("1.0.0", 3)}));
    assert_eq!(history[0].after, serde_json::json!({"version": 2, "content": content("1.1.0", 4)}));

    let page = home.catalog.rule_versions(RULE, &PageQuery { limit: 1, ..FIRST }).await.unwrap();
    assert_eq!((page.items, page.next_cursor.as_deref()), (vec![drafted], Some("2")));
    let rest = home.catalog.rule_versions(RULE, &PageQuery { cursor: Some("2"), ..FIRST }).await.unwrap();
    assert_eq!(rest.items, [home.catalog.rule_version(RULE, 1).await.unwrap().unwrap()]);
}

#[tokio::test]
async fn a_version_is_of_a_plugin_that_is_ready() {
    let home = Home::with_rule(RULE).await;
    let create = async |new: &NewVersion| home.catalog.create_version(RULE, new, None, &by(&alice())).await;
    assert_eq!(create(&version("9.9.9", 1)).await.unwrap_err().kind(), Kind::Missing);
    home.catalog.begin_upload(&sha256("2.0.0"), 3, &by(&alice())).await.unwrap();
    let refused = conflict(create(&version("2.0.0", 1)).await);
    assert_eq!(refused, Conflict::State(format!("plugin {PLUGIN} 2.0.0 is pending, not ready")));
    let mut lie = version("1.0.0", 1);
    lie.content.plugin = "another".to_owned();
    assert_eq!(create(&lie).await.unwrap_err().kind(), Kind::Missing);

    let mut senseless = version("1.0.0", 1);
    senseless.content.on_failure = serde_json::from_str(r#"{"disable": {"bad_percent_max": 101}}"#).unwrap();
    assert_eq!(create(&senseless).await.unwrap_err().kind(), Kind::Invalid);
    let based_on_nothing = NewVersion { based_on: Some(7), ..version("1.0.0", 1) };
    assert_eq!(create(&based_on_nothing).await.unwrap_err().kind(), Kind::Missing);
    assert_eq!(
        home.catalog.rule_versions(RULE, &FIRST).await.unwrap().items.len(),
        1,
        "nothing of the refused ones stays"
    );
}

#[test]
fn failure_policies_are_written_plainly() {
    for text in
        [r#""dead_letter""#, r#""halt""#, r#"{"disable":{"bad_percent_max":5.0,"rows_min":100,"window_rows":10000}}"#]
    {
        let policy: FailurePolicy = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
    }
    assert_eq!(FailurePolicy::default(), FailurePolicy::DeadLetter);
    let defaults: FailurePolicy = serde_json::from_str(r#"{"disable":{}}"#).unwrap();
    assert_eq!(defaults, FailurePolicy::Disable(tamis_catalog::budgets::Breaker::default()));
}
