//! The boundary as Rust types: generated from `sdk/wit`, one module for each world.
//!
//! The three worlds share one set of `types` and one `host`. What makes a component a rule, a transform or a check is the
//! custom section that describes the world with its exports, and `pub_export_macro` puts that section into the
//! expansion of the export macro: so a plugin crate, which expands one of them, has one world, and a crate that
//! links this one natively exports nothing.

/// Types and imports that all worlds share.
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

macro_rules! world {
    ($(#[$doc:meta])* $module:ident, $world:literal, $export:literal) => {
        $(#[$doc])*
        pub mod $module {
            #![allow(missing_docs, reason = "generated; documented in sdk/wit/tamis.wit")]
            wit_bindgen::generate!({
                world: $world,
                path: "../wit",
                with: {
                    "tamis:plugin/types@1.0.0": crate::bindings::types,
                    "tamis:plugin/host@1.0.0": crate::bindings::host,
                },
                pub_export_macro: true,
                export_macro_name: $export,
                disable_custom_section_link_helpers: true,
            });
        }
    };
}

world!(
    /// The world of rules.
    rule, "rule", "export_rule"
);
world!(
    /// The world of transforms.
    transform, "transform", "export_transform"
);
world!(
    /// The world of checks.
    check, "check", "export_check"
);
