//! The registry over a real catalogue and the real sandbox.
#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod change;
#[path = "../../../api/tests/api/components.rs"]
mod components;
mod home;
mod seed;
mod uploads;
