//! `#[rule]`: a plugin from a function that judges rows or windows.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, LitStr, Result};

use crate::transform::title;

mod attributes;
mod shape;

use attributes::Attributes;
use shape::{Shape, Subject};

/// Expands `#[rule]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let attributes = Attributes::parse(attributes)?;
    let shape = Shape::of(&function)?;
    let parts = Parts::of(&function, &attributes, &shape)?;
    let description = description(&function, &attributes, &parts)?;
    let checks = checks(&attributes, &shape, &parts);
    let severities = attributes.severity_table()?;
    let state_version = attributes.state_version.as_ref().map_or(quote!(1), |version| quote!(#version));
    let config = shape.config.as_ref().map_or(quote!(()), Clone::clone);
    let Parts { apply, advance, length, .. } = parts;
    let doc = format!("The rule `{}` as its host calls it.", function.sig.ident);
    Ok(quote! {
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

            const TERMS: ::tamis_sdk::rule::Terms =
                ::tamis_sdk::rule::Terms { state_version: Self::STATE_VERSION, severities: #severities };
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
        }

        ::tamis_sdk::export_rule!(Plugin);

        #checks
    })
}

/// What differs between the shapes.
struct Parts {
    /// The bodies of `apply` and `advance`.
    apply: TokenStream,
    advance: TokenStream,
    /// The length of windows, from `config`.
    length: TokenStream,
    /// Of each input, the row.
    rows: Vec<TokenStream>,
    /// What is declared of each input.
    inputs: Vec<TokenStream>,
    /// The context columns, settings apart.
    context: TokenStream,
    /// Whether late events are left out.
    ignores_late: bool,
    /// Whether findings can be about earlier events.
    remembers: bool,
}

impl Parts {
    fn of(function: &ItemFn, attributes: &Attributes, shape: &Shape) -> Result<Self> {
        let name = &function.sig.ident;
        let judge = match shape.config {
            Some(_) => quote!(|subject| #name(&self.config, subject)),
            None => quote!(|subject| #name(subject)),
        };
        let keyed = !matches!(shape.subject, Subject::Row { .. });
        if keyed && attributes.key.is_none() {
            return Err(Error::new_spanned(
                &function.sig,
                "say what groups events: `key = \"column\"`, or `key = \"all\"`",
            ));
        }
        if shape.config.is_none() && !matches!(shape.subject, Subject::Row { .. } | Subject::Joined { .. }) {
            return Err(Error::new_spanned(
                &function.sig,
                "a window has its length from a `&Config` with a field `window_ms`",
            ));
        }
        match &shape.subject {
            Subject::Row { row } => Ok(Self::row(row, &judge)),
            Subject::Sliding { row, keeping } => Ok(Self::sliding(row, keeping, &judge)),
            Subject::Distinct { row } => {
                let message = "say which column's values are counted: `distinct = \"column\"`";
                let column = attributes.distinct.as_ref().ok_or_else(|| Error::new_spanned(&function.sig, message))?;
                Ok(Self::distinct(row, column, &judge))
            }
            Subject::Tumbling { row, tally } => Ok(Self::tumbling(row, tally, &judge)),
            Subject::Joined { left, right } => Self::joined(left, right, attributes.pairing.as_ref(), &judge),
        }
    }

    fn row(row: &TokenStream, judge: &TokenStream) -> Self {
        Self {
            apply: quote!(::tamis_sdk::rule::apply_to_rows::<#row, _>(rows, &Self::TERMS, #judge)),
            advance: quote!(::std::result::Result::Ok(::tamis_sdk::rule::nothing(due))),
            length: quote!(0),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(::tamis_sdk::rule::row_context(&<#row as ::tamis_sdk::row::Row>::INPUT)),
            ignores_late: false,
            remembers: false,
        }
    }

    fn sliding(row: &TokenStream, keeping: &TokenStream, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::sliding);
        Self {
            apply: quote!(#module::apply::<#row, #keeping, _>(rows, &Self::TERMS, self.length, #judge)),
            advance: quote!(#module::advance::<#keeping>(due, &Self::TERMS, self.length)),
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![quote!(#module::input::<#row, #keeping>())],
            context: quote!(#module::context()),
            ignores_late: true,
            remembers: true,
        }
    }

    fn distinct(row: &TokenStream, column: &LitStr, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::distinct);
        Self {
            apply: quote!(#module::apply::<#row, _>(rows, &Self::TERMS, self.length, #column, #judge)),
            advance: quote!(#module::advance(due, &Self::TERMS, self.length)),
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(#module::context()),
            ignores_late: true,
            remembers: true,
        }
    }

    fn tumbling(row: &TokenStream, tally: &TokenStream, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::tumbling);
        Self {
            apply: quote!(#module::apply::<#row, #tally>(rows, &Self::TERMS, self.length)),
            advance: quote!(#module::advance::<#row, #tally, _>(due, &Self::TERMS, #judge)),
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(#module::context::<#tally>()),
            ignores_late: true,
            remembers: false,
        }
    }

    fn joined(left: &TokenStream, right: &TokenStream, pairing: Option<&LitStr>, judge: &TokenStream) -> Result<Self> {
        let module = quote!(::tamis_sdk::window::joined);
        let pairing = match pairing.map(|pairing| (pairing, pairing.value())) {
            None => quote!(#module::Pairing::First),
            Some((_, value)) if value == "first" => quote!(#module::Pairing::First),
            Some((_, value)) if value == "any" => quote!(#module::Pairing::Any),
            Some((pairing, _)) => return Err(Error::new_spanned(pairing, "expected \"first\" or \"any\"")),
        };
        Ok(Self {
            apply: quote!(#module::apply::<#left, #right, _>(rows, &Self::TERMS, #pairing, #judge)),
            advance: quote!(#module::advance::<#left, #right>(due, &Self::TERMS)),
            length: quote!(0),
            rows: vec![left.clone(), right.clone()],
            inputs: vec![whole(left), whole(right)],
            context: quote!(#module::context::<#left, #right>()),
            ignores_late: false,
            remembers: true,
        })
    }
}

/// All columns of a row.
fn whole(row: &TokenStream) -> TokenStream {
    quote!(<#row as ::tamis_sdk::row::Row>::INPUT)
}

fn window_length() -> TokenStream {
    quote!(::tamis_sdk::window::length(config.window_ms)?)
}

/// The members of a `Description`.
fn description(function: &ItemFn, attributes: &Attributes, parts: &Parts) -> Result<TokenStream> {
    let name = name(attributes);
    let title = title(attributes.title.as_ref(), function)?;
    let owner = attributes.owner.as_ref().map(LitStr::value).unwrap_or_default();
    let key = optional(attributes.key.as_ref());
    let route = optional(attributes.route.as_ref());
    let criteria = &attributes.criteria;
    let criteria = if criteria.is_empty() { quote!(&[#name]) } else { quote!(&[#(#criteria),*]) };
    let Parts { inputs, context, remembers, .. } = parts;
    let late = if parts.ignores_late { quote!(Ignore) } else { quote!(Judge) };
    Ok(quote! {
        about: ::tamis_sdk::manifest::About {
            name: #name,
            version: ::std::env!("CARGO_PKG_VERSION"),
            title: #title,
            owner: #owner,
        },
        inputs: ::std::vec![#(#inputs),*],
        key: #key,
        criteria: #criteria,
        context: #context,
        late: ::tamis_sdk::rule::Late::#late,
        remembers: #remembers,
        route: #route,
        state_version: Self::STATE_VERSION,
    })
}

fn name(attributes: &Attributes) -> TokenStream {
    attributes.name.as_ref().map_or(quote!(::std::env!("CARGO_PKG_NAME")), |name| quote!(#name))
}

fn optional(value: Option<&LitStr>) -> TokenStream {
    match value {
        Some(value) => quote!(::std::option::Option::Some(#value)),
        None => quote!(::std::option::Option::None),
    }
}

/// What the compiler checks of the attributes.
fn checks(attributes: &Attributes, shape: &Shape, parts: &Parts) -> TokenStream {
    let verdict = &shape.verdict;
    let criteria = attributes.criteria.len().max(1);
    let mut checks = quote! {
        const _: () = ::std::assert!(
            <#verdict as ::tamis_sdk::rule::Verdict>::CRITERIA == #criteria && #criteria <= 32,
            "a rule returns one `bool`, or `[bool; N]` with a name for each in `criteria`, at most 32",
        );
    };
    let columns =
        [&attributes.key, &attributes.distinct].into_iter().flatten().filter(|column| column.value() != "all");
    for (column, row) in columns.flat_map(|column| parts.rows.iter().map(move |row| (column, row))) {
        let message = format!("no row has a column `{}`", column.value());
        checks.extend(quote! {
            const _: () = ::std::assert!(<#row as ::tamis_sdk::row::Row>::INPUT.declares(#column), #message);
        });
    }
    checks
}
