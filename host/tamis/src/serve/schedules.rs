//! What runs by the clock: the nightly run, once a day, and silver of topics.
//!
//! A day that was missed is not caught up. A run that something outside made fail is tried again twice, five minutes apart. A night that is
//! given up raises an alert of its own: a run can raise only what it sees, and some never begin.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use tamis_catalog::Catalog;
use tamis_catalog::operations::Trouble;
use tamis_connectors::ProcessLock;
use tamis_engine::{Clock, SystemClock};
use tamis_model::{Error, Kind, Result};
use tokio::task::JoinSet;

use crate::commands::{run_night, run_silver};
use crate::host::Host;

const RETRIES_MAX: u32 = 2;
const RETRY_AFTER: Duration = Duration::from_secs(300);
/// What the alert of a night is about.
const SUBJECT: &str = "nightly";

/// Runs the night each day at `at`, UTC; `as_of` is that day.
pub(super) async fn run(host: Host, at: NaiveTime) {
    loop {
        let next = next(Utc::now(), at);
        let wait = (next - Utc::now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
        let as_of = next.date_naive();
        attend(host.catalog(), as_of, with_retries(host.clone(), as_of, RETRY_AFTER)).await;
    }
}

/// Runs silver of topics every `interval`. What one run misses the next one takes.
pub(super) async fn run_silver_every(host: Host, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match run_silver(&host, &[]).await {
            Err(error) if ProcessLock::is_taken(&error) => tracing::info!("silver of topics waits: {}", error.chain()),
            Err(error) => tracing::error!("{}", error.chain()),
            Ok(_) => {}
        }
    }
}

/// Sees a night to its end, whatever that is: the next one comes all the same.
async fn attend(catalog: &Catalog, as_of: NaiveDate, night: impl Future<Output = Result<()>> + Send + 'static) {
    // A task of its own, which is aborted with this one: a panic must not end what waits for the next night.
    let mut tasks = JoinSet::new();
    tasks.spawn(night);
    let failed = match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(panicked)) => Error::new(Kind::Corrupt, "run", format!("the night of {as_of}")).because(panicked),
        Some(Ok(Ok(()))) | None => return,
    };
    let message = format!("the night of {as_of} is given up: {}", failed.chain());
    tracing::error!("{message}");
    let raised = catalog.raise_outside_runs(Trouble::RunFailed, SUBJECT, &message, SystemClock.now()).await;
    if let Err(error) = raised {
        tracing::error!("{}", error.chain());
    }
}

async fn with_retries(host: Host, as_of: NaiveDate, retry_after: Duration) -> Result<()> {
    let mut tries = 0;
    loop {
        match run_night(&host, as_of, Arc::new(|_| {})).await {
            Err(error) if error.can_retry() && tries < RETRIES_MAX => {
                tries += 1;
                tracing::warn!("the night of {as_of} is tried again in 5 minutes: {}", error.chain());
                tokio::time::sleep(retry_after).await;
            }
            ended => return ended.map(drop),
        }
    }
}

/// The first moment after `now` at the time of day `at`.
fn next(now: DateTime<Utc>, at: NaiveTime) -> DateTime<Utc> {
    let today = now.date_naive().and_time(at).and_utc();
    if today > now { today } else { today.checked_add_days(Days::new(1)).unwrap_or(today) }
}

#[cfg(test)]
mod tests {
    use tamis_catalog::operations::NumberedAlert;
    use tamis_catalog::{Page, PageQuery};

    use super::*;
    use crate::home::Home;
    use crate::plan::Plan;

    #[tokio::test]
    async fn a_night_that_never_begins_and_one_that_panics_raise_an_alert() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(Plan::new(Home::new(folder.path()), Some(b"pepper")).unwrap()).await.unwrap();
        let as_of = NaiveDate::from_ymd_opt(2026, 3, 20).unwrap();
        let alerts = async || {
            let page = PageQuery { cursor: None, limit: 10 };
            let Page { items, .. } = host.catalog().all_operational_alerts(&page).await.unwrap();
            items.into_iter().map(|NumberedAlert { alert, .. }| alert).collect::<Vec<_>>()
        };
        attend(host.catalog(), as_of, async { Ok(()) }).await;
        assert_eq!(alerts().await, []);

        // The home has no checks.
        attend(host.catalog(), as_of, with_retries(host.clone(), as_of, Duration::ZERO)).await;
        let raised = alerts().await;
        assert_eq!(raised.len(), 1, "{raised:?}");
        assert_eq!(
            (&raised[0].run_id, raised[0].kind.as_str(), raised[0].subject.as_str()),
            (&None, "run_failed", SUBJECT)
        );
        let words = ["the night of 2026-03-20 is given up", "cannot bind check"];
        assert!(words.iter().all(|words| raised[0].message.contains(words)), "{}", raised[0].message);

        attend(host.catalog(), as_of, async { panic!("as the test wants it") }).await;
        let raised = alerts().await;
        assert!(raised.len() == 2 && raised[0].message.contains("panicked"), "{raised:?}");
    }

    #[test]
    fn the_next_time_is_today_or_tomorrow() {
        let check = |now: &str, expected: &str| {
            let at = NaiveTime::from_hms_opt(4, 0, 0).unwrap();
            assert_eq!(next(now.parse().unwrap(), at).to_rfc3339(), expected);
        };
        check("2026-03-20T03:59:59Z", "2026-03-20T04:00:00+00:00");
        check("2026-03-20T04:00:00Z", "2026-03-21T04:00:00+00:00");
        check("2026-12-31T23:00:00Z", "2027-01-01T04:00:00+00:00");
    }
}
