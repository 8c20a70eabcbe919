//! The audit log: found by who, what and on what; never changed.

use tamis_catalog::audit::{AuditEntry, AuditFilter, Outcome};
use tamis_catalog::{Action, PageQuery};

use crate::home::{FIRST, Home, alice, bob, by};

/// Four rows, which are by number from the newest: 3 a list, 2 a run, 1 a refusal, 0 a list again.
async fn with_rows() -> Home {
    let home = Home::open().await;
    let (alice, bob) = (alice(), bob());
    home.catalog.put_list("a", &[], None, &by(&alice)).await.unwrap();
    let entry = AuditEntry {
        action: Action::RunStart,
        object: "nightly",
        change: by(&alice),
        outcome: Outcome::Done,
        reason: None,
        before: None,
        after: None,
    };
    home.catalog.append_audit(&entry).await.unwrap();
    let refused = AuditEntry {
        action: Action::RuleActivate,
        object: "a",
        change: by(&bob),
        outcome: Outcome::Refused,
        reason: Some("rules:activate is missing"),
        ..entry
    };
    home.catalog.append_audit(&refused).await.unwrap();
    home.catalog.put_list("b", &[], None, &by(&bob)).await.unwrap();
    home
}

#[tokio::test]
async fn rows_are_found_by_all_that_they_say() {
    let home = with_rows().await;
    let all = home.catalog.audit(&AuditFilter::default(), &FIRST).await.unwrap().items;
    let check = async |subject, action_prefix, object, expected: &[usize]| {
        let filter = AuditFilter { subject, action_prefix, object };
        let found = home.catalog.audit(&filter, &FIRST).await.unwrap().items;
        let expected: Vec<_> = expected.iter().map(|i| all[*i].clone()).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    check(None, None, None, &[0, 1, 2, 3]).await;
    check(Some("alice"), None, None, &[2, 3]).await;
    check(None, Some("list"), None, &[0, 3]).await;
    check(None, Some("list.put"), None, &[0, 3]).await;
    check(None, Some("ist"), None, &[]).await;
    check(None, Some("%"), None, &[]).await;
    check(None, None, Some("a"), &[1, 3]).await;
    check(Some("bob"), Some("rule."), Some("a"), &[1]).await;
    assert_eq!(
        (all[3].token_id.as_deref(), all[1].reason.as_deref()),
        (Some("0000000a"), Some("rules:activate is missing"))
    );

    let page = home.catalog.audit(&AuditFilter::default(), &PageQuery { limit: 3, ..FIRST }).await.unwrap();
    let rest = PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST };
    let rest = home.catalog.audit(&AuditFilter::default(), &rest).await.unwrap();
    assert_eq!([page.items, rest.items].concat(), all);
}

#[tokio::test]
async fn the_log_only_grows() {
    let home = with_rows().await;
    let database = home.database().await;
    for (statement, reason) in [
        ("UPDATE audit SET subject = 'bob'", "the audit log never changes"),
        ("DELETE FROM audit", "the audit log is never deleted"),
        ("INSERT OR REPLACE INTO audit SELECT * FROM audit", "the audit log never changes"),
    ] {
        let error = sqlx::query(statement).execute(&database).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}
