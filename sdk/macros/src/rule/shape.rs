//! The shape of a rule's function: what it takes decides how it is called.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, GenericArgument, ItemFn, PathArguments, PathSegment, Result, ReturnType, Type};

use crate::lifetimes::renamed;

/// What a rule's function judges. Types have the lifetime `'static`: they only name families of rows.
pub enum Subject {
    Row { row: TokenStream },
    Sliding { row: TokenStream, keeping: TokenStream },
    Distinct { row: TokenStream },
    Tumbling { row: TokenStream, tally: TokenStream },
    Joined { left: TokenStream, right: TokenStream },
}

/// The types of `fn(&Config, &Subject) -> Verdict`.
pub struct Shape {
    /// None when the function takes no configuration.
    pub config: Option<TokenStream>,
    pub subject: Subject,
    pub verdict: TokenStream,
}

const SHAPES: &str = "a rule takes `&Config` (or not) and one of `&Row`, `&Sliding<Row>`, `&Distinct<Row>`, `&Tumbling<Row, Tally>`, `&Joined<A, B>`";

impl Shape {
    pub fn of(function: &ItemFn) -> Result<Self> {
        let parameters = function.sig.inputs.iter().map(referent).collect::<Result<Vec<_>>>()?;
        let (config, subject) = match parameters[..] {
            [subject] => (None, subject),
            [config, subject] => (Some(named(config)), subject),
            _ => return Err(Error::new_spanned(&function.sig, SHAPES)),
        };
        let verdict = match &function.sig.output {
            ReturnType::Type(_, verdict) => verdict.to_token_stream(),
            ReturnType::Default => {
                return Err(Error::new_spanned(&function.sig, "a rule returns `bool` or `[bool; N]`"));
            }
        };
        Ok(Self { config, subject: Subject::of(subject)?, verdict })
    }
}

impl Subject {
    fn of(subject: &Type) -> Result<Self> {
        let Type::Path(path) = subject else { return Err(Error::new_spanned(subject, SHAPES)) };
        let Some(segment) = path.path.segments.last() else { return Err(Error::new_spanned(subject, SHAPES)) };
        let arguments = type_arguments(segment);
        match (segment.ident.to_string().as_str(), &arguments[..]) {
            ("Sliding", [row]) => {
                Ok(Self::Sliding { row: row.clone(), keeping: quote!(::tamis_sdk::window::sliding::Counted) })
            }
            ("Sliding", [row, keeping]) => Ok(Self::Sliding { row: row.clone(), keeping: keeping.clone() }),
            ("Distinct", [row]) => Ok(Self::Distinct { row: row.clone() }),
            ("Tumbling", [row, tally]) => Ok(Self::Tumbling { row: row.clone(), tally: tally.clone() }),
            ("Joined", [left, right]) => Ok(Self::Joined { left: left.clone(), right: right.clone() }),
            ("Sliding" | "Distinct" | "Tumbling" | "Joined", _) => Err(Error::new_spanned(subject, SHAPES)),
            _ => Ok(Self::Row { row: named(subject) }),
        }
    }
}

/// What a parameter refers to.
fn referent(parameter: &FnArg) -> Result<&Type> {
    match parameter {
        FnArg::Typed(typed) => match &*typed.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(&reference.elem),
            other => Err(Error::new_spanned(other, SHAPES)),
        },
        FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "a rule is a function, not a method")),
    }
}

fn named(named: &Type) -> TokenStream {
    renamed(named.to_token_stream(), "static")
}

fn type_arguments(segment: &PathSegment) -> Vec<TokenStream> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(argument) => Some(named(argument)),
        _ => None,
    });
    types.collect()
}
