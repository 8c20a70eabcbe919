//! `#[check]`: a plugin from a function that judges what was observed of a dataset.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, ItemFn, Result, Type};

use crate::attributes::About;
use crate::transform::referent;

/// Expands `#[check]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let mut about = About::default();
    syn::meta::parser(|meta| match about.member(&meta)? {
        true => Ok(()),
        false => Err(meta.error("expected `name`, `title` or `owner`")),
    })
    .parse2(attributes)?;
    let about = about.expression(&function)?;

    let inputs = function.sig.inputs.iter().map(referent).collect::<Result<Vec<_>>>()?;
    let [config, observed] = inputs.as_slice() else {
        return Err(Error::new_spanned(
            &function.sig,
            "a check takes `&Config`, and `&Dataset` or what it keeps of a column",
        ));
    };
    let name = &function.sig.ident;
    let judge = quote! { |observed| #name(&self.config, observed) };
    let (columns, observe, finish) = if is_dataset(observed) {
        (quote! { 1 }, quote! { kept.count(rows) }, quote! { judge_whole(#judge) })
    } else {
        let names = quote! { &self.config.columns };
        (quote! { self.config.columns.len() }, quote! { kept.observe(rows, #names)? }, quote! { judge(#names, #judge) })
    };
    let (check, types) = (quote!(::tamis_sdk::check), quote!(::tamis_sdk::bindings::types));
    let result = quote!(::std::result::Result);
    Ok(quote! {
        #function

        /// The plugin made of this crate's function.
        pub struct Plugin {
            config: #config,
        }

        impl #check::CheckPlugin for Plugin {
            fn manifest() -> ::std::string::String {
                #check::manifest::<#config>(#about)
            }

            fn configure(config: &str) -> #result<Self, ::std::string::String> {
                <#config as ::tamis_sdk::config::Config>::parse(config).map(|config| Self { config })
            }

            fn observe(&self, rows: &#types::Batch, state: &[u8]) -> #result<::std::vec::Vec<u8>, ::std::string::String> {
                let mut kept = #check::Kept::<#observed>::decode(state, #columns)?;
                #observe;
                Ok(kept.encode())
            }

            fn finish(&self, state: &[u8]) -> #result<::std::vec::Vec<#types::CheckResult>, ::std::string::String> {
                Ok(#check::Kept::<#observed>::decode(state, #columns)?.#finish)
            }
        }

        ::tamis_sdk::export_check!(Plugin);
    })
}

/// Whether it is `Dataset`; anything else is kept for each column.
fn is_dataset(observed: &Type) -> bool {
    matches!(observed, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "Dataset"))
}
