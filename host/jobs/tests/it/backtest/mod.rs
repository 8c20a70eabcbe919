//! Backtests over real topic files with the real components, held against what a live stream raises.

mod bounds;
mod equality;
mod feed;
mod overlap;
mod queue;
