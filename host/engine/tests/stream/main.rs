//! The stream pipeline against in-memory connectors, with small native rules and a brute-force judge.
#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod alerts;
mod decisions;
mod exchange;
mod feed;
mod measures;
mod order;
mod redrive;
mod restart;
mod rules;
mod swap;
mod time;
mod topics;
mod trials;
