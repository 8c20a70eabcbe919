//! What every plugin of the world `rule` is made of, whatever its shape.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

/// The parts of a plugin's code.
pub struct Plugin<'a> {
    pub function: &'a ItemFn,
    /// The type of its configuration.
    pub config: TokenStream,
    /// The length of windows, from `config`; 0 for rules without.
    pub length: TokenStream,
    /// The version of its state, a `u8`.
    pub state_version: TokenStream,
    /// The type and the value of `Self::TERMS`, `Type = value`.
    pub terms: TokenStream,
    /// The members of a `Description`.
    pub description: TokenStream,
    /// The bodies of `apply` and `advance`.
    pub apply: TokenStream,
    pub advance: TokenStream,
    /// The method `migrate`, or nothing.
    pub migrate: TokenStream,
}

impl Plugin<'_> {
    pub fn expand(self) -> TokenStream {
        let Self { function, config, length, state_version, terms, description, apply, advance, migrate } = self;
        let doc = format!("The rule `{}` as its host calls it.", function.sig.ident);
        quote! {
            #[inline]
            #function

            #[doc = #doc]
            pub struct Plugin {
                config: #config,
                /// The length of windows in milliseconds; 0 for rules without.
                length: i64,
            }

            impl Plugin {
                const STATE_VERSION: u8 = #state_version;
                const TERMS: #terms;
            }

            impl ::tamis_sdk::rule::RulePlugin for Plugin {
                fn manifest() -> ::std::string::String {
                    ::tamis_sdk::rule::Description { #description }.manifest::<#config>()
                }

                fn configure(config: &str) -> ::std::result::Result<Self, ::std::string::String> {
                    let config = <#config as ::tamis_sdk::config::Config>::parse(config)?;
                    let length = #length;
                    ::std::result::Result::Ok(Self { config, length })
                }

                fn apply(
                    &mut self,
                    rows: &::tamis_sdk::bindings::types::Keyed,
                ) -> ::std::result::Result<::tamis_sdk::bindings::types::RuleOutcome, ::std::string::String> {
                    #apply
                }

                fn advance(
                    &mut self,
                    due: &::tamis_sdk::bindings::types::Keyed,
                ) -> ::std::result::Result<::tamis_sdk::bindings::types::RuleOutcome, ::std::string::String> {
                    #advance
                }

                #migrate
            }

            ::tamis_sdk::export_rule!(Plugin);
        }
    }
}
