//! Events: from where somebody left off, and no further back than they are kept.

use serde_json::json;
use tamis_catalog::events::EVENTS_MAX;

use crate::home::Home;

#[tokio::test]
async fn whoever_comes_back_goes_on_where_they_were() {
    let home = Home::open().await;
    assert_eq!(home.catalog.last_event_id().await.unwrap(), 0);
    for (number, kind) in [(1, "run.started"), (2, "stream.halted"), (3, "run.finished")] {
        home.catalog.append_event(kind, "nightly", &json!({"number": number}), number).await.unwrap();
    }
    let after = async |id, count_max| {
        let events = home.catalog.events_after(id, count_max).await.unwrap();
        events.into_iter().map(|event| (event.id, event.kind)).collect::<Vec<_>>()
    };
    let named = |id, kind: &str| (id, kind.to_owned());
    assert_eq!(after(0, 2).await, [named(1, "run.started"), named(2, "stream.halted")]);
    assert_eq!(after(2, 10).await, [named(3, "run.finished")]);
    assert_eq!(after(3, 10).await, []);
    assert_eq!(home.catalog.events_after(2, 1).await.unwrap()[0].data, json!({"number": 3}));
}

#[tokio::test]
async fn old_events_are_forgotten() {
    let home = Home::open().await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050) \
        INSERT INTO events (at, kind, object, data) SELECT '', 'k', 'o', '{}' FROM n";
    sqlx::query(many).execute(&home.database().await).await.unwrap();
    home.catalog.append_event("k", "o", &json!({}), 0).await.unwrap();
    let kept = home.catalog.events_after(0, u32::MAX).await.unwrap();
    assert_eq!((kept.len() as i64, kept[0].id), (EVENTS_MAX, 52));
    assert_eq!(home.catalog.last_event_id().await.unwrap(), 10_051);
}
