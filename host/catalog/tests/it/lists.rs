//! Lists and their revisions.

use tamis_catalog::lists::{LIST_BYTES_MAX, List};
use tamis_catalog::{Conflict, PageQuery};
use tamis_model::Kind;

use crate::home::{FIRST, Home, alice, bob, by, conflict};

const NAME: &str = "high_risk_countries";

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[tokio::test]
async fn each_change_is_a_revision() {
    let home = Home::open().await;
    let put =
        async |values: &[&str], expected| home.catalog.put_list(NAME, &texts(values), expected, &by(&alice())).await;
    assert_eq!(put(&["KP", "IR"], Some(0)).await.unwrap().revision, 1);
    assert_eq!(conflict(put(&["KP"], Some(0)).await), Conflict::Revision { expected: 0, found: 1 }, "it is there");
    assert_eq!(put(&["IR", "SY"], Some(1)).await.unwrap().revision, 2);
    assert_eq!(conflict(put(&["KP"], Some(1)).await), Conflict::Revision { expected: 1, found: 2 });
    assert_eq!(put(&[], None).await.unwrap().revision, 3);

    let list = |revision, values: &[&str]| Some(List { name: NAME.to_owned(), revision, values: texts(values) });
    assert_eq!(home.catalog.list(NAME).await.unwrap(), list(3, &[]));
    assert_eq!(home.catalog.list("other").await.unwrap(), None);

    let history = home.catalog.list_history(NAME, &FIRST).await.unwrap().items;
    let told: Vec<_> =
        history.iter().map(|row| (row.summary.revision, row.added.clone(), row.removed.clone())).collect();
    let expected = [
        (3, texts(&[]), texts(&["IR", "SY"])),
        (2, texts(&["SY"]), texts(&["KP"])),
        (1, texts(&["KP", "IR"]), texts(&[])),
    ];
    assert_eq!(told, expected);
    let page = home.catalog.list_history(NAME, &PageQuery { cursor: Some("3"), limit: 1 }).await.unwrap();
    assert_eq!((&page.items[..], page.next_cursor.as_deref()), (&history[1..2], Some("2")));
}

#[tokio::test]
async fn a_declared_list_is_made_once() {
    let home = Home::open().await;
    let made = home.catalog.ensure_list(NAME, &texts(&["KP"]), &by(&alice())).await.unwrap();
    assert_eq!((made.revision, &made.values), (1, &texts(&["KP"])));
    let told = home.catalog.list_history(NAME, &FIRST).await.unwrap().items.swap_remove(0).summary;
    let why = "declared by a plugin, with its default";
    assert_eq!((told.subject.as_str(), told.why.as_deref()), ("alice", Some(why)));
    assert_eq!(home.catalog.rule_set_revision().await.unwrap(), 0, "nothing runs by it");
    home.catalog.put_list(NAME, &texts(&["IR"]), Some(made.revision), &by(&bob())).await.unwrap();
    let kept = home.catalog.ensure_list(NAME, &texts(&["KP"]), &by(&alice())).await.unwrap();
    assert_eq!((kept.revision, kept.values), (2, texts(&["IR"])));
}

#[tokio::test]
async fn lists_are_listed_as_they_are() {
    let home = Home::open().await;
    for (name, values) in [("b", &["1"][..]), ("a", &["1", "2"]), ("b", &["1", "2", "3"])] {
        home.catalog.put_list(name, &texts(values), None, &by(&alice())).await.unwrap();
    }
    let page = home.catalog.lists(&PageQuery { limit: 1, ..FIRST }).await.unwrap();
    let rest = home.catalog.lists(&PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST }).await.unwrap();
    let listed: Vec<_> = page
        .items
        .iter()
        .chain(&rest.items)
        .map(|list| (list.name.as_str(), list.revision, list.values_count))
        .collect();
    assert_eq!(listed, [("a", 1, 2), ("b", 2, 3)]);
}

#[tokio::test]
async fn what_is_no_list_is_refused() {
    let home = Home::open().await;
    let check = async |name: &str, values: &[String]| {
        let error = home.catalog.put_list(name, values, None, &by(&alice())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name}");
    };
    check("Not-a-name", &[]).await;
    check(NAME, &texts(&["KP", "IR", "KP"])).await;
    check(NAME, &["x".repeat(LIST_BYTES_MAX + 1)]).await;
    assert_eq!(home.catalog.lists(&FIRST).await.unwrap().items, []);
}

#[tokio::test]
async fn long_revisions_come_in_short_pages() {
    let home = Home::open().await;
    for number in 0..12 {
        let values = [format!("{number:02}").repeat(1 << 18)];
        home.catalog.put_list(NAME, &values, None, &by(&alice())).await.unwrap();
    }
    let page = home.catalog.list_history(NAME, &FIRST).await.unwrap();
    assert_eq!((page.items.len(), page.next_cursor.as_deref()), (8, Some("5")));
    let rest = PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST };
    assert_eq!(home.catalog.list_history(NAME, &rest).await.unwrap().items.len(), 4);
    let events = home.catalog.events_after(0, 100).await.unwrap();
    assert!(events.len() < 4, "{}", events.len());
}

#[tokio::test]
async fn a_revision_never_changes() {
    let home = Home::open().await;
    home.catalog.put_list(NAME, &texts(&["KP"]), None, &by(&alice())).await.unwrap();
    let database = home.database().await;
    for (statement, reason) in [
        ("UPDATE list_revisions SET items = '[]'", "a revision of a list never changes"),
        ("DELETE FROM list_revisions", "revisions of a list are never deleted"),
        ("INSERT OR REPLACE INTO list_revisions SELECT * FROM list_revisions", "a revision of a list never changes"),
    ] {
        let error = sqlx::query(statement).execute(&database).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}
