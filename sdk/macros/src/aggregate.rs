//! `#[aggregate]`: a plugin from a function that makes a row of a window.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, ItemFn, LitInt, LitStr, Result};

use crate::attributes::{About, optional, table};
use crate::rule::parts::{ignored, whole};
use crate::rule::plugin::Plugin;
use crate::rule::shape::{Shape, Subject};
use crate::rule::versions::Versions;
use crate::rule::{column_check, key};

pub const SHAPE: &str =
    "an aggregate takes `&Config` (or not) and `&Tumbling<Row, Tally>`; it returns a row that derives `Output`";
pub const MEMBERS: &str =
    "expected `name`, `title`, `owner`, `dataset`, `key`, `windows`, `state_version` or `migrates`";

/// Expands `#[aggregate]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let attributes = Attributes::parse(attributes)?;
    let Shape { config, subject, returned } = Shape::of(&function, SHAPE)?;
    let Subject::Tumbling { row, tally } = subject else {
        return Err(Error::new_spanned(&function.sig, SHAPE));
    };
    let key = key(attributes.key.as_ref(), &function)?;
    let (name, module) = (&function.sig.ident, quote!(::tamis_sdk::aggregate));
    let call = match config {
        Some(_) => quote!(#name(&self.config, window)),
        None => quote!(#name(window)),
    };
    let (output, columns) =
        (quote!(::tamis_sdk::output::Output), quote!(<#returned as ::tamis_sdk::output::Output>::Columns));
    let plugin = Plugin {
        function: &function,
        config: config.unwrap_or_else(|| quote!(())),
        length: quote!(0),
        state_version: attributes.versions.current()?,
        terms: attributes.terms(&module)?,
        description: attributes.description(&function, key, &row, &tally, &returned)?,
        apply: quote!(#module::apply::<#row, #tally>(rows, &Self::TERMS)),
        advance: quote! {
            #module::advance::<#row, #tally, #columns>(due, &Self::TERMS, |window, columns| #output::write(#call, columns))
        },
        migrate: attributes.versions.method(Some(&quote!(#module::migrate::<_, #tally>)))?,
    };
    let plugin = plugin.expand();
    let column_check = column_check(key, &row);
    let message = format!("the key `{}` tells who a person is, and rows are stored as they are", key.value());
    Ok(quote! {
        #plugin
        #column_check
        const _: () = ::std::assert!(!<#row as ::tamis_sdk::row::Row>::INPUT.is_personal(#key), #message);
    })
}

/// What stands in `#[aggregate(…)]`.
#[derive(Default)]
struct Attributes {
    about: About,
    versions: Versions,
    dataset: Option<LitStr>,
    key: Option<LitStr>,
    /// Names and lengths in milliseconds.
    windows: Vec<(String, i64)>,
}

impl Attributes {
    fn parse(attributes: TokenStream) -> Result<Self> {
        let mut parsed = Self::default();
        syn::meta::parser(|meta| parsed.member(&meta)).parse2(attributes)?;
        Ok(parsed)
    }

    fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.about.member(meta)? || self.versions.member(meta)? {
            return Ok(());
        }
        match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("dataset") => self.dataset = Some(meta.value()?.parse()?),
            Some("key") => self.key = Some(meta.value()?.parse()?),
            Some("windows") => self.windows = windows(meta)?,
            _ => return Err(meta.error(MEMBERS)),
        }
        Ok(())
    }

    /// `Type = value` of the plugin's terms.
    fn terms(&self, module: &TokenStream) -> Result<TokenStream> {
        let missing = |message| Error::new(Span::call_site(), message);
        let dataset = self.dataset.as_ref();
        let dataset = dataset.ok_or_else(|| missing("say where its rows go: `dataset = \"payments_by_currency\"`"))?;
        if self.windows.is_empty() {
            return Err(missing("say how long its windows are: `windows(\"1m\" = 60_000)`"));
        }
        let windows = self.windows.iter().map(|(name, ms)| quote!(#module::NamedLength { name: #name, ms: #ms }));
        Ok(quote! {
            #module::Terms = #module::Terms {
                dataset: #dataset,
                windows: &[#(#windows),*],
                state_version: Self::STATE_VERSION,
            }
        })
    }

    /// The members of a `Description`.
    fn description(
        &self,
        function: &ItemFn,
        key: &LitStr,
        row: &TokenStream,
        tally: &TokenStream,
        output: &TokenStream,
    ) -> Result<TokenStream> {
        let (about, migrates_from) = (self.about.expression(function)?, self.versions.former());
        let (input, late, key) = (whole(row), ignored(), optional(Some(key)));
        let module = quote!(::tamis_sdk::aggregate);
        Ok(quote! {
            about: #about,
            inputs: ::std::vec![#input],
            key: #key,
            criteria: &[],
            context: ::std::vec::Vec::new(),
            late: #late,
            remembers: false,
            expires: false,
            route: ::std::option::Option::None,
            state_version: Self::STATE_VERSION,
            state_shape: #module::shape::<#tally>(&Self::TERMS),
            migrates_from: #migrates_from,
            output: ::std::option::Option::Some(#module::output::<#output>(&Self::TERMS)),
        })
    }
}

/// `("1m" = 60_000, "5m" = 300_000)`: names and lengths are all different.
fn windows(meta: &ParseNestedMeta<'_>) -> Result<Vec<(String, i64)>> {
    let mut windows = Vec::<(String, i64)>::new();
    for (name, ms) in table::<LitStr, LitInt>(meta)? {
        let (text, length) = (name.value(), ms.base10_parse()?);
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(Error::new_spanned(name, "a length is named by lower-case letters and digits"));
        }
        if length < 1 {
            return Err(Error::new_spanned(ms, "a window is at least one millisecond long"));
        }
        if windows.iter().any(|(other, ms)| *other == text || *ms == length) {
            return Err(Error::new_spanned(name, "two windows of that name or length"));
        }
        windows.push((text, length));
    }
    Ok(windows)
}
