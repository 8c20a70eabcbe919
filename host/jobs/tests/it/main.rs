//! Jobs over real folders, Delta tables and databases, with transforms and checks in native code.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(clippy::inconsistent_digit_grouping, clippy::zero_prefixed_literal, reason = "999_00 is 999.00 in cents")]

mod archived;
mod backtest;
mod fakes;
mod gold;
mod home;
mod nightly;
mod silver;
