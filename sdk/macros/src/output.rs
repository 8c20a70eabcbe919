//! `#[derive(Output)]`: output columns from the fields of a struct.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Error, ExprArray, Field, LitStr, Result, Token};

use crate::attributes::named_fields;
use crate::lifetimes::renamed;

/// `#[output(…)]` on the struct.
#[derive(Default)]
struct Dataset {
    /// None when the struct is no row of a dataset of its own.
    name: Option<LitStr>,
    partition_by: Vec<LitStr>,
    key: Vec<LitStr>,
    keep_latest: Option<LitStr>,
}

/// Expands `#[derive(Output)]` on a struct.
pub fn expand(input: DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(&input)?;
    let dataset = Dataset::parse(&input, fields)?;
    let names: Vec<&Ident> = fields.iter().filter_map(|field| field.ident.as_ref()).collect();
    let texts: Vec<String> = names.iter().map(|name| name.unraw().to_string()).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let statics: Vec<_> = types.iter().map(|ty| renamed(ty.to_token_stream(), "static")).collect();
    let (name, visibility) = (&input.ident, &input.vis);
    let (parameters, arguments, conditions) = input.generics.split_for_impl();
    let description = dataset.description();
    let dataset_row = description.map(|description| {
        quote! {
            impl #parameters ::tamis_sdk::output::DatasetRow for #name #arguments #conditions {
                fn describe() -> ::tamis_sdk::json::Value {
                    #description
                }
            }
        }
    });
    let columns = format_ident!("{name}Columns");
    let columns_doc = format!("The columns of [`{name}`] under construction.");
    Ok(quote! {
        #[doc = #columns_doc]
        #visibility struct #columns {
            #(#names: ::tamis_sdk::output::Builder<<#statics as ::tamis_sdk::output::Field>::Store>,)*
        }

        impl ::tamis_sdk::output::Columns for #columns {
            fn with_capacity(rows: usize) -> Self {
                Self { #(#names: ::tamis_sdk::output::Builder::with_capacity(rows),)* }
            }

            fn finish(self) -> (::std::vec::Vec<::tamis_sdk::bindings::types::Column>, ::std::vec::Vec<u64>) {
                [#(self.#names.finish(),)*].into_iter().unzip()
            }
        }

        impl #parameters ::tamis_sdk::output::Output for #name #arguments #conditions {
            type Columns = #columns;

            fn columns() -> ::std::vec::Vec<::tamis_sdk::json::Value> {
                ::std::vec![#(::tamis_sdk::output::describe_column::<#types>(#texts)),*]
            }

            fn write(self, columns: &mut #columns) {
                #(::tamis_sdk::output::Field::write(self.#names, &mut columns.#names);)*
            }
        }

        #dataset_row
    })
}

impl Dataset {
    fn parse(input: &DeriveInput, fields: &Punctuated<Field, Token![,]>) -> Result<Self> {
        let mut dataset = Self::default();
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("output")) {
            attribute.parse_nested_meta(|meta| dataset.member(&meta))?;
        }
        let is_field =
            |name: &LitStr| fields.iter().any(|field| field.ident.as_ref().is_some_and(|ident| ident == &name.value()));
        let mut named = dataset.partition_by.iter().chain(&dataset.key).chain(&dataset.keep_latest);
        if let (None, Some(name)) = (&dataset.name, named.clone().next()) {
            return Err(Error::new_spanned(name, "only the row of a `dataset = \"…\"` has it"));
        }
        if let Some(unknown) = named.find(|name| !is_field(name)) {
            return Err(Error::new_spanned(unknown, "there is no such field"));
        }
        if let (Some(latest), []) = (&dataset.keep_latest, dataset.key.as_slice()) {
            return Err(Error::new_spanned(latest, "`keep_latest` needs a `key`"));
        }
        Ok(dataset)
    }

    fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match meta.path.get_ident().map(Ident::to_string).as_deref() {
            Some("dataset") => self.name = Some(meta.value()?.parse()?),
            Some("partition_by") => self.partition_by = names(meta)?,
            Some("key") => self.key = names(meta)?,
            Some("keep_latest") => self.keep_latest = Some(meta.value()?.parse()?),
            _ => return Err(meta.error("expected `dataset`, `partition_by`, `key` or `keep_latest`")),
        }
        Ok(())
    }

    /// An expression for the manifest's `output`.
    fn description(&self) -> Option<TokenStream> {
        let Self { name, partition_by, key, keep_latest } = self;
        let dataset = name.as_ref()?;
        let keep = match keep_latest {
            Some(by) => quote! { { "which": "latest", "by": #by } },
            None => quote! { { "which": "first" } },
        };
        Some(quote! {
            ::tamis_sdk::json::json!({
                "dataset": #dataset,
                "columns": <Self as ::tamis_sdk::output::Output>::columns(),
                "partition_by": [#(#partition_by),*],
                "key": [#(#key),*],
                "keep": #keep,
            })
        })
    }
}

/// One name, or several: `"a"` or `["a", "b"]`.
fn names(meta: &ParseNestedMeta<'_>) -> Result<Vec<LitStr>> {
    let value = meta.value()?;
    if value.peek(LitStr) {
        return Ok(vec![value.parse()?]);
    }
    let array: ExprArray = value.parse()?;
    array.elems.iter().map(|element| syn::parse2(quote!(#element))).collect()
}
