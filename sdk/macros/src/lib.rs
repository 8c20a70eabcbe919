//! The macros of `tamis-sdk`: they read the shape of a function or of a struct and write down what the host must
//! know of it. What they generate is plain code on the SDK's traits; nothing is registered at run time.

use proc_macro::TokenStream;
use syn::parse_macro_input;

mod aggregate;
mod attributes;
mod check;
mod config;
mod lifetimes;
mod output;
mod row;
mod rule;
mod state;
#[cfg(test)]
mod tests;
mod transform;
mod world;

/// Makes a rule of a function: see `tamis_sdk`, "Rules".
#[proc_macro_attribute]
pub fn rule(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as syn::ItemFn);
    finish(rule::expand(attributes.into(), function))
}

/// Makes an aggregate of a function: see `tamis_sdk`, "Aggregates".
#[proc_macro_attribute]
pub fn aggregate(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as syn::ItemFn);
    finish(aggregate::expand(attributes.into(), function))
}

/// Makes a transform of a function: see `tamis_sdk`, "Transforms".
#[proc_macro_attribute]
pub fn transform(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as syn::ItemFn);
    finish(transform::expand(attributes.into(), function))
}

/// Makes a check of a function: see `tamis_sdk`, "Checks".
#[proc_macro_attribute]
pub fn check(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as syn::ItemFn);
    finish(check::expand(attributes.into(), function))
}

/// A struct whose fields are the columns of an input: `#[row(topic = "payments")]` or `#[row(source = "crm", format = "csv")]`
/// on the struct; `#[row(personal)]`, `#[row(name = "column")]` and `#[row(only = "text")]` on fields.
#[proc_macro_derive(Row, attributes(row))]
pub fn row(item: TokenStream) -> TokenStream {
    finish(row::expand(parse_macro_input!(item as syn::DeriveInput)))
}

/// A struct that can be configured: `#[config(default = …, min = …, max = …)]` on fields; their docs are for admins. A set of texts that
/// is marked `#[config(list)]` or `#[config(list = "name")]` has the values of the host's list of that name, unless a rule says otherwise.
#[proc_macro_derive(Config, attributes(config))]
pub fn config(item: TokenStream) -> TokenStream {
    finish(config::expand(parse_macro_input!(item as syn::DeriveInput)))
}

/// A struct whose fields are output columns: those of a dataset, `#[output(dataset = "silver.crm")]`, or of an aggregate.
#[proc_macro_derive(Output, attributes(output))]
pub fn output(item: TokenStream) -> TokenStream {
    finish(output::expand(parse_macro_input!(item as syn::DeriveInput)))
}

/// A struct that can be kept in the state of a key; its fields are tallies and stand in the context of findings.
#[proc_macro_derive(State)]
pub fn state(item: TokenStream) -> TokenStream {
    finish(state::expand(parse_macro_input!(item as syn::DeriveInput)))
}

/// The bindings of a world, `world!(rule)`: a trait `Guest` and a macro `export!`. For the export macros of `tamis_sdk`.
#[doc(hidden)]
#[proc_macro]
pub fn world(name: TokenStream) -> TokenStream {
    world::expand(&parse_macro_input!(name as syn::Ident)).into()
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
