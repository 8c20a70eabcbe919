//! Topics of a real Kafka: one broker for all tests of this binary, and clusters of their own for tests that break them.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod accident;
mod contract;
mod fixture;
mod groups;
mod looking;
mod outages;
mod pressure;
mod security;
mod source;
mod topics;
mod writing;
