//! The sinks of a backtest: they count what comes and keep a little of it. Nothing is staged, for nothing goes on after a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tamis_engine::{Sinks, Unstaged};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tamis_model::time::rfc3339_millis;

use super::comparison::{Comparison, Side};
use super::examples::ErrorExample;
use super::{Window, lock};

/// Characters of a message that are kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// What the sinks of a version make of its output besides its alerts.
#[derive(Clone)]
pub(super) struct Output {
    /// What its code failed on.
    pub failures: Arc<Mutex<Failures>>,
    /// Rows that it emitted about windows that began in the window.
    pub emitted: Arc<AtomicU64>,
    window: Window,
}

/// Events and keys on which the code of a version failed.
#[derive(Default)]
pub(super) struct Failures {
    /// Those of the window.
    pub total: u64,
    /// Those before and behind it.
    pub outside_window: u64,
    /// Those of the window, by reason.
    pub by_reason: BTreeMap<String, u64>,
    /// The first ones of the window.
    pub examples: Vec<ErrorExample>,
    examples_max: usize,
}

impl Output {
    pub fn new(window: Window, examples_max: usize) -> Self {
        let failures = Failures { examples_max, ..Failures::default() };
        Self { failures: Arc::new(Mutex::new(failures)), emitted: Arc::default(), window }
    }

    /// The sinks of a version.
    pub fn sinks(&self, side: Side, comparison: &Arc<Mutex<Comparison>>) -> Sinks {
        let (records, rows, comparison) = (self.clone(), self.clone(), Arc::clone(comparison));
        let alerts = Unstaged(move |output: &[Alert]| {
            let mut comparison = lock(&comparison);
            output.iter().try_for_each(|alert| comparison.take(side, alert))
        });
        Sinks {
            records: Box::new(Unstaged(move |output: &[Record]| records.take_letters(output))),
            alerts: vec![("backtest".to_owned(), Box::new(alerts))],
            aggregates: Some(Box::new(Unstaged(move |output: &[AggregateRow]| rows.count(output)))),
        }
    }

    /// Of the records only the dead letters of the rule: those of records that could not be decoded are in the engine's report.
    fn take_letters(&self, output: &[Record]) -> Result<()> {
        let letters = output.iter().filter(|record| record.topic == DEAD_LETTERS);
        for letter in letters.filter(|letter| header(letter, "tamis.rule").is_some()) {
            lock(&self.failures).take(letter, self.window);
        }
        Ok(())
    }

    fn count(&self, output: &[AggregateRow]) -> Result<()> {
        let in_window = output.iter().filter(|row| self.window.has(row.window_start)).count();
        self.emitted.fetch_add(in_window as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Failures {
    fn take(&mut self, letter: &Record, window: Window) {
        if !window.has(letter.timestamp) {
            self.outside_window += 1;
            return;
        }
        self.total += 1;
        let reason = header(letter, "tamis.reason").unwrap_or_default();
        *self.by_reason.entry(reason.clone()).or_default() += 1;
        if self.examples.len() < self.examples_max {
            self.examples.push(example(letter, reason));
        }
    }
}

fn example(letter: &Record, reason: String) -> ErrorExample {
    let of = |name: &str| header(letter, name).unwrap_or_default();
    let offset = of("__streams.errors.offset").parse().ok().filter(|offset: &i64| *offset >= 0);
    ErrorExample {
        topic: of("__streams.errors.topic"),
        partition: offset.and_then(|_| of("__streams.errors.partition").parse().ok()),
        offset,
        time: rfc3339_millis(letter.timestamp),
        reason,
        message: of("__streams.errors.message").chars().take(MESSAGE_CHARS_MAX).collect(),
    }
}

fn header(letter: &Record, name: &str) -> Option<String> {
    let value = letter.headers.iter().find(|(found, _)| found == name);
    value.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}
