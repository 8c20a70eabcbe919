//! `#[rule]`: a plugin from a function that judges rows or windows.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, LitStr, Result};

use crate::attributes::optional;

mod attributes;
pub mod parts;
pub mod plugin;
pub mod shape;
pub mod versions;

use attributes::Attributes;
use parts::Parts;
use plugin::Plugin;
use shape::{SHAPES, Shape};

/// Expands `#[rule]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let attributes = Attributes::parse(attributes)?;
    let shape = Shape::of(&function, SHAPES)?;
    let parts = Parts::of(&function, &attributes, &shape)?;
    let description = description(&function, &attributes, &parts)?;
    let checks = checks(&attributes, &shape, &parts);
    let severities = attributes.severity_table()?;
    let terms = quote!(::tamis_sdk::rule::Terms);
    let plugin = Plugin {
        function: &function,
        state_version: attributes.versions.current()?,
        migrate: attributes.versions.method(parts.migrate.as_ref())?,
        config: shape.config.unwrap_or_else(|| quote!(())),
        length: parts.length,
        terms: quote!(#terms = #terms { state_version: Self::STATE_VERSION, severities: #severities }),
        description,
        apply: parts.apply,
        advance: parts.advance,
    };
    let plugin = plugin.expand();
    Ok(quote!(#plugin #checks))
}

/// The members of a `Description`.
fn description(function: &ItemFn, attributes: &Attributes, parts: &Parts) -> Result<TokenStream> {
    let (about, name) = (attributes.about.expression(function)?, attributes.about.name());
    let (key, route) = (optional(attributes.key.as_ref()), optional(attributes.route.as_ref()));
    let criteria = &attributes.criteria;
    let criteria = if criteria.is_empty() { quote!(&[#name]) } else { quote!(&[#(#criteria),*]) };
    let migrates_from = attributes.versions.former();
    let Parts { inputs, context, remembers, expires, late, state_shape, .. } = parts;
    Ok(quote! {
        about: #about,
        inputs: ::std::vec![#(#inputs),*],
        key: #key,
        criteria: #criteria,
        context: #context,
        late: #late,
        remembers: #remembers,
        expires: #expires,
        route: #route,
        state_version: Self::STATE_VERSION,
        state_shape: #state_shape,
        migrates_from: #migrates_from,
        output: ::std::option::Option::None,
    })
}

/// What the compiler checks of the attributes.
fn checks(attributes: &Attributes, shape: &Shape, parts: &Parts) -> TokenStream {
    let verdict = &shape.returned;
    let criteria = attributes.criteria.len().max(1);
    let verdict_check = quote! {
        const _: () = ::std::assert!(
            <#verdict as ::tamis_sdk::rule::Verdict>::CRITERIA == #criteria && #criteria <= 32,
            "a rule returns one `bool`, or `[bool; N]` with a name for each in `criteria`, at most 32",
        );
    };
    let columns = [&attributes.key, &attributes.distinct].into_iter().flatten();
    let columns = columns.flat_map(|column| parts.rows.iter().map(move |row| column_check(column, row)));
    quote!(#verdict_check #(#columns)*)
}

/// Lets the compiler check that a row has the column, unless it is `all`.
pub fn column_check(column: &LitStr, row: &TokenStream) -> TokenStream {
    if column.value() == "all" {
        return TokenStream::new();
    }
    let message = format!("no row has a column `{}`", column.value());
    quote! {
        const _: () = ::std::assert!(<#row as ::tamis_sdk::row::Row>::INPUT.declares(#column), #message);
    }
}

/// The key that a plugin with windows needs.
pub fn key<'a>(key: Option<&'a LitStr>, function: &ItemFn) -> Result<&'a LitStr> {
    let message = "say what groups events: `key = \"column\"`, or `key = \"all\"`";
    key.ok_or_else(|| Error::new_spanned(&function.sig, message))
}
