//! Write Tamis plugins in Rust: a plugin is a function.

pub mod bindings;
pub mod read;
pub mod value;

pub use tamis_sdk_macros::{Config, Output, Row, State, check, rule, transform};
