//! The catalogue from outside: what it keeps, what it refuses, and what of each change can be read afterwards.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod audit;
mod backtests;
mod errors;
mod events;
mod home;
mod lifecycle;
mod lists;
mod migration;
mod operations;
mod plugins;
mod redrives;
mod rule_sets;
mod rules;
mod tokens;
mod writers;
