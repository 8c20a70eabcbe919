//! The real process: `tamis serve` and `tamis run` as people start them, and as the machine ends them.
#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod archived;
mod backlog;
mod beside;
mod chaos;
mod client;
mod day;
mod decisions;
mod disk;
mod ends;
mod equal;
mod feed;
mod gone;
mod group;
mod kafka;
mod kills;
mod mounted;
mod observed;
mod process;
mod quorum;
mod replay;
mod results;
mod serve;
mod shared;
mod shop;
mod swaps;
mod unmade;
mod worker;
