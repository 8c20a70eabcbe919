//! Real services for tests, demo and benchmarks, without a container engine: Apache Kafka, a proxy before it that fails on
//! demand, Apache Flink to be measured beside, and `promtool`.
//!
//! What they are made of is installed once, in a folder below Cargo's target folder; `cargo xtask setup` and `cargo xtask test` do
//! that first for what tests need, so that they need no network. Everything that is started ends with the process that started it.

pub mod apt;
pub mod flink;
mod install;
pub mod kafka;
mod maven;
mod port;
pub mod process;
pub mod prometheus;
pub mod proxy;

use std::env;
use std::path::{Path, PathBuf};

/// The folder that services are installed in: what `TAMIS_SERVICES` says (one for several checkouts, for example), else `services`
/// in Cargo's target folder.
pub fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("TAMIS_SERVICES") {
        return folder.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("services")
}
