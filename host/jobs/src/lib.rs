//! Batch work: ingest → silver → gold → gate → publish, each step idempotent, a run as a whole as well.

pub mod archive;
pub mod backtest;
pub mod calendar;
pub mod countries;
pub mod datasets;
pub mod functions;
pub mod gate;
pub mod gold;
pub mod ingest;
pub mod nightly;
pub mod plans;
pub mod replay;
pub mod session;
pub mod silver;
pub mod staging;
