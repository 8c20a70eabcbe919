//! What differs between the shapes of rules.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn, LitStr, Result};

use super::attributes::Attributes;
use super::key;
use super::shape::{Shape, Subject};

/// What a shape makes of a rule.
pub struct Parts {
    /// The bodies of `apply` and `advance`.
    pub apply: TokenStream,
    pub advance: TokenStream,
    /// The function that migrates states, where something in them is the author's.
    pub migrate: Option<TokenStream>,
    /// The length of windows, from `config`.
    pub length: TokenStream,
    /// Of each input, the row.
    pub rows: Vec<TokenStream>,
    /// What is declared of each input.
    pub inputs: Vec<TokenStream>,
    /// The context columns, settings apart.
    pub context: TokenStream,
    /// What becomes of late events.
    pub late: TokenStream,
    /// Whether findings can be about earlier events.
    pub remembers: bool,
    /// Whether nothing is left of a key at its wake.
    pub expires: bool,
    /// How its state is written, a `String`.
    pub state_shape: TokenStream,
}

impl Parts {
    pub fn of(function: &ItemFn, attributes: &Attributes, shape: &Shape) -> Result<Self> {
        let name = &function.sig.ident;
        let judge = match shape.config {
            Some(_) => quote!(|subject| #name(&self.config, subject)),
            None => quote!(|subject| #name(subject)),
        };
        let key = match &shape.subject {
            Subject::Row { row } => return Ok(Self::row(row, &judge)),
            _ => key(attributes.key.as_ref(), function)?,
        };
        if shape.config.is_none() && !matches!(shape.subject, Subject::Joined { .. }) {
            let message = "a window has its length from a `&Config` with a field `window_ms`";
            return Err(Error::new_spanned(&function.sig, message));
        }
        match &shape.subject {
            Subject::Row { row } => Ok(Self::row(row, &judge)),
            Subject::Sliding { row, keeping } => Ok(Self::sliding(row, keeping, &judge)),
            Subject::Distinct { row } => {
                let message = "say which column's values are counted: `distinct = \"column\"`";
                let column = attributes.distinct.as_ref().ok_or_else(|| Error::new_spanned(&function.sig, message))?;
                Ok(Self::distinct(row, column, &judge))
            }
            Subject::Crossed { left, right } => Ok(Self::crossed(left, right, &judge)),
            Subject::Tumbling { row, tally } => Ok(Self::tumbling(row, tally, &judge)),
            Subject::Joined { left, right } => Self::joined(left, right, key, attributes.pairing.as_ref(), &judge),
        }
    }

    fn row(row: &TokenStream, judge: &TokenStream) -> Self {
        Self {
            apply: quote!(::tamis_sdk::rule::apply_to_rows::<#row, _>(rows, &Self::TERMS, #judge)),
            advance: quote!(::std::result::Result::Ok(::tamis_sdk::rule::nothing(due))),
            migrate: None,
            length: quote!(0),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(::tamis_sdk::rule::row_context(&<#row as ::tamis_sdk::row::Row>::INPUT)),
            late: quote!(::tamis_sdk::rule::Late::Judge),
            remembers: false,
            expires: false,
            state_shape: quote!(::std::string::String::new()),
        }
    }

    fn sliding(row: &TokenStream, keeping: &TokenStream, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::sliding);
        Self {
            apply: quote!(#module::apply::<#row, #keeping, _>(rows, &Self::TERMS, self.length, #judge)),
            advance: quote!(#module::advance::<#keeping>(due, &Self::TERMS, self.length)),
            migrate: None,
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![quote!(#module::input::<#row, #keeping>())],
            context: quote!(#module::context()),
            late: ignored(),
            remembers: true,
            expires: true,
            state_shape: quote!(#module::shape::<#row, #keeping>()),
        }
    }

    fn distinct(row: &TokenStream, column: &LitStr, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::distinct);
        Self {
            apply: quote!(#module::apply::<#row, _>(rows, &Self::TERMS, self.length, #column, #judge)),
            advance: quote!(#module::advance(due, &Self::TERMS, self.length)),
            migrate: None,
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(#module::context()),
            late: ignored(),
            remembers: true,
            expires: true,
            state_shape: quote!(#module::shape::<#row>(#column)),
        }
    }

    fn crossed(left: &TokenStream, right: &TokenStream, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::crossed);
        Self {
            apply: quote!(#module::apply::<#left, #right, _>(rows, &Self::TERMS, self.length, #judge)),
            advance: quote!(#module::advance(due, &Self::TERMS, self.length)),
            migrate: None,
            length: window_length(),
            rows: vec![left.clone(), right.clone()],
            inputs: vec![whole(left), whole(right)],
            context: quote!(#module::context::<#left, #right>()),
            late: ignored(),
            remembers: true,
            expires: true,
            state_shape: quote!(#module::shape::<#left, #right>()),
        }
    }

    fn tumbling(row: &TokenStream, tally: &TokenStream, judge: &TokenStream) -> Self {
        let module = quote!(::tamis_sdk::window::tumbling);
        Self {
            apply: quote!(#module::apply::<#row, #tally>(rows, &Self::TERMS, self.length)),
            advance: quote!(#module::advance::<#row, #tally, _>(due, &Self::TERMS, #judge)),
            migrate: Some(quote!(#module::migrate::<_, #tally>)),
            length: window_length(),
            rows: vec![row.clone()],
            inputs: vec![whole(row)],
            context: quote!(#module::context::<#tally>()),
            late: ignored(),
            remembers: false,
            expires: false,
            state_shape: quote!(#module::shape::<#tally>()),
        }
    }

    fn joined(
        left: &TokenStream,
        right: &TokenStream,
        key: &LitStr,
        pairing: Option<&LitStr>,
        judge: &TokenStream,
    ) -> Result<Self> {
        let module = quote!(::tamis_sdk::window::joined);
        let pairing = match pairing.map(|pairing| (pairing, pairing.value())) {
            None => quote!(#module::Pairing::First),
            Some((_, value)) if value == "first" => quote!(#module::Pairing::First),
            Some((_, value)) if value == "any" => quote!(#module::Pairing::Any),
            Some((pairing, _)) => return Err(Error::new_spanned(pairing, "expected \"first\" or \"any\"")),
        };
        Ok(Self {
            apply: quote!(#module::apply::<#left, #right, _>(rows, &Self::TERMS, #pairing, #key, #judge)),
            advance: quote!(#module::advance::<#left, #right>(due, &Self::TERMS)),
            migrate: None,
            length: quote!(0),
            rows: vec![left.clone(), right.clone()],
            inputs: vec![whole(left), whole(right)],
            context: quote!(#module::context::<#left, #right>(#key)),
            late: quote!(::tamis_sdk::rule::Late::JudgeWithin(#module::LATE_MS_MAX)),
            remembers: true,
            expires: true,
            state_shape: quote!(#module::shape::<#left, #right>(#pairing)),
        })
    }
}

/// All columns of a row.
pub fn whole(row: &TokenStream) -> TokenStream {
    quote!(<#row as ::tamis_sdk::row::Row>::INPUT)
}

/// Late events are left out.
pub fn ignored() -> TokenStream {
    quote!(::tamis_sdk::rule::Late::Ignore)
}

fn window_length() -> TokenStream {
    quote!(::tamis_sdk::window::length(config.window_ms)?)
}
