//! The attributes of `#[rule(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, LitInt, LitStr, Result, Token, bracketed};

use super::versions::Versions;
use crate::attributes::{About, table};

/// What stands in `#[rule(…)]`.
#[derive(Default)]
pub struct Attributes {
    pub about: About,
    pub versions: Versions,
    pub key: Option<LitStr>,
    pub route: Option<LitStr>,
    pub distinct: Option<LitStr>,
    pub pairing: Option<LitStr>,
    pub criteria: Vec<LitStr>,
    pub severities: Vec<(u32, LitStr)>,
}

const MEMBERS: &str = "expected `name`, `title`, `owner`, `key`, `route`, `distinct`, `pairing`, `criteria`, `severity`, `state_version` or `migrates`";

impl Attributes {
    pub fn parse(attributes: TokenStream) -> Result<Self> {
        let mut parsed = Self::default();
        syn::meta::parser(|meta| parsed.member(&meta)).parse2(attributes)?;
        if parsed.severities.is_empty() {
            let message = "say how bad a finding is: `severity = \"high\"`, or by criteria: `severity(1 = \"high\", 2 = \"critical\")`";
            return Err(Error::new(proc_macro2::Span::call_site(), message));
        }
        Ok(parsed)
    }

    fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if self.about.member(meta)? || self.versions.member(meta)? {
            return Ok(());
        }
        let member = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("key") => &mut self.key,
            Some("route") => &mut self.route,
            Some("distinct") => &mut self.distinct,
            Some("pairing") => &mut self.pairing,
            Some("criteria") => {
                let names;
                let value = meta.value()?;
                bracketed!(names in value);
                self.criteria = Punctuated::<LitStr, Token![,]>::parse_terminated(&names)?.into_iter().collect();
                return Ok(());
            }
            Some("severity") => {
                self.severities = severities(meta)?;
                return Ok(());
            }
            _ => return Err(meta.error(MEMBERS)),
        };
        *member = Some(meta.value()?.parse()?);
        Ok(())
    }

    /// The severities as a constant's value.
    pub fn severity_table(&self) -> Result<TokenStream> {
        let entries = self.severities.iter().map(|(count, name)| {
            let severity = match name.value().as_str() {
                "info" => quote!(Info),
                "warning" => quote!(Warning),
                "high" => quote!(High),
                "critical" => quote!(Critical),
                _ => return Err(Error::new_spanned(name, "expected \"info\", \"warning\", \"high\" or \"critical\"")),
            };
            Ok(quote!((#count, ::tamis_sdk::bindings::types::Severity::#severity)))
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        Ok(quote!(&[#(#entries),*]))
    }
}

/// `= "high"`, or `(1 = "high", 2 = "critical")`.
fn severities(meta: &ParseNestedMeta<'_>) -> Result<Vec<(u32, LitStr)>> {
    if meta.input.peek(Token![=]) {
        return Ok(vec![(1, meta.value()?.parse()?)]);
    }
    let mut severities = Vec::new();
    for (count, name) in table::<LitInt, LitStr>(meta)? {
        let least = count.base10_parse()?;
        if severities.last().map_or(least != 1, |(last, _)| least <= *last) {
            return Err(Error::new_spanned(count, "numbers of criteria ascend from 1"));
        }
        severities.push((least, name));
    }
    Ok(severities)
}
