//! Alerts that no run saw.

use tamis_catalog::PageQuery;
use tamis_catalog::operations::Trouble;

use crate::home::{FIRST, Home};

#[tokio::test]
async fn an_alert_needs_no_run() {
    let home = Home::open().await;
    home.catalog.start_run("r", "nightly", "2026-03-20", 0).await.unwrap();
    home.catalog.raise("r", Trouble::RunFailed, "nightly", "no room", 1).await.unwrap();
    for _ in 0..2 {
        home.catalog.raise_outside_runs(Trouble::StreamHalted, "payments", "a row failed", 2).await.unwrap();
    }

    let all = home.catalog.all_operational_alerts(&FIRST).await.unwrap().items;
    let seen: Vec<_> =
        all.iter().map(|numbered| (numbered.alert.run_id.as_deref(), numbered.alert.kind.as_str())).collect();
    assert_eq!(seen, [(None, "stream_halted"), (None, "stream_halted"), (Some("r"), "run_failed")]);
    assert_eq!(home.catalog.operational_alerts("r").await.unwrap().len(), 1);

    let newest = PageQuery { limit: 1, ..FIRST };
    let page = home.catalog.all_operational_alerts(&newest).await.unwrap();
    let rest = PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST };
    assert_eq!(home.catalog.all_operational_alerts(&rest).await.unwrap().items, all[1..]);
}
