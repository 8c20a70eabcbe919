//! The API over a real catalogue and the real sandbox, asked as its clients ask it. Every answer is held against the document.
#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod client;
mod components;
mod contract;
mod home;
mod judge;
mod populated;

mod decisions;
mod document;
mod events;
mod health;
mod lifecycle;
mod metrics;
mod pages;
mod preconditions;
mod problems;
mod redrives;
mod roles;
mod sockets;
mod tokens;
mod uploads;
