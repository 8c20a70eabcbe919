//! Finding the rows on which a plugin fails.
//!
//! A batch that fails is halved, with a fresh instance after each failure, until the rows that fail even alone
//! are found. A batch of one row is tried a second time. Parts are tried in order, so that state can pass from one to
//! the next. A failure may lie in the batch rather than in a row (all findings together exceed the output limit): then
//! the halves succeed and nothing is poisoned.
//!
//! A plugin that fails on everything would make this long, so it is bounded. After [`POISONED_MAX`] rows, parts are
//! not halved any more: each that is left (at most one for every halving) is tried once and stands or falls as a
//! whole. Once failed calls have taken [`DEADLINES_MAX`] times the plugin's deadline, what is left is not even tried.
//! Rows that are poisoned without having failed alone say so.

use std::ops::Range;
use std::time::{Duration, Instant};

use tamis_model::Result;

use crate::guest::Failure;

/// Rows of one batch that are isolated.
pub(crate) const POISONED_MAX: usize = 32;
/// Deadlines that failed calls for one batch may take together. Isolating one endless row of 4096 takes 12.
pub(crate) const DEADLINES_MAX: u32 = 32;

/// What was found.
#[derive(Debug)]
pub(crate) struct Isolated {
    /// What is poisoned, ascending.
    pub poisoned: Vec<(usize, Failure)>,
    /// Whether the bounds were reached.
    pub exhausted: bool,
}

/// What is left to be spent on one batch.
struct Budget {
    rows: usize,
    time: Duration,
}

/// Isolates what fails among `0..len`, after the whole has failed with `failure`.
///
/// `attempt` judges a range and keeps what comes of it; its outer error ends everything.
pub(crate) fn isolate(
    len: usize,
    failure: Failure,
    deadline: Duration,
    mut attempt: impl FnMut(Range<usize>) -> Result<Result<(), Failure>>,
) -> Result<Isolated> {
    let mut budget = Budget { rows: POISONED_MAX, time: deadline.saturating_mul(DEADLINES_MAX) };
    let (mut poisoned, mut exhausted) = (Vec::new(), false);
    let mut last = failure;
    // Ranges still to be tried, the first on top.
    let mut undecided = Vec::new();
    if len == 1 {
        // The instance that failed was used before; the row may be innocent of what it had come to.
        undecided.push(0..1);
    } else {
        split(0..len, &last, &mut budget, &mut undecided, &mut poisoned);
    }
    while let Some(range) = undecided.pop() {
        let began = Instant::now();
        if !budget.time.is_zero() {
            match attempt(range.clone())? {
                Ok(()) => continue,
                Err(failure) => last = failure,
            }
            budget.time = budget.time.saturating_sub(began.elapsed());
        }
        if budget.rows > 0 && !budget.time.is_zero() {
            split(range, &last, &mut budget, &mut undecided, &mut poisoned);
        } else {
            exhausted = true;
            let message = format!("not tried alone, this batch failed too often; last: {}", last.message);
            poisoned.extend(range.map(|i| (i, Failure { reason: last.reason, message: message.clone() })));
        }
    }
    Ok(Isolated { poisoned, exhausted })
}

/// A range that failed: poisoned when it is one row, else two ranges to be tried.
fn split(
    range: Range<usize>,
    failure: &Failure,
    budget: &mut Budget,
    undecided: &mut Vec<Range<usize>>,
    poisoned: &mut Vec<(usize, Failure)>,
) {
    if range.len() == 1 {
        poisoned.push((range.start, failure.clone()));
        budget.rows -= 1;
        return;
    }
    let middle = range.start + range.len() / 2;
    undecided.push(middle..range.end);
    undecided.push(range.start..middle);
}

#[cfg(test)]
mod tests {
    use tamis_model::rule::FailureReason;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(3600);

    fn trap() -> Failure {
        Failure { reason: FailureReason::Trap, message: "boom".to_owned() }
    }

    /// Which rows are poisoned, and which were judged, in the order in which they were.
    fn run(len: usize, fails: impl Fn(Range<usize>) -> bool) -> (Vec<usize>, Vec<usize>) {
        let mut judged = Vec::new();
        let attempt = |range: Range<usize>| {
            if fails(range.clone()) {
                return Ok(Err(trap()));
            }
            judged.extend(range);
            Ok(Ok(()))
        };
        let Isolated { poisoned, .. } = isolate(len, trap(), DEADLINE, attempt).unwrap();
        (poisoned.into_iter().map(|(i, _)| i).collect(), judged)
    }

    #[test]
    fn finds_exactly_the_rows_that_fail_and_judges_the_others_in_order() {
        for bad in [vec![0], vec![4095], vec![1000], vec![5, 6, 7, 4000], (0..32).map(|i| i * 100).collect()] {
            let (poisoned, judged) = run(4096, |range| bad.iter().any(|i| range.contains(i)));
            assert_eq!(poisoned, bad);
            assert_eq!(judged, (0..4096).filter(|i| !bad.contains(i)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_lone_row_gets_a_second_try() {
        let mut tries = 0;
        let held = isolate(1, trap(), DEADLINE, |_| {
            tries += 1;
            Ok(Ok(()))
        });
        assert_eq!((held.unwrap().poisoned, tries), (vec![], 1));
        assert_eq!(run(1, |_| true).0, [0]);
    }

    #[test]
    fn poisons_nothing_when_only_the_size_was_wrong() {
        let (poisoned, judged) = run(1000, |range| range.len() > 300);
        assert_eq!((poisoned, judged.len()), (vec![], 1000));
    }

    #[test]
    fn gives_up_on_a_plugin_that_fails_on_everything() {
        let mut calls = 0;
        let attempt = |_: Range<usize>| {
            calls += 1;
            Ok(Err(trap()))
        };
        let Isolated { poisoned, exhausted } = isolate(4096, trap(), DEADLINE, attempt).unwrap();
        assert!(exhausted);
        assert!(calls < 100, "{calls} calls");
        assert_eq!(poisoned.iter().map(|(i, _)| *i).collect::<Vec<_>>(), (0..4096).collect::<Vec<_>>());
        assert_eq!(poisoned[31].1.message, "boom");
        assert!(poisoned[32].1.message.starts_with("not tried alone"));
    }

    #[test]
    fn rows_far_from_the_last_failure_survive_the_giving_up() {
        let bad: Vec<usize> = (0..33).map(|i| i * 100).collect();
        let (poisoned, judged) = run(4096, |range| bad.iter().any(|i| range.contains(i)));
        assert!(bad.iter().all(|i| poisoned.contains(i)));
        assert_eq!(poisoned.len() + judged.len(), 4096);
        assert!(judged.ends_with(&(3328..4096).collect::<Vec<_>>()), "{poisoned:?}");
    }

    #[test]
    fn gives_up_when_the_time_is_spent() {
        let mut calls = 0;
        let attempt = |_: Range<usize>| {
            calls += 1;
            Ok(Err(trap()))
        };
        let Isolated { poisoned, exhausted } = isolate(8, trap(), Duration::ZERO, attempt).unwrap();
        assert_eq!((calls, poisoned.len(), exhausted), (0, 8, true));
    }
}
