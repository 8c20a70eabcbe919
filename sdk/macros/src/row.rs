//! `#[derive(Row)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Field, GenericParam, Lifetime, LitStr, Result};

use crate::attributes::{named_fields, optional};
use crate::lifetimes::renamed;

/// Expands `#[derive(Row)]` on a struct.
pub fn expand(input: DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let lifetime = lifetime(&input)?;
    let at = if lifetime.is_some() { quote!(#name<'a>) } else { quote!(#name) };
    let family = if lifetime.is_some() { quote!(#name<'_>) } else { quote!(#name) };
    let spec = input_spec(&input)?;
    let columns = named_fields(&input)?.iter().map(Column::of).collect::<Result<Vec<_>>>()?;
    if columns.is_empty() {
        return Err(Error::new_spanned(name, "a row has at least one column"));
    }

    let specs = columns.iter().map(|column| column.spec(lifetime));
    let idents: Vec<_> = columns.iter().map(|column| &column.field.ident).collect();
    let types: Vec<_> = columns.iter().map(|column| column.field_type(lifetime, "a")).collect();
    let indices: Vec<_> = (0..columns.len()).map(syn::Index::from).collect();
    let only = columns.iter().filter_map(|column| {
        let (ident, text) = (&column.field.ident, column.only.as_ref()?);
        Some(quote_spanned!(text.span()=> ::tamis_sdk::row::Only::is(&row.#ident, #text)))
    });
    let filtered = columns.iter().any(|column| column.only.is_some());
    let field = quote!(::tamis_sdk::row::Field);
    Ok(quote! {
        impl ::tamis_sdk::row::Row for #family {
            type At<'a> = #at;
            type Columns<'a> = (#(<#types as #field<'a>>::Source,)*);

            const INPUT: ::tamis_sdk::row::InputSpec = ::tamis_sdk::row::InputSpec { #spec, columns: &[#(#specs),*] };
            const FILTERED: bool = #filtered;

            fn columns<'a>(
                columns: &'a [::tamis_sdk::bindings::types::Column],
                members: ::tamis_sdk::row::Membership<'_>,
            ) -> ::std::result::Result<Self::Columns<'a>, ::std::string::String> {
                let spec = const { &Self::INPUT };
                ::std::result::Result::Ok((#(::tamis_sdk::row::resolve::<#types>(columns, spec, #indices, members)?,)*))
            }

            #[inline]
            fn at<'a>(columns: &Self::Columns<'a>, row: usize) -> Self::At<'a> {
                #name { #(#idents: <#types as #field<'a>>::get(columns.#indices, row),)* }
            }

            #[inline]
            fn counted(row: &Self::At<'_>) -> bool {
                let _ = row;
                true #(&& #only)*
            }

            fn values(row: &Self::At<'_>, values: &mut ::std::vec::Vec<::tamis_sdk::bindings::types::Value>) {
                #(values.push(#field::value(row.#idents));)*
            }

            fn encode(row: &Self::At<'_>, out: &mut ::std::vec::Vec<u8>) {
                #(#field::encode(row.#idents, out);)*
            }

            fn decode<'a>(reader: &mut ::tamis_sdk::encoding::Reader<'a>) -> ::std::option::Option<Self::At<'a>> {
                ::std::option::Option::Some(#name { #(#idents: #field::decode(reader)?,)* })
            }
        }
    })
}

/// The lifetime that the rows borrow their texts for, if there is one.
fn lifetime(input: &DeriveInput) -> Result<Option<&Lifetime>> {
    let mut parameters = input.generics.params.iter();
    let lifetime = match parameters.next() {
        None => None,
        Some(GenericParam::Lifetime(parameter)) => Some(&parameter.lifetime),
        Some(other) => return Err(Error::new_spanned(other, "a row has no parameter but a lifetime")),
    };
    match parameters.next() {
        Some(second) => Err(Error::new_spanned(second, "a row has at most one lifetime")),
        None => Ok(lifetime),
    }
}

/// The members of `InputSpec` apart from the columns.
fn input_spec(input: &DeriveInput) -> Result<TokenStream> {
    let (mut topic, mut source, mut format) = (None::<LitStr>, None::<LitStr>, None::<LitStr>);
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            let member = match meta.path.get_ident().map(ToString::to_string).as_deref() {
                Some("topic") => &mut topic,
                Some("source") => &mut source,
                Some("format") => &mut format,
                _ => return Err(meta.error("expected `topic`, `source` or `format`")),
            };
            *member = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    match (&topic, &source, &format) {
        (Some(_), None, None) | (None, Some(_), Some(_)) => {}
        _ => {
            let message =
                "say where rows come from: `#[row(topic = \"…\")]`, or `#[row(source = \"…\", format = \"csv\")]`";
            return Err(Error::new_spanned(&input.ident, message));
        }
    }
    let [topic, source, format] = [topic, source, format].map(|value| optional(value.as_ref()));
    Ok(quote!(topic: #topic, source: #source, format: #format))
}

struct Column<'a> {
    field: &'a Field,
    name: String,
    personal: bool,
    only: Option<LitStr>,
}

impl<'a> Column<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let name = field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default();
        let mut column = Self { field, name, personal: false, only: None };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("row")) {
            attribute.parse_nested_meta(|meta| {
                match meta.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("personal") => column.personal = true,
                    Some("name") => column.name = meta.value()?.parse::<LitStr>()?.value(),
                    Some("only") => column.only = Some(meta.value()?.parse()?),
                    _ => return Err(meta.error("expected `personal`, `name = \"…\"` or `only = \"…\"`")),
                }
                Ok(())
            })?;
        }
        Ok(column)
    }

    /// The field's type with the row's lifetime called `'target`.
    fn field_type(&self, lifetime: Option<&Lifetime>, target: &str) -> TokenStream {
        let field_type = &self.field.ty;
        let tokens = quote_spanned!(self.field.ty.span()=> #field_type);
        if lifetime.is_some() { renamed(tokens, target) } else { tokens }
    }

    fn spec(&self, lifetime: Option<&Lifetime>) -> TokenStream {
        let Self { name, personal, .. } = self;
        let only = optional(self.only.as_ref());
        let static_type = self.field_type(lifetime, "static");
        let field = quote!(<#static_type as ::tamis_sdk::row::Field<'static>>);
        quote! {
            ::tamis_sdk::row::ColumnSpec {
                name: #name,
                column_type: #field::TYPE,
                required: !#field::NULLABLE,
                personal: #personal,
                only: #only,
            }
        }
    }
}
