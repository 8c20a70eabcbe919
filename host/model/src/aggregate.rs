//! Aggregates: rows that a rule emits about windows.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The column of an output that names the length of the window, `1m`.
pub const WINDOW: &str = "window";
/// The column of an output that holds the window's first millisecond.
pub const WINDOW_START: &str = "window_start";

/// Whether a window can be called so: its name becomes one of a folder.
pub fn is_window_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A row of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateRow {
    /// The aggregate: the dataset of the rule's output.
    pub name: String,
    /// The length of its window, `1m`.
    pub window: String,
    /// The first millisecond of its window.
    pub window_start: Millis,
    /// Whether the rule is on trial: then the row is kept apart.
    pub shadow: bool,
    /// The row, one JSON object.
    pub json: String,
}
