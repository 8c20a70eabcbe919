//! The shape of the function of a rule or an aggregate: what it takes decides how it is called.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, GenericArgument, ItemFn, PathArguments, PathSegment, Result, ReturnType, Type};

use crate::lifetimes::renamed;

/// What a function judges. Types have the lifetime `'static`: they only name families of rows.
pub enum Subject {
    Row { row: TokenStream },
    Sliding { row: TokenStream, keeping: TokenStream },
    Distinct { row: TokenStream },
    Crossed { left: TokenStream, right: TokenStream },
    Tumbling { row: TokenStream, tally: TokenStream },
    Joined { left: TokenStream, right: TokenStream },
}

/// The types of `fn(&Config, &Subject) -> Returned`.
pub struct Shape {
    /// None when the function takes no configuration.
    pub config: Option<TokenStream>,
    pub subject: Subject,
    pub returned: TokenStream,
}

/// What a rule's function looks like.
pub const SHAPES: &str = "a rule takes `&Config` (or not) and one of `&Row`, `&Sliding<Row>`, `&Distinct<Row>`, `&Crossed<A, B>`, `&Tumbling<Row, Tally>`, `&Joined<A, B>`; it returns `bool` or `[bool; N]`";

impl Shape {
    /// The shape of `function`; `expected` says what it should look like.
    pub fn of(function: &ItemFn, expected: &str) -> Result<Self> {
        let parameters = function.sig.inputs.iter().map(|parameter| referent(parameter, expected));
        let parameters = parameters.collect::<Result<Vec<_>>>()?;
        let (config, subject) = match parameters[..] {
            [subject] => (None, subject),
            [config, subject] => (Some(named(config)), subject),
            _ => return Err(Error::new_spanned(&function.sig, expected)),
        };
        let returned = match &function.sig.output {
            ReturnType::Type(_, returned) => named(returned),
            ReturnType::Default => return Err(Error::new_spanned(&function.sig, expected)),
        };
        Ok(Self { config, subject: Subject::of(subject, expected)?, returned })
    }
}

impl Subject {
    fn of(subject: &Type, expected: &str) -> Result<Self> {
        let refuse = || Error::new_spanned(subject, expected);
        let Type::Path(path) = subject else { return Err(refuse()) };
        let segment = path.path.segments.last().ok_or_else(refuse)?;
        let arguments = type_arguments(segment);
        match (segment.ident.to_string().as_str(), &arguments[..]) {
            ("Sliding", [row]) => {
                Ok(Self::Sliding { row: row.clone(), keeping: quote!(::tamis_sdk::window::sliding::Counted) })
            }
            ("Sliding", [row, keeping]) => Ok(Self::Sliding { row: row.clone(), keeping: keeping.clone() }),
            ("Distinct", [row]) => Ok(Self::Distinct { row: row.clone() }),
            ("Crossed", [left, right]) => Ok(Self::Crossed { left: left.clone(), right: right.clone() }),
            ("Tumbling", [row, tally]) => Ok(Self::Tumbling { row: row.clone(), tally: tally.clone() }),
            ("Joined", [left, right]) => Ok(Self::Joined { left: left.clone(), right: right.clone() }),
            ("Sliding" | "Distinct" | "Crossed" | "Tumbling" | "Joined", _) => Err(refuse()),
            _ => Ok(Self::Row { row: named(subject) }),
        }
    }
}

/// What a parameter refers to.
fn referent<'a>(parameter: &'a FnArg, expected: &str) -> Result<&'a Type> {
    match parameter {
        FnArg::Typed(typed) => match &*typed.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(&reference.elem),
            other => Err(Error::new_spanned(other, expected)),
        },
        FnArg::Receiver(receiver) => Err(Error::new_spanned(receiver, "a plugin's function takes no `self`")),
    }
}

/// The type under the lifetime `'static`.
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
