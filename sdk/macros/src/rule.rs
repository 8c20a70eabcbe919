//! `#[rule]`.

use proc_macro2::TokenStream;

/// Expands `#[rule]` on a function.
pub fn expand(_attributes: TokenStream, function: syn::ItemFn) -> syn::Result<TokenStream> {
    Err(syn::Error::new_spanned(function.sig, "#[rule] is not written yet"))
}
