//! The sandbox: plugins are Wasm components that this crate checks, compiles, limits and calls.
//!
//! Nothing else in the host names wasmtime. A [`Sandbox`] holds the engine and its pool of instances; [`Sandbox::load`]
//! makes a [`Plugin`] of a component's bytes or says why it refuses them; a plugin put to work is a [`SandboxedRule`],
//! [`SandboxedTransform`] or [`SandboxedCheck`], which keep one instance each and reuse it from batch to batch.
//!
//! Whatever a plugin does (loop, trap, eat memory, return nonsense), the rows on which it does so come back
//! named, with the reason, and all other rows are judged as if those had not been there: see `bisect`.

mod bisect;
mod cache;
mod check;
mod guest;
mod host;
mod lift;
mod load;
mod lower;
mod manifest_check;
mod outcome;
mod part;
mod plugin;
mod rule;
mod sandbox;
mod schema;
mod ticker;
mod transform;
mod wire;

pub use check::SandboxedCheck;
pub use plugin::Plugin;
pub use rule::SandboxedRule;
pub use sandbox::{Sandbox, SandboxSettings};
pub use transform::SandboxedTransform;
