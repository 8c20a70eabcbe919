//! What the stream made of a record, as it is told and remembered.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tamis_model::alert::AlertContext;
use tamis_model::position::Partition;
use tamis_model::rule::Severity;

use crate::rules::Role;

/// What the stream made of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// Where the record is.
    pub partition: Partition,
    /// Its offset there.
    pub offset: i64,
    /// The revision of the rules that were at work.
    pub revision: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was judged.
    Judged {
        /// Whether it lay behind its partition's watermark: windows leave it out.
        late: bool,
        /// What each rule said that judged it. A rule whose windows leave it out, or that finds no key in it, did not; and where a canary
        /// runs, only the version speaks to which the key belongs.
        rules: Vec<RuleResult>,
    },
    /// It could not be decoded, or its time cannot be: it is among the dead letters.
    Refused {
        /// A stable name.
        reason: Cow<'static, str>,
        /// In words.
        message: String,
    },
}

/// What a version of a rule said of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: String,
    /// The number of the version.
    pub version: u32,
    /// Its plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// Whether its alerts count.
    pub role: Role,
    /// What it said.
    pub verdict: Verdict,
}

/// What a rule said of a record when it was judged. What the rule may raise about it later, when a window closes or another event
/// arrives, is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It did not fire.
    NoHit,
    /// It fired.
    Hit(Box<Hit>),
    /// Its code failed on the record, which has a dead letter.
    Error {
        /// A stable name.
        reason: Cow<'static, str>,
        /// In words.
        message: String,
    },
}

/// An alert about a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Its id.
    pub alert_id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The criteria that hold.
    pub criteria: Vec<String>,
    /// The values that made the rule fire.
    pub context: AlertContext,
    /// Whether it was raised before, about a record with the same id, and so was not written again.
    pub repeated: bool,
}
