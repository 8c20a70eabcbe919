//! Topics of a real Kafka: one broker for all tests of this binary, and clusters of their own for tests that break them.

mod contract;
mod fixture;
mod groups;
mod outages;
mod security;
mod source;
mod topics;
mod writing;
