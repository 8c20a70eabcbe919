//! When a rule is stopped: it fails on, or fires for, a larger share of its events than it may.

use crate::rules::{Budget, OnFailure, Role, RulePlan};

/// After so many batches in a row on which a plugin used up everything that isolating its failures may take, it is stopped
/// whatever its policy: each of them holds the stream up for many seconds.
const EXHAUSTED_MAX: u32 = 3;

/// What a rule did with a batch, in one call or, added up, in all shards and with the timers that fired behind it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Events, or keys whose timers were due.
    pub rows: u64,
    pub errors: u64,
    /// Findings, of a canary those of the other keys too: it judges everything.
    pub alerts: u64,
    /// Rows emitted.
    pub emitted: u64,
    /// Whether isolating its failures was given up.
    pub exhausted: bool,
}

impl Tally {
    /// Adds what another call came to.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.errors += other.errors;
        self.alerts += other.alerts;
        self.emitted += other.emitted;
        self.exhausted |= other.exhausted;
    }
}

/// Watches over a rule.
pub(crate) struct Breaker {
    budget: Option<Budget>,
    /// Of the present window.
    window: Tally,
    exhausted_batches: u32,
}

impl Breaker {
    /// A version on trial as a canary has its trial's budget, else its failure policy's.
    pub fn new(plan: &RulePlan) -> Self {
        let budget = match (plan.role, plan.on_failure) {
            (Role::Canary { budget, .. }, _) | (_, OnFailure::Disable(budget)) => Some(budget),
            _ => None,
        };
        Self { budget, window: Tally::default(), exhausted_batches: 0 }
    }

    /// Takes what a batch came to. Returns why the rule must be stopped, if it must.
    pub fn observe(&mut self, batch: Tally) -> Option<String> {
        self.exhausted_batches = if batch.exhausted { self.exhausted_batches + 1 } else { 0 };
        if self.exhausted_batches >= EXHAUSTED_MAX {
            return Some(format!(
                "it failed on {EXHAUSTED_MAX} batches in a row so often that not all their rows could be tried"
            ));
        }
        let budget = self.budget?;
        let window = &mut self.window;
        window.add(batch);
        let tripped = if window.rows >= budget.rows_min.max(1) { exceeded(window, &budget) } else { None };
        if window.rows >= budget.window_rows {
            *window = Tally::default();
        }
        tripped
    }
}

fn exceeded(window: &Tally, budget: &Budget) -> Option<String> {
    let over = |count: u64, percent_max: f64| count as f64 * 100.0 > percent_max * window.rows as f64;
    let (rows, errors, alerts) = (window.rows, window.errors, window.alerts);
    if over(errors, budget.errors_percent_max) {
        return Some(format!("it failed on {errors} of {rows} events, more than {} %", budget.errors_percent_max));
    }
    let percent_max = budget.alerts_percent_max.filter(|percent_max| over(alerts, *percent_max))?;
    Some(format!("it raised {alerts} alerts for {rows} events, more than {percent_max} %"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget =
        Budget { rows_min: 10, window_rows: 100, errors_percent_max: 5.0, alerts_percent_max: Some(50.0) };

    /// Batches of (rows, errors, alerts), and at which one the breaker trips.
    #[track_caller]
    fn check(batches: &[(u64, u64, u64)], trips: Option<(usize, &str)>) {
        let mut breaker = Breaker { budget: Some(BUDGET), window: Tally::default(), exhausted_batches: 0 };
        let tripped = batches.iter().enumerate().find_map(|(i, &(rows, errors, alerts))| {
            Some((i, breaker.observe(Tally { rows, errors, alerts, ..Tally::default() })?))
        });
        assert_eq!(tripped.as_ref().map(|(i, why)| (*i, why.as_str())), trips);
    }

    #[test]
    fn a_share_above_the_budget_trips_once_there_are_enough_rows() {
        check(&[(100, 5, 0)], None);
        check(&[(100, 6, 0)], Some((0, "it failed on 6 of 100 events, more than 5 %")));
        check(&[(9, 9, 0)], None);
        check(&[(9, 9, 0), (1, 0, 0)], Some((1, "it failed on 9 of 10 events, more than 5 %")));
        check(&[(20, 0, 10)], None);
        check(&[(20, 0, 11)], Some((0, "it raised 11 alerts for 20 events, more than 50 %")));
    }

    #[test]
    fn a_window_forgets_the_one_before() {
        check(&[(100, 5, 0), (9, 5, 0)], None);
        check(&[(60, 3, 0), (60, 3, 0), (60, 3, 0)], None);
        check(&[(60, 3, 0), (60, 4, 0)], Some((1, "it failed on 7 of 120 events, more than 5 %")));
    }

    #[test]
    fn a_rule_that_holds_everybody_up_is_stopped_without_a_budget() {
        let mut breaker = Breaker { budget: None, window: Tally::default(), exhausted_batches: 0 };
        let mut observe =
            |exhausted| breaker.observe(Tally { rows: 1, errors: 1, exhausted, ..Tally::default() }).is_some();
        assert_eq!([true, true, false, true, true, true].map(&mut observe), [false, false, false, false, false, true]);
    }
}
