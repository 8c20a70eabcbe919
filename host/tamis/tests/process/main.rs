//! The real process: `tamis serve` and `tamis run` as people start them, and as the machine ends them.
#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod archived;
mod beside;
mod chaos;
mod client;
mod decisions;
mod disk;
mod ends;
mod feed;
mod group;
mod kafka;
mod kills;
mod mounted;
mod observed;
mod process;
mod replay;
mod results;
mod serve;
mod shared;
mod swaps;
mod worker;
