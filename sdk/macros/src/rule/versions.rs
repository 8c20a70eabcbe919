//! The versions of a state: `state_version = 2, migrates(1 = tally_of_v1)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Error, LitInt, Path, Result};

use crate::attributes::table;

/// The version that a plugin writes, and those that it reads once more.
#[derive(Default)]
pub struct Versions {
    current: Option<LitInt>,
    /// Former versions, each with the function that makes a tally of this version of one of that.
    former: Vec<(LitInt, Path)>,
}

impl Versions {
    /// Takes a member of the attribute; false when it is another one.
    pub fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("state_version") => self.current = Some(meta.value()?.parse()?),
            Some("migrates") => self.former = table(meta)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The version that the plugin writes, a `u8`. Checks the others against it.
    pub fn current(&self) -> Result<TokenStream> {
        let current = self.current.as_ref().map_or(Ok(1), LitInt::base10_parse::<u8>)?;
        if current == 0 {
            return Err(Error::new_spanned(&self.current, "versions begin with 1"));
        }
        let mut last = 0;
        for (version, _) in &self.former {
            let number = version.base10_parse::<u8>()?;
            if number <= last || number >= current {
                let message = format!("former versions ascend from 1, and this is version {current}");
                return Err(Error::new_spanned(version, message));
            }
            last = number;
        }
        Ok(quote!(#current))
    }

    /// The former versions, a `&'static [u8]`.
    pub fn former(&self) -> TokenStream {
        let versions = self.former.iter().map(|(version, _)| version);
        quote!(&[#(#versions),*])
    }

    /// The method `migrate` of a plugin, if it has one. `migrate` is the function that migrates states of a version; none when
    /// nothing in them is the author's.
    pub fn method(&self, migrate: Option<&TokenStream>) -> Result<TokenStream> {
        let Some((first, _)) = self.former.first() else { return Ok(TokenStream::new()) };
        let message = "only tumbling windows have a tally to migrate: the states of other rules are reset";
        let migrate = migrate.ok_or_else(|| Error::new_spanned(first, message))?;
        let arms = self
            .former
            .iter()
            .map(|(version, function)| quote!(#version => #migrate(states, #version, &Self::TERMS, #function)));
        Ok(quote! {
            fn migrate(
                &mut self,
                states: &::tamis_sdk::bindings::types::Strings,
                from_version: u32,
            ) -> ::std::result::Result<::tamis_sdk::bindings::types::Strings, ::std::string::String> {
                match from_version {
                    #(#arms,)*
                    other => ::std::result::Result::Err(::tamis_sdk::rule::unknown_version(other)),
                }
            }
        })
    }
}
