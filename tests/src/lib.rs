//! What the integration tests and the benchmarks share: plugins as native code, and where the built components are.

pub mod components;
pub mod native;
