//! derive

use proc_macro2::TokenStream;

/// Expands it.
pub fn expand(input: syn::DeriveInput) -> syn::Result<TokenStream> {
    Err(syn::Error::new_spanned(input.ident, "config is not written yet"))
}
