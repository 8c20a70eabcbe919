//! `world!`: the bindings of one world, generated in the crate that exports it.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// The interfaces and worlds; part of the macro, so that plugins need no copy of it.
const WIT: &str = include_str!("../../wit/tamis.wit");

/// Expands `world!(name)`. Types and imports are those of `tamis_sdk`.
pub fn expand(name: &Ident) -> TokenStream {
    let world = name.to_string();
    quote! {
        ::tamis_sdk::wit_bindgen::generate!({
            inline: #WIT,
            world: #world,
            with: {
                "tamis:plugin/types@1.0.0": ::tamis_sdk::bindings::types,
                "tamis:plugin/host@1.0.0": ::tamis_sdk::bindings::host,
            },
            runtime_path: "::tamis_sdk::wit_bindgen::rt",
            disable_custom_section_link_helpers: true,
        });
    }
}
