//! Rules: what `#[rule]` makes of a function, and how the rows of a batch reach it.
//!
//! Every shape of function has a driver: a plain loop over columns that is compiled for the plugin's own types.
//! [`RulePlugin`] is the same code natively and in the sandbox. A rule that no function describes implements it by hand, from the same parts:
//! [`ByKey`], [`empty_outcome`] and [`end_state`], and [`History`](crate::window::History).

use crate::bindings::types::{Finding, Keyed, RuleOutcome, Severity, Strings, Subject, Value};

mod by_key;
mod describe;
mod rows;

pub use by_key::ByKey;
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
    /// The manifest of a plugin that is configured; another one where it says `describes_configured`.
    fn describe(&self) -> String {
        Self::manifest()
    }
    /// Judges the rows of a batch. An error says which column, key or state is not as declared.
    fn apply(&mut self, rows: &Keyed) -> Result<RuleOutcome, String>;
    /// Sees keys again whose wake the watermark has passed: closes their windows, forgets what is over.
    fn advance(&mut self, due: &Keyed) -> Result<RuleOutcome, String>;
    /// States of an older version as this one writes them, in the same order; by default of none.
    fn migrate(&mut self, _states: &Strings, from_version: u32) -> Result<Strings, String> {
        Err(unknown_version(from_version))
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
}

/// A state that does not decode, of the key with this index: `version` is the one that it should have.
pub fn foreign_state(version: u8, group: usize, state: &[u8]) -> String {
    match state.first() {
        Some(found) if *found != version => {
            format!("the state of key {group} has version {found}, expected version {version}")
        }
        _ => format!("the state of key {group} is no state of version {version}"),
    }
}

/// A version whose states the plugin does not migrate.
pub fn unknown_version(version: u32) -> String {
    format!("it does not read states of version {version}")
}

/// An outcome that has nothing to say about any key yet.
pub fn empty_outcome(keys: usize, state_bytes: usize) -> RuleOutcome {
    let states = no_states(keys, state_bytes);
    RuleOutcome { findings: Vec::new(), emitted: None, states, wakes: Vec::with_capacity(keys) }
}

/// Closes the state of a key.
pub fn end_state(outcome: &mut RuleOutcome, wake: i64) -> Result<(), String> {
    end_bytes(&mut outcome.states)?;
    outcome.wakes.push(wake);
    Ok(())
}

/// Closes a state: everything behind the last offset is of it.
pub(crate) fn end_bytes(states: &mut Strings) -> Result<(), String> {
    let end = u32::try_from(states.data.len()).map_err(|_| "the states of a batch outgrow 4 GiB".to_owned())?;
    states.offsets.push(end);
    Ok(())
}

/// No states yet, but room.
pub(crate) fn no_states(keys: usize, bytes: usize) -> Strings {
    let mut states = Strings { offsets: Vec::with_capacity(keys + 1), data: Vec::with_capacity(bytes) };
    states.offsets.push(0);
    states
}
