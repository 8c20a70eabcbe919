//! `#[transform]`: a plugin from a function that makes a trusted row of a raw one.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{Error, FnArg, GenericArgument, ItemFn, LitStr, PathArguments, Result, ReturnType, Type};

use crate::attributes::About;
use crate::lifetimes::renamed;

/// Expands `#[transform]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let (mut about, mut remove) = (About::default(), None::<LitStr>);
    syn::meta::parser(|meta| match about.member(&meta)? {
        true => Ok(()),
        false if meta.path.is_ident("remove") => {
            remove = Some(meta.value()?.parse()?);
            Ok(())
        }
        false => Err(meta.error("expected `name`, `title`, `owner` or `remove`")),
    })
    .parse2(attributes)?;
    let (about, removal) = (about.expression(&function)?, removal(remove.as_ref())?);
    let Shape { config, row, output } = Shape::of(&function)?;
    let name = &function.sig.ident;
    let (config, arguments) = match config {
        Some(config) => (config, quote! { &self.config, &view }),
        None => (quote! { () }, quote! { &view }),
    };
    let (transform, types) = (quote!(::tamis_sdk::transform), quote!(::tamis_sdk::bindings::types));
    let (as_row, result) = (quote!(<#row as ::tamis_sdk::row::Row>), quote!(::std::result::Result));
    Ok(quote! {
        #function

        /// The plugin made of this crate's function.
        pub struct Plugin {
            config: #config,
        }

        impl #transform::TransformPlugin for Plugin {
            fn manifest() -> ::std::string::String {
                #transform::manifest::<#config, #row, #output>(#about)
            }

            fn configure(config: &str) -> #result<Self, ::std::string::String> {
                <#config as ::tamis_sdk::config::Config>::parse(config).map(|config| Self { config })
            }

            fn apply(&self, rows: #types::Batch) -> #result<#types::TransformOutcome, ::std::string::String> {
                let mut rows = rows;
                #removal
                let columns = #as_row::columns(&rows.columns, ::tamis_sdk::row::Membership::all(rows.rows as usize))?;
                let mut outcomes = #transform::Outcomes::with_capacity(rows.rows as usize);
                for row in 0..rows.rows {
                    let view = #as_row::at(&columns, row as usize);
                    outcomes.push(row, #name(#arguments));
                }
                Ok(outcomes.finish())
            }
        }

        ::tamis_sdk::export_transform!(Plugin);
    })
}

/// A statement that takes characters out of all texts of `rows`.
fn removal(characters: Option<&LitStr>) -> Result<TokenStream> {
    let Some(characters) = characters else { return Ok(TokenStream::new()) };
    let bytes = characters.value().into_bytes();
    if !bytes.is_ascii() {
        return Err(Error::new_spanned(characters, "only ASCII characters can be removed"));
    }
    Ok(quote! { #(::tamis_sdk::transform::remove_character(&mut rows, #bytes);)* })
}

/// The types of a transform's function, their lifetimes `'static`.
struct Shape {
    config: Option<TokenStream>,
    row: TokenStream,
    output: TokenStream,
}

impl Shape {
    fn of(function: &ItemFn) -> Result<Self> {
        let inputs = function.sig.inputs.iter().map(referent).collect::<Result<Vec<_>>>()?;
        let (config, row) = match inputs.as_slice() {
            [row] => (None, *row),
            [config, row] => (Some(*config), *row),
            _ => {
                return Err(Error::new_spanned(
                    &function.sig,
                    "a transform takes `&Config` and `&Row`, or `&Row` alone",
                ));
            }
        };
        let output = output_type(&function.sig.output)
            .ok_or_else(|| Error::new_spanned(&function.sig, "a transform returns an `Outcome` of its output row"))?;
        let named = |ty: &Type| renamed(ty.to_token_stream(), "static");
        Ok(Self { config: config.map(named), row: named(row), output: named(output) })
    }
}

/// The type that an argument refers to.
pub fn referent(argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(argument) => match &*argument.ty {
            Type::Reference(reference) => Ok(&reference.elem),
            other => Err(Error::new_spanned(other, "expected a reference")),
        },
        FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "a plugin's function takes no `self`")),
    }
}

/// `T` of `-> Outcome<T>`.
fn output_type(output: &ReturnType) -> Option<&Type> {
    let ReturnType::Type(_, ty) = output else { return None };
    let Type::Path(path) = &**ty else { return None };
    let segment = path.path.segments.last().filter(|segment| segment.ident == "Outcome")?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
