//! The sandbox against guests that do what they should not: each is stopped with its own reason, and neighbouring rows
//! arrive.
//!
//! The guests are `tests/plugins/hostile-*`; they obey commands that stand in their rows.

#![allow(clippy::unwrap_used, reason = "clippy knows helpers of tests only in modules marked cfg(test)")]

mod cache;
mod check;
mod configured;
mod fixture;
mod keyed;
mod load;
mod log;
mod migrate;
mod rule;
mod transform;
