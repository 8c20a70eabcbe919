//! An unusual share of those whose age is checked are minors.

use tamis_sdk::prelude::*;

/// Which share is too large.
#[derive(Config)]
pub struct Limits {
    /// The highest share of minors among the decided checks that is still normal, in percent.
    #[config(default = Percent::whole(30), min = 0, max = 100)]
    minor_percent_max: Percent,
    /// Decided checks that a window needs to be judged.
    #[config(default = 10, min = 0)]
    decided_min: u64,
    /// Length of the window in milliseconds.
    #[config(default = 1_800_000, min = 1)]
    window_ms: i64,
}

/// A decision on the age of a customer.
#[derive(Row)]
#[row(topic = "kyc_decisions")]
pub struct Decision<'a> {
    decision: &'a str,
}

/// The decided checks of a window; those that wait are not among them.
#[derive(Default, State)]
pub struct Tally {
    decided: u64,
    minors: u64,
}

impl Fold<Decision<'_>> for Tally {
    fn add(&mut self, check: &Decision) {
        self.decided += u64::from(matches!(check.decision, "majeur" | "mineur"));
        self.minors += u64::from(check.decision == "mineur");
    }
}

/// Whether too many of the window's decided checks found minors.
#[rule(
    key = "all",
    severity = "warning",
    route = "alerts_kyc",
    title = "Large share of minors among age checks",
    owner = "kyc"
)]
pub fn kyc_minor_rate(config: &Limits, checks: &Tumbling<Decision, Tally>) -> bool {
    checks.decided >= config.decided_min && config.minor_percent_max.is_exceeded(checks.minors, checks.decided)
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_of_enough_checks_fires() {
        let check = |limits: &Limits, minors: u64, decided: u64, expected: bool| {
            let judge = |window: &Tumbling<Decision, Tally>| kyc_minor_rate(limits, window);
            let holds = testing::tumbling(Tally { decided, minors }, limits.window_ms, judge);
            assert_eq!(holds, expected, "{minors} of {decided}");
        };
        let limits = Limits::default();
        check(&limits, 3, 10, false);
        check(&limits, 4, 10, true);
        check(&limits, 4, 13, true);
        check(&limits, 4, 14, false);
        check(&limits, 9, 9, false);
        check(&Limits { decided_min: 0, ..Limits::default() }, 0, 0, false);
    }

    #[test]
    fn only_decided_checks_count() {
        let mut tally = Tally::default();
        for decision in ["majeur", "en_attente", "mineur", "majeur"] {
            tally.add(&Decision { decision });
        }
        assert_eq!((tally.decided, tally.minors), (3, 1));
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"tumbling(decided:u64,minors:u64)".into()));
    }
}
