//! What every part of the host agrees on: columns, schemas, time, rules, alerts, errors.
//!
//! No I/O and no async here: everything above can depend on this crate and test against it.

pub mod accounting;
pub mod aggregate;
pub mod alert;
pub mod dead_letter;
pub mod error;
pub mod manifest;
pub mod partitioner;
pub mod position;
pub mod pseudonym;
pub mod record;
pub mod rule;
pub mod schema;
pub mod strings;
pub mod time;
pub mod topic;
pub mod transform;

pub use error::{Error, Kind, Result};
