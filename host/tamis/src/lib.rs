//! The Tamis host: configuration → plan → supervise. The only place that puts concrete parts together.

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod demo;
pub mod exit;
mod group;
pub mod home;
pub mod host;
pub mod kafka;
pub mod log;
pub mod plan;
pub mod plugin;
pub mod serve;
mod signals;
pub mod streams;
pub mod table;
pub mod topics;

pub use commands::run;

/// An alert is some thirty small allocations, which are made and freed batch by batch.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
