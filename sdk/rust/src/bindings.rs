//! The boundary as Rust types: generated from `sdk/wit`.
//!
//! What makes a component a rule, a transform or a check is a custom section that describes its world, and bindings
//! generated in this crate would put the sections of all three worlds into every plugin. So only what the
//! worlds share is generated here; the world itself by [`world`](crate::world), where a plugin exports it. That happens for
//! WebAssembly alone: a crate that links plugins natively exports nothing.

mod shared {
    #![allow(missing_docs, reason = "generated; documented in sdk/wit/tamis.wit")]
    wit_bindgen::generate!({
        inline: "package tamis:sdk; world shared { import tamis:plugin/host@1.0.0; import tamis:plugin/types@1.0.0; }",
        path: "../wit",
        generate_all,
        additional_derives: [PartialEq],
        disable_custom_section_link_helpers: true,
    });
}

pub use shared::tamis::plugin::{host, types};
