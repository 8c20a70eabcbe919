//! Reading what all macros share: what a plugin says of itself, doc comments as text, the fields of structs.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::token::Comma;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, ItemFn, Lit, LitStr, Meta, Result, Token,
    parenthesized,
};

/// What a plugin says of itself: `name = "…"`, or else that of its crate; `title = "…"`, or else the function's doc comment;
/// and `owner = "…"`.
#[derive(Default)]
pub struct About {
    name: Option<LitStr>,
    title: Option<LitStr>,
    owner: Option<LitStr>,
}

impl About {
    /// Takes a member of the attribute; false when it is another one.
    pub fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        let member = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("name") => &mut self.name,
            Some("title") => &mut self.title,
            Some("owner") => &mut self.owner,
            _ => return Ok(false),
        };
        *member = Some(meta.value()?.parse()?);
        Ok(true)
    }

    /// The name, a `&'static str`.
    pub fn name(&self) -> TokenStream {
        self.name.as_ref().map_or(quote!(::std::env!("CARGO_PKG_NAME")), |name| quote!(#name))
    }

    /// An expression of type `tamis_sdk::manifest::About`.
    pub fn expression(&self, function: &ItemFn) -> Result<TokenStream> {
        let title = self.title.as_ref().map_or_else(|| doc(&function.attrs), LitStr::value);
        if title.is_empty() {
            let message = "a plugin needs a title: `title = \"…\"` or a doc comment";
            return Err(Error::new_spanned(&function.sig, message));
        }
        let (name, owner) = (self.name(), self.owner.as_ref().map(LitStr::value).unwrap_or_default());
        Ok(quote! {
            ::tamis_sdk::manifest::About {
                name: #name,
                version: ::std::env!("CARGO_PKG_VERSION"),
                title: #title,
                owner: #owner,
            }
        })
    }
}

/// The entries of `(1 = "high", 2 = "critical")`.
pub fn table<K: Parse, V: Parse>(meta: &ParseNestedMeta<'_>) -> Result<Vec<(K, V)>> {
    let entries;
    parenthesized!(entries in meta.input);
    let entry = |input: ParseStream<'_>| {
        let key = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok((key, input.parse()?))
    };
    Ok(entries.parse_terminated(entry, Token![,])?.into_iter().collect())
}

/// An `Option` as it is written.
pub fn optional(value: Option<&impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::std::option::Option::Some(#value)),
        None => quote!(::std::option::Option::None),
    }
}

/// The doc comment of an item as one paragraph.
pub fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The fields of a struct that names them.
pub fn named_fields(input: &DeriveInput) -> Result<&Punctuated<Field, Comma>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(&fields.named),
            _ => Err(Error::new_spanned(&input.ident, "the fields need names")),
        },
        _ => Err(Error::new_spanned(&input.ident, "only a struct can be derived")),
    }
}
