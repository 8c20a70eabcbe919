//! The integration tests: one binary, a module for each subject.

#![allow(clippy::unwrap_used, reason = "clippy knows helpers of tests only in modules marked cfg(test)")]

mod architecture;
mod cases;
mod demo;
mod expression;
