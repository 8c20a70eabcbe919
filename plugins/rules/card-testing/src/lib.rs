//! Somebody tries cards: too many payment attempts of one session within a few seconds.

use tamis_sdk::prelude::*;

/// How many attempts are too many.
#[derive(Config)]
pub struct Limits {
    /// Attempts within the window that are still normal.
    #[config(default = 3, min = 0)]
    attempts_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 5_000, min = 1)]
    window_ms: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    session_id: Option<&'a str>,
}

/// Whether the window that ends at an attempt holds too many.
#[rule(
    key = "session_id",
    severity = "critical",
    route = "alerts_advanced_fraud",
    title = "Many payment attempts of a session within seconds",
    owner = "fraud"
)]
pub fn card_testing(config: &Limits, attempts: &Sliding<Payment>) -> bool {
    attempts.count() > config.attempts_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge = |times: &[i64]| testing::sliding(times, limits.window_ms, |window| card_testing(&limits, window));
        assert!(!judge(&[0, 1, 2]));
        assert!(judge(&[0, 1, 2, 3]));
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"sliding()".into()));
    }

    #[test]
    fn sessions_are_judged_by_themselves() {
        let attempt = |time, session| testing::Record::new(time, format!("p{time}")).with("session_id", session);
        let attempts = [
            attempt(0, "s1"),
            attempt(1, "s2"),
            attempt(2, "s1"),
            attempt(3, "s1"),
            attempt(4, "s1"),
            attempt(5, "s2"),
        ];
        let fired = testing::Run::<Plugin>::new("{}").all(&attempts, 4);
        assert_eq!(fired.iter().map(|fired| &fired.id[..]).collect::<Vec<_>>(), ["p4"]);
    }
}
