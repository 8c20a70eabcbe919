//! What crosses the boundary between the engine and the code of a rule, sandboxed or native.

use arrow_array::ArrayRef;
use serde::{Deserialize, Serialize};

use crate::strings::{Strings, StringsBuf};
use crate::time::Millis;
use crate::{Error, Result};

/// The group of a row that is not judged: its key is null, or it is late and the rule ignores late events.
pub const NOT_JUDGED: u32 = u32::MAX;
/// A key that needs no further call of [`Rule::advance`].
pub const NEVER: Millis = Millis::MAX;

/// The code of a rule: a pure function of columns and state.
///
/// Contract: `apply` and `advance` never fail on account of rows; rows (or keys) on which the code
/// fails come back in [`Judged::poisoned`] and all others are judged as if those had not been there.
/// `Err` means that the rule cannot run at all. Every row index and criterion of an outcome is in
/// bounds, `states` and `wakes` have one entry for each key.
pub trait Rule: Send {
    /// Takes a new configuration, JSON by the manifest's schema.
    fn configure(&mut self, config: &str) -> Result<()>;
    /// Judges the rows of a batch.
    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged>;
    /// States of `from_version` as this version of the plugin writes them, in the same order; empty = forget the key. `Err` when it cannot.
    fn migrate(&mut self, states: Strings<'_>, from_version: u32) -> Result<StringsBuf> {
        let _ = states;
        Err(Error::invalid("migrate", format!("states of version {from_version}"), "the rule reads only its own"))
    }
    /// Sees keys again whose wake the watermark has passed; `due` has keys and states but no rows.
    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged>;
}

/// Events in arrival order, with the state of the keys they belong to. A rule without a key gets no groups,
/// keys or states and judges every row.
#[derive(Clone, Debug, Default)]
pub struct Keyed<'a> {
    /// How many rows there are.
    pub rows: usize,
    /// The columns of all declared inputs, one input after the other; of the inputs that a row is not from, null.
    pub columns: &'a [ArrayRef],
    /// For each row the declared input it is from; empty when only one is declared.
    pub input: &'a [u8],
    /// For each row its event time.
    pub times: &'a [Millis],
    /// For each row the index of its key, or [`NOT_JUDGED`].
    pub groups: &'a [u32],
    /// The keys, UTF-8.
    pub keys: Strings<'a>,
    /// The state of each key, empty = none yet.
    pub states: Strings<'a>,
    /// Columns `id`, `order_id`, `customer_id`, for rules that remember events.
    pub identities: Option<&'a [ArrayRef; 3]>,
    /// No event before it will come any more, late ones apart.
    pub watermark: Millis,
}

/// What a rule made of a batch, and what it failed on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// In no particular order.
    pub findings: Vec<Finding>,
    /// Rows of the declared output, one array for each column; empty when the rule has none.
    pub emitted: Vec<ArrayRef>,
    /// The new state of each key, empty = forget it.
    pub states: StringsBuf,
    /// For each key the watermark at which `advance` must see it again, or at which it expires.
    pub wakes: Vec<Millis>,
    /// What the code failed on.
    pub poisoned: Vec<Poisoned>,
    /// Whether it failed so often that isolating its failures was given up: some of what is poisoned was not tried alone.
    pub exhausted: bool,
}

/// An alert in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// Bit i: the i-th declared criterion holds.
    pub criteria: u32,
    /// One value for each declared context column that is from the finding.
    pub context: Vec<Value>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A row of the batch.
    Row(u32),
    /// An earlier event, which the state remembered.
    Remembered(Remembered),
    /// A tumbling window [start, end) of a key.
    Window {
        /// The index of its key.
        group: u32,
        /// Its first millisecond.
        start: Millis,
        /// The first millisecond behind it.
        end: Millis,
    },
}

/// An earlier event that fires only now.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// The index of its key.
    pub group: u32,
    /// The declared input it was from.
    pub input: u8,
    /// Its event time.
    pub time: Millis,
    /// Its id: `payment_id`, `event_id`.
    pub id: String,
    /// Its order, if it had one.
    pub order_id: Option<String>,
    /// Its customer, if it had one.
    pub customer_id: Option<String>,
}

/// How bad it is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at.
    Warning,
    /// To be looked at now.
    High,
    /// To be stopped.
    Critical,
}

impl Severity {
    /// Its name in alerts and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A value of a finding's context.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unknown or absent.
    Null,
    /// Text.
    Text(String),
    /// An integer.
    Int64(i64),
    /// A number.
    Float64(f64),
    /// True or false.
    Boolean(bool),
    /// An event time.
    Timestamp(Millis),
    /// Hundredths.
    Decimal(i64),
    /// Several texts.
    Texts(Vec<String>),
}

/// A row or key that the code failed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Poisoned {
    /// What it failed on.
    pub subject: PoisonedSubject,
    /// Why.
    pub reason: FailureReason,
    /// In words, for people.
    pub message: String,
}

/// What the code failed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoisonedSubject {
    /// A row of the batch.
    Row(u32),
    /// A key whose timer was due.
    Group(u32),
}

/// Why a plugin's call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// It ran longer than its deadline.
    Deadline,
    /// It wanted more memory than its limit.
    Memory,
    /// It returned more than its limit.
    Output,
    /// It trapped: a panic, an impossible access, an unreachable instruction.
    Trap,
    /// It returned an error itself.
    Refused,
    /// It returned what the contract forbids: a row index, a criterion, a length out of bounds.
    Contract,
}

impl FailureReason {
    /// Its name in dead letters and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Trap => "trap",
            Self::Refused => "refused",
            Self::Contract => "contract",
        }
    }
}
