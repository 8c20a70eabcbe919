//! What the integration tests and the benchmarks share: plugins as components and as native code, and the source tree.

pub mod checkout;
pub mod components;
pub mod measure;
pub mod native;
