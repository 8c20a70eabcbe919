//! What runs by the clock: the nightly run, once a day.
//!
//! A day that was missed is not caught up. A run that something outside made fail is tried again twice, five minutes apart; the run itself
//! raises the alert.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use tamis_model::Result;

use crate::commands::run_night;
use crate::host::Host;

const RETRIES_MAX: u32 = 2;
const RETRY_AFTER: Duration = Duration::from_secs(300);

/// Runs the night each day at `at`, UTC; `as_of` is that day.
pub(super) async fn run(host: Host, at: NaiveTime) {
    loop {
        let next = next(Utc::now(), at);
        let wait = (next - Utc::now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
        if let Err(error) = with_retries(&host, next).await {
            tracing::error!("the night of {}: {}", next.date_naive(), error.chain());
        }
    }
}

async fn with_retries(host: &Host, at: DateTime<Utc>) -> Result<()> {
    let mut tries = 0;
    loop {
        match run_night(host, at.date_naive(), Arc::new(|_| {})).await {
            Err(error) if error.can_retry() && tries < RETRIES_MAX => {
                tries += 1;
                tracing::warn!("the night of {} is tried again in 5 minutes: {}", at.date_naive(), error.chain());
                tokio::time::sleep(RETRY_AFTER).await;
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
    use super::*;

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
