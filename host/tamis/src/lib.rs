//! The Tamis host: configuration → plan → supervise. The only place that puts concrete parts together.

pub mod plugin;
