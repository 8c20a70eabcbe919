//! Rules: what `#[rule]` makes of a function, and how the rows of a batch reach it.
//!
//! Every shape of function has a driver: a plain loop over columns that is compiled for the plugin's own types.
//! [`RulePlugin`] is the same code natively and in the sandbox.

use crate::bindings::types::{Finding, Keyed, RuleOutcome, Severity, Strings, Subject, Value};

mod by_key;
mod describe;
mod rows;

pub(crate) use by_key::ByKey;
pub use describe::{ContextColumn, ContextSource, Description, Late, row_context};
pub use rows::{apply as apply_to_rows, nothing};

/// The wake of a key that needs no further call of `advance`.
pub const NEVER: i64 = i64::MAX;
/// The group of a row that is not judged.
pub const NOT_JUDGED: u32 = u32::MAX;

/// A rule, natively callable: precisely what its component runs. `#[rule]` implements it for a struct `Plugin`.
pub trait RulePlugin: Sized {
    /// The manifest, JSON by `schemas/manifest.schema.json`.
    fn manifest() -> String;
    /// Reads a configuration, JSON by the manifest's schema. The message names the setting that is wrong.
    fn configure(config: &str) -> Result<Self, String>;
    /// Judges the rows of a batch. An error says which column, key or state is not as declared.
    fn apply(&mut self, rows: &Keyed) -> Result<RuleOutcome, String>;
    /// Sees keys again whose wake the watermark has passed: closes their windows, forgets what is over.
    fn advance(&mut self, due: &Keyed) -> Result<RuleOutcome, String>;
    /// States of an older version as this one writes them; by default of none.
    fn migrate(&mut self, _states: Strings, from_version: u32) -> Result<Strings, String> {
        Err(format!("it does not read states of version {from_version}"))
    }
}

/// What a rule's function can return: whether it holds, or which of its criteria do.
pub trait Verdict {
    /// How many criteria it speaks of.
    const CRITERIA: usize;
    /// Bit i: the i-th criterion holds. 0 = nothing to report.
    fn criteria(self) -> u32;
}

impl Verdict for bool {
    const CRITERIA: usize = 1;

    #[inline]
    fn criteria(self) -> u32 {
        u32::from(self)
    }
}

impl<const N: usize> Verdict for [bool; N] {
    const CRITERIA: usize = N;

    #[inline]
    fn criteria(self) -> u32 {
        self.iter().enumerate().fold(0, |bits, (i, holds)| bits | u32::from(*holds) << i)
    }
}

/// The severity by how many criteria hold at least, ascending from 1.
pub type Severities = &'static [(u32, Severity)];

/// What a plugin adds to what its function says.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The version of its state.
    pub state_version: u8,
    /// How bad a finding is.
    pub severities: Severities,
}

impl Terms {
    /// A finding.
    pub(crate) fn finding(&self, subject: Subject, criteria: u32, context: Vec<Value>) -> Finding {
        let holding = criteria.count_ones();
        let severity = self.severities.iter().rev().find(|(count, _)| *count <= holding).or(self.severities.first());
        Finding { subject, severity: severity.map_or(Severity::Info, |(_, severity)| *severity), criteria, context }
    }

    /// A state that does not decode.
    pub(crate) fn foreign_state(&self, group: usize, state: &[u8]) -> String {
        let ours = self.state_version;
        match state.first() {
            Some(found) if *found != ours => {
                format!("the state of key {group} has version {found}, this plugin reads version {ours}")
            }
            _ => format!("the state of key {group} is no state of version {ours}"),
        }
    }
}

/// An outcome that has nothing to say about any key yet.
pub(crate) fn empty_outcome(keys: usize, state_bytes: usize) -> RuleOutcome {
    let mut states = Strings { offsets: Vec::with_capacity(keys + 1), data: Vec::with_capacity(state_bytes) };
    states.offsets.push(0);
    RuleOutcome { findings: Vec::new(), emitted: None, states, wakes: Vec::with_capacity(keys) }
}

/// Closes the state of a key: everything behind the last offset is its.
pub(crate) fn end_state(outcome: &mut RuleOutcome, wake: i64) -> Result<(), String> {
    let end = u32::try_from(outcome.states.data.len()).map_err(|_| "the states of a batch outgrow 4 GiB".to_owned())?;
    outcome.states.offsets.push(end);
    outcome.wakes.push(wake);
    Ok(())
}
