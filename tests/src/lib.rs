//! What the integration tests and the benchmarks share: plugins as components and as native code, and the source tree.

pub mod checkout;
pub mod components;
pub mod measure;
pub mod native;
#[allow(missing_docs, dead_code, reason = "shared with the benchmark of decoding, which needs all of it")]
#[path = "../../host/engine/tests/decode/payments.rs"]
pub mod payments;
pub mod workload;
