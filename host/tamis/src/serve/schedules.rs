//! What runs by the clock: the nightly run, once a day, and silver of topics.
//!
//! A day that was missed is not caught up. A run that something outside made fail is tried again twice, five minutes apart; while another one
//! is at work it waits. A night that is given up raises an alert of its own: a run can raise only what it sees, and some never begin.

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
const PAUSES: Pauses = Pauses { retry: Duration::from_secs(300), lock: Duration::from_secs(10) };
/// How often a night waits for another run: an hour in all.
const WAITS_MAX: u32 = 360;
/// What the alert of a night is about.
const SUBJECT: &str = "nightly";

/// How long a night waits.
#[derive(Clone, Copy)]
struct Pauses {
    /// After something outside made it fail.
    retry: Duration,
    /// While another run is at work.
    lock: Duration,
}

/// Runs the night each day at `at`, UTC; `as_of` is that day.
pub(super) async fn run(host: Host, at: NaiveTime) {
    loop {
        let next = next(Utc::now(), at);
        let wait = (next - Utc::now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
        let as_of = next.date_naive();
        attend(host.catalog(), as_of, {
            let host = host.clone();
            with_retries(async move || run_night(&host, as_of, Arc::new(|_| {})).await.map(drop), as_of, PAUSES)
        })
        .await;
    }
}

/// Runs silver of topics every `interval`. What one run misses the next one takes.
pub(super) async fn run_silver_every(host: Host, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let run = host.clone();
        match guarded("silver of topics", async move { run_silver(&run, &[]).await.map(drop) }).await {
            Err(error) if ProcessLock::is_taken(&error) => tracing::info!("silver of topics waits: {}", error.chain()),
            Err(error) => tracing::error!("{}", error.chain()),
            Ok(()) => {}
        }
    }
}

/// Sees a night to its end, whatever that is: the next one comes all the same.
async fn attend(catalog: &Catalog, as_of: NaiveDate, night: impl Future<Output = Result<()>> + Send + 'static) {
    let Err(failed) = guarded(&format!("the night of {as_of}"), night).await else { return };
    let message = format!("the night of {as_of} is given up: {}", failed.chain());
    tracing::error!("{message}");
    let raised = catalog.raise_outside_runs(Trouble::RunFailed, SUBJECT, &message, SystemClock.now()).await;
    if let Err(error) = raised {
        tracing::error!("{}", error.chain());
    }
}

/// Runs something to its end, which may be a panic.
async fn guarded(what: &str, run: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    // A task of its own, which is aborted with this one: a panic must not end what waits for the next time.
    let mut tasks = JoinSet::new();
    tasks.spawn(run);
    match tasks.join_next().await {
        Some(Err(panicked)) => Err(Error::new(Kind::Corrupt, "run", what).because(panicked)),
        Some(Ok(ended)) => ended,
        None => Ok(()),
    }
}

async fn with_retries(mut night: impl AsyncFnMut() -> Result<()>, as_of: NaiveDate, pauses: Pauses) -> Result<()> {
    let (mut tries, mut waits) = (0, 0);
    loop {
        match night().await {
            Err(error) if ProcessLock::is_taken(&error) && waits < WAITS_MAX => {
                waits += 1;
                tracing::info!("the night of {as_of} waits: {}", error.chain());
                tokio::time::sleep(pauses.lock).await;
            }
            Err(error) if error.can_retry() && tries < RETRIES_MAX => {
                tries += 1;
                tracing::warn!("the night of {as_of} is tried again in 5 minutes: {}", error.chain());
                tokio::time::sleep(pauses.retry).await;
            }
            ended => return ended,
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

    const AT_ONCE: Pauses = Pauses { retry: Duration::ZERO, lock: Duration::ZERO };

    #[tokio::test]
    async fn only_what_fails_is_a_try() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let _held = ProcessLock::acquire(&lock, "the test is at work").unwrap();
        let as_of = NaiveDate::from_ymd_opt(2026, 3, 20).unwrap();
        let check = async |taken: usize, failed: usize, expected: Option<Kind>| {
            let taken = std::iter::repeat_n(true, taken).chain(std::iter::repeat_n(false, failed));
            let mut nights = taken.map(|is_taken| match is_taken {
                true => ProcessLock::acquire(&lock, "the test is at work").map(drop),
                false => Err(Error::new(Kind::Outage, "reach", "the disk")),
            });
            let night = async || nights.next().unwrap_or(Ok(()));
            let ended = with_retries(night, as_of, AT_ONCE).await;
            assert_eq!(ended.map_err(|error| error.kind()).err(), expected);
        };
        check(20, 2, None).await;
        check(20, 3, Some(Kind::Outage)).await;
        check(WAITS_MAX as usize + 1, 1, None).await;
        check(WAITS_MAX as usize + 3, 0, Some(Kind::Outage)).await;
        let panicked = guarded("silver", async { panic!("as the test wants it") }).await.unwrap_err();
        assert!(panicked.chain().contains("panicked"), "{}", panicked.chain());
    }

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
        let night = {
            let host = host.clone();
            async move || run_night(&host, as_of, Arc::new(|_| {})).await.map(drop)
        };
        attend(host.catalog(), as_of, with_retries(night, as_of, AT_ONCE)).await;
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
