//! `#[transform]`: a plugin from a function that makes a trusted row of a raw one.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, FnArg, ItemFn, LitStr, Result, ReturnType, Type};

use crate::output::made_static;

/// `#[transform(…)]`.
#[derive(Default)]
struct Attributes {
    title: Option<LitStr>,
    owner: Option<LitStr>,
    remove: Option<LitStr>,
}

/// Expands `#[transform]` on a function.
pub fn expand(attributes: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let mut parsed = Attributes::default();
    syn::meta::parser(|meta| parsed.member(&meta)).parse2(attributes)?;
    let shape = Shape::of(&function)?;
    let plugin = shape.plugin(&function, &parsed)?;
    Ok(quote! { #function #plugin })
}

impl Attributes {
    fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let member = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("title") => &mut self.title,
            Some("owner") => &mut self.owner,
            Some("remove") => &mut self.remove,
            _ => return Err(meta.error("expected `title`, `owner` or `remove`")),
        };
        *member = Some(meta.value()?.parse()?);
        Ok(())
    }

    /// A statement that takes the characters of `remove` out of `rows`.
    fn removal(&self) -> Result<TokenStream> {
        let Some(remove) = &self.remove else { return Ok(TokenStream::new()) };
        let characters = remove.value().into_bytes();
        if !characters.is_ascii() {
            return Err(Error::new_spanned(remove, "only ASCII characters can be removed"));
        }
        Ok(quote! { #(::tamis_sdk::transform::remove_character(&mut rows, #characters);)* })
    }
}

/// The types of a transform's function: `fn(&Config, &Row) -> Outcome<Output>`, the configuration perhaps left out.
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
            [config, row] => (Some(made_static(config)), *row),
            _ => return Err(Error::new_spanned(&function.sig, "a transform takes `&Config` and `&Row`, or `&Row` alone")),
        };
        let output = output_type(&function.sig.output)
            .ok_or_else(|| Error::new_spanned(&function.sig, "a transform returns an `Outcome` of its output row"))?;
        Ok(Self { config, row: made_static(row), output: made_static(output) })
    }

    fn plugin(&self, function: &ItemFn, attributes: &Attributes) -> Result<TokenStream> {
        let Self { config, row, output } = self;
        let (title, owner, removal) = (attributes.title(function)?, attributes.owner(), attributes.removal()?);
        let name = &function.sig.ident;
        let (config, arguments) = match config {
            Some(config) => (config.clone(), quote! { &self.config, &row_view }),
            None => (quote! { () }, quote! { &row_view }),
        };
        Ok(quote! {
            /// The plugin made of this crate's function.
            pub struct Plugin {
                config: #config,
            }

            impl ::tamis_sdk::transform::TransformPlugin for Plugin {
                fn manifest() -> ::std::string::String {
                    ::tamis_sdk::transform::manifest::<#config, #row, #output>(::tamis_sdk::manifest::About {
                        name: ::std::env!("CARGO_PKG_NAME"),
                        version: ::std::env!("CARGO_PKG_VERSION"),
                        title: #title,
                        owner: #owner,
                    })
                }

                fn configure(config: &str) -> ::std::result::Result<Self, ::std::string::String> {
                    <#config as ::tamis_sdk::config::Config>::parse(config).map(|config| Self { config })
                }

                fn apply(
                    &mut self,
                    rows: ::tamis_sdk::bindings::types::Batch,
                ) -> ::std::result::Result<::tamis_sdk::bindings::types::TransformOutcome, ::std::string::String> {
                    let mut rows = rows;
                    #removal
                    let members = ::tamis_sdk::row::Membership::all(rows.rows as usize);
                    let columns = <#row as ::tamis_sdk::row::Row>::columns(&rows.columns, members)?;
                    let mut outcomes = ::tamis_sdk::transform::Outcomes::with_capacity(rows.rows as usize);
                    for row in 0..rows.rows {
                        let row_view = <#row as ::tamis_sdk::row::Row>::at(&columns, row as usize);
                        outcomes.push(row, #name(#arguments));
                    }
                    Ok(outcomes.finish())
                }
            }

            ::tamis_sdk::export_transform!(Plugin);
        })
    }
}

impl Attributes {
    /// The title, or else the function's doc comment.
    fn title(&self, function: &ItemFn) -> Result<String> {
        let title = self.title.as_ref().map_or_else(|| crate::attributes::doc(&function.attrs), LitStr::value);
        if title.is_empty() {
            return Err(Error::new_spanned(&function.sig, "a plugin needs a title: `title = \"…\"` or a doc comment"));
        }
        Ok(title)
    }

    fn owner(&self) -> String {
        self.owner.as_ref().map(LitStr::value).unwrap_or_default()
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
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
