//! The integration tests: one binary, a module for each subject.

#![allow(clippy::unwrap_used, reason = "clippy knows helpers of tests only in modules marked cfg(test)")]

mod architecture;
mod cases;
mod crashes;
mod demo;
mod expression;
mod oracle;
/// What a home holds in the end, shared with the tests of the real process.
#[path = "../../../host/tamis/tests/process/results.rs"]
mod results;
