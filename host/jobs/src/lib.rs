//! Batch work: ingest → silver → gold → gate → publish, each step idempotent, a run as a whole as well.

pub mod calendar;
pub mod countries;
pub mod datasets;
pub mod functions;
pub mod session;
pub mod staging;
