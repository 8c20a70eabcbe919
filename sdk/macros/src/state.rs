//! `#[derive(State)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;
use syn::ext::IdentExt;

use crate::attributes::named_fields;

/// Expands `#[derive(State)]` on a struct.
pub fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let fields = named_fields(&input)?;
    let idents: Vec<_> = fields.iter().filter_map(|field| field.ident.as_ref()).collect();
    let types = fields.iter().map(|field| &field.ty);
    let names: Vec<_> = idents.iter().map(|ident| ident.unraw().to_string()).collect();
    Ok(quote! {
        impl ::tamis_sdk::state::State for #name {
            const FIELDS: &'static [&'static str] = &[#(#names),*];

            fn shape() -> ::std::string::String {
                ::tamis_sdk::state::fields_shape(&[#((#names, <#types as ::tamis_sdk::state::StateField>::shape())),*])
            }

            fn values(&self, values: &mut ::std::vec::Vec<::tamis_sdk::bindings::types::Value>) {
                #(values.push(::tamis_sdk::state::StateField::value(&self.#idents));)*
            }

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                #(::tamis_sdk::state::StateField::encode(&self.#idents, out);)*
            }

            fn decode(reader: &mut ::tamis_sdk::encoding::Reader<'_>) -> ::std::option::Option<Self> {
                ::std::option::Option::Some(Self { #(#idents: ::tamis_sdk::state::StateField::decode(reader)?,)* })
            }
        }
    })
}
