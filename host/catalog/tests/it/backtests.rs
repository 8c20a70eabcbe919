//! Backtests: queued, at work, over.

use serde_json::json;
use tamis_catalog::backtests::{BacktestEnd, BacktestState};
use tamis_catalog::{Conflict, PageQuery};
use tamis_model::Kind;

use crate::home::{FIRST, Home, alice, by, conflict};

use BacktestState::{Cancelled, Failed, Queued, Running, Succeeded};

async fn with_queued(ids: &[&str]) -> Home {
    let home = Home::open().await;
    for id in ids {
        home.catalog.create_backtest(id, &json!({"plugin": "card-testing"}), &by(&alice())).await.unwrap();
    }
    home
}

#[tokio::test]
async fn the_one_that_waits_longest_is_next() {
    let home = with_queued(&["01", "02", "03"]).await;
    let claim =
        async |id| home.catalog.claim_backtest(id, 5).await.unwrap().map(|backtest| (backtest.id, backtest.state));
    assert_eq!(claim(Some("02")).await, Some(("02".to_owned(), Running)));
    assert_eq!(claim(None).await, Some(("01".to_owned(), Running)));
    assert_eq!(claim(Some("01")).await, None, "it is at work");
    assert_eq!(claim(None).await, Some(("03".to_owned(), Running)));
    assert_eq!(claim(None).await, None);
    let twice = home.catalog.create_backtest("01", &json!({}), &by(&alice())).await;
    assert_eq!(conflict(twice), Conflict::Exists);
}

#[tokio::test]
async fn each_end_is_kept() {
    let home = with_queued(&["01", "02", "03"]).await;
    let table = [
        ("01", BacktestEnd::Succeeded(json!({"alerts": 3})), Succeeded),
        ("02", BacktestEnd::Failed("no room".to_owned()), Failed),
        ("03", BacktestEnd::Cancelled, Cancelled),
    ];
    for (id, end, state) in table {
        let early = home.catalog.finish_backtest(id, &end, 8).await;
        assert_eq!(conflict(early), Conflict::State("it is queued, not running".to_owned()));
        home.catalog.claim_backtest(Some(id), 5).await.unwrap();
        assert!(home.catalog.record_progress(id, 10, Some(40)).await.unwrap());
        let over = home.catalog.finish_backtest(id, &end, 8).await.unwrap();
        assert_eq!((over.state, over.rows_done, over.rows_total), (state, 10, Some(40)));
        assert_eq!(over.finished_at.as_deref(), Some("1970-01-01T00:00:00.008Z"));
        assert_eq!(over.report, (state == Succeeded).then(|| json!({"alerts": 3})));
        assert_eq!(over.error.as_deref(), (state == Failed).then_some("no room"));
        assert!(!home.catalog.record_progress(id, 11, None).await.unwrap(), "it is over");
        conflict(home.catalog.cancel_backtest(id, &by(&alice())).await);
        assert_eq!(home.catalog.backtest(id).await.unwrap(), Some(over));
    }
}

#[tokio::test]
async fn one_that_waits_is_cancelled_at_once_one_at_work_is_asked_to_stop() {
    let home = with_queued(&["01", "02"]).await;
    assert_eq!(home.catalog.cancel_backtest("01", &by(&alice())).await.unwrap().state, Cancelled);
    home.catalog.claim_backtest(None, 5).await.unwrap();
    let asked = home.catalog.cancel_backtest("02", &by(&alice())).await.unwrap();
    assert_eq!((asked.state, asked.cancel_requested), (Running, true));
    assert!(!home.catalog.record_progress("02", 10, None).await.unwrap(), "it is to stop");
    let missing = home.catalog.cancel_backtest("03", &by(&alice())).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::Missing);
}

#[tokio::test]
async fn those_whose_process_died_are_closed() {
    let home = with_queued(&["01", "02"]).await;
    home.catalog.claim_backtest(None, 5).await.unwrap();
    home.catalog.close_dead_backtests(9).await.unwrap();
    let all = home.catalog.backtests(&FIRST).await.unwrap().items;
    assert_eq!(all.iter().map(|backtest| backtest.state).collect::<Vec<_>>(), [Queued, Failed]);
    assert_eq!(all[1].error.as_deref(), Some("its process ended before it did"));
    let audited = &home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items[0];
    assert_eq!((&*audited.subject, audited.action.name(), &*audited.object), ("system", "backtest.finish", "01"));
    let page = home.catalog.backtests(&PageQuery { limit: 1, ..FIRST }).await.unwrap();
    let rest = home.catalog.backtests(&PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST }).await.unwrap();
    assert_eq!([page.items, rest.items].concat(), all);
}
