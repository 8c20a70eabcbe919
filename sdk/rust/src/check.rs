//! Checks: whether a dataset can be trusted.
//!
//! `#[check]` makes a plugin of a function that judges what was observed. What it takes decides what is observed:
//!
//! | parameter | called |
//! |---|---|
//! | `&Dataset` | once, with the number of rows |
//! | a type of the plugin's own that is [`Observe`] and a [`State`] | for each column that the setting `columns` names |
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! #[derive(Config)]
//! pub struct Limits {
//!     #[config(default = 1)]
//!     rows_min: u64,
//! }
//!
//! #[check(title = "Enough rows", owner = "data")]
//! pub fn volume(config: &Limits, dataset: &Dataset) -> Verdict {
//!     let passed = dataset.rows >= config.rows_min;
//!     Verdict { passed, observed: format!("{} rows", dataset.rows), expected: format!("at least {}", config.rows_min) }
//! }
//!
//! assert!(!volume(&Limits::default(), &Dataset { rows: 0 }).passed);
//! ```

use crate::bindings::types::{Batch, CheckResult, Value};
use crate::config::Config;
use crate::encoding::{self, Reader};
use crate::manifest::{self, About};
use crate::state::State;

mod values;

pub use values::{NumberType, Values};

/// What a check says, and its reasons in words that an auditor understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether what was observed is as expected.
    pub passed: bool,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: String,
}

/// What a check keeps of the values of a column.
pub trait Observe {
    /// Takes in the column's values in one batch. The error says what is wrong with the type of the column.
    fn observe(&mut self, values: &Values<'_>) -> Result<(), String>;
}

/// What a check keeps of a dataset as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// How many rows it has.
    pub rows: u64,
}

/// The code of a check; `#[check]` implements it for a type `Plugin`.
pub trait CheckPlugin: Sized {
    /// The manifest, JSON by `schemas/manifest.schema.json`.
    fn manifest() -> String;

    /// The plugin with a configuration, JSON by the manifest's schema.
    fn configure(config: &str) -> Result<Self, String>;

    /// Takes in a batch of the columns that the configuration names. The state is empty at first, then what the last
    /// call returned.
    fn observe(&self, rows: &Batch, state: &[u8]) -> Result<Vec<u8>, String>;

    /// Judges what was observed.
    fn finish(&self, state: &[u8]) -> Result<Vec<CheckResult>, String>;
}

/// The manifest of a check, by the type of its configuration.
pub fn manifest<C: Config>(about: About) -> String {
    manifest::begin::<C>(about, "check").to_string()
}

/// What a check keeps between batches: [`Dataset`], or one state for each column.
///
/// As bytes it is empty when nothing was observed yet; else a format byte, how many states follow, and they.
pub struct Kept<S>(pub Vec<S>);

/// The first byte of a [`Kept`]; another format gets another one.
const FORMAT: u8 = 1;

impl<S: State + Default> Kept<S> {
    /// Reads back what [`Kept::encode`] wrote of `columns` states; that many empty ones when there is nothing.
    pub fn decode(bytes: &[u8], columns: usize) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self((0..columns).map(|_| S::default()).collect()));
        }
        let mut reader = Reader::new(bytes);
        if reader.byte() != Some(FORMAT) || reader.unsigned() != Some(columns as u64) {
            return Err(format!("the state is not of format {FORMAT} with {columns} columns"));
        }
        let states: Option<Vec<S>> = (0..columns).map(|_| S::decode(&mut reader)).collect();
        states
            .filter(|_| reader.is_at_end())
            .map(Self)
            .ok_or_else(|| format!("the state is no state of format {FORMAT}"))
    }

    /// The state as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        encoding::unsigned(&mut bytes, self.0.len() as u64);
        self.0.iter().for_each(|state| state.encode(&mut bytes));
        bytes
    }
}

impl<S: State + Default + Observe> Kept<S> {
    /// Takes in a batch whose columns are those called `names`.
    pub fn observe(&mut self, rows: &Batch, names: &[String]) -> Result<(), String> {
        if rows.columns.len() != names.len() {
            return Err(format!(
                "{} columns came for the {} of the setting `columns`",
                rows.columns.len(),
                names.len()
            ));
        }
        for ((state, column), name) in self.0.iter_mut().zip(&rows.columns).zip(names) {
            let values = Values::of(column, rows.rows as usize)
                .ok_or_else(|| format!("column `{name}` has not {} rows", rows.rows))?;
            state.observe(&values).map_err(|reason| format!("column `{name}` {reason}"))?;
        }
        Ok(())
    }

    /// One result for each column.
    pub fn judge(&self, names: &[String], judge: impl Fn(&S) -> Verdict) -> Vec<CheckResult> {
        names.iter().zip(&self.0).map(|(name, state)| result(Some(name.clone()), judge(state))).collect()
    }
}

impl Kept<Dataset> {
    /// Takes in a batch.
    pub fn count(&mut self, rows: &Batch) {
        self.0.iter_mut().for_each(|dataset| dataset.rows += u64::from(rows.rows));
    }

    /// The one result.
    pub fn judge_whole(&self, judge: impl Fn(&Dataset) -> Verdict) -> Vec<CheckResult> {
        self.0.iter().map(|dataset| result(None, judge(dataset))).collect()
    }
}

impl State for Dataset {
    const FIELDS: &'static [&'static str] = &["rows"];

    fn shape() -> String {
        "rows:u64".to_owned()
    }

    fn values(&self, values: &mut Vec<Value>) {
        values.push(i64::try_from(self.rows).map_or(Value::Null, Value::Int64));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encoding::unsigned(out, self.rows);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { rows: reader.unsigned()? })
    }
}

fn result(column: Option<String>, verdict: Verdict) -> CheckResult {
    let Verdict { passed, observed, expected } = verdict;
    CheckResult { column, passed, observed, expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_reads_back_and_none_is_empty() {
        let decode = |bytes: &[u8], columns| Kept::<Dataset>::decode(bytes, columns).map(|kept| kept.0);
        assert_eq!(decode(&[], 2), Ok(vec![Dataset::default(); 2]));
        let states = vec![Dataset { rows: 3 }, Dataset { rows: u64::MAX }];
        let bytes = Kept(states.clone()).encode();
        assert_eq!(decode(&bytes, 2), Ok(states));
        assert!(decode(&bytes, 1).is_err(), "another number of columns");
        assert!(decode(&bytes[..bytes.len() - 1], 2).is_err(), "torn");
        assert!(decode(&[&bytes[..], &[0]].concat(), 2).is_err(), "too long");
        assert!(decode(&[&[FORMAT + 1], &bytes[1..]].concat(), 2).is_err(), "another format");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, columns in 0_usize..5) {
            if let Ok(kept) = Kept::<Dataset>::decode(&bytes, columns) {
                prop_assert_eq!(kept.0.len(), columns);
            }
        }
    }
}
