//! `#[derive(Config)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{DeriveInput, Expr, ExprLit, Field, Lit, LitFloat, LitStr, Result, Token, UnOp};

use crate::attributes::{doc, named_fields};

/// Expands `#[derive(Config)]` on a struct.
pub fn expand(input: DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let settings = named_fields(&input)?.iter().map(Setting::of).collect::<Result<Vec<_>>>()?;
    let names: Vec<_> = settings.iter().map(|setting| &setting.name).collect();
    let idents: Vec<_> = settings.iter().map(|setting| &setting.field.ident).collect();
    let types: Vec<_> = settings.iter().map(|setting| &setting.field.ty).collect();
    let bounds: Vec<_> = settings.iter().map(Setting::bounds).collect();
    let defaults: Vec<_> = settings.iter().map(Setting::default).collect();
    let schemas = settings.iter().map(Setting::schema);
    // The bounds of a window are in its context anyway.
    let in_context = settings.iter().map(|setting| setting.name != "window_ms");
    let default_impl = settings.iter().all(Setting::has_default).then(|| default_impl(name, &settings));
    let setting = quote!(::tamis_sdk::config::Setting);
    let json = quote!(::tamis_sdk::json);
    Ok(quote! {
        impl ::tamis_sdk::config::Config for #name {
            fn context() -> ::std::vec::Vec<&'static str> {
                let settings = [#((#names, <#types as #setting>::IN_CONTEXT && #in_context)),*];
                settings.into_iter().filter_map(|(name, shown)| shown.then_some(name)).collect()
            }

            fn schema() -> #json::Value {
                let mut properties = #json::Map::new();
                let mut required = ::std::vec::Vec::<&str>::new();
                #(properties.insert(#names.into(), #schemas);)*
                #json::json!({
                    "type": "object",
                    "additionalProperties": false,
                    "properties": properties,
                    "required": required,
                })
            }

            fn defaults() -> #json::Value {
                let mut defaults = #json::Map::new();
                #(::tamis_sdk::config::member_default::<#types>(&mut defaults, #names, #defaults);)*
                #json::Value::Object(defaults)
            }

            fn read(members: &#json::Map<::std::string::String, #json::Value>) -> ::std::result::Result<Self, ::std::string::String> {
                ::tamis_sdk::config::known(members, &[#(#names),*])?;
                ::std::result::Result::Ok(Self {
                    #(#idents: ::tamis_sdk::config::member::<#types>(members, #names, #bounds, #defaults)?,)*
                })
            }
        }

        #default_impl
    })
}

/// With a default for every setting the struct itself has one, for unit tests.
fn default_impl(name: &syn::Ident, settings: &[Setting<'_>]) -> TokenStream {
    let fields = settings.iter().map(|setting| {
        let (ident, ty, default) = (&setting.field.ident, &setting.field.ty, setting.default());
        let message = format!("setting `{}` has a default", setting.name);
        quote!(#ident: ::tamis_sdk::config::default_of::<#ty>(#default).expect(#message))
    });
    quote! {
        impl ::std::default::Default for #name {
            fn default() -> Self {
                Self { #(#fields,)* }
            }
        }
    }
}

struct Setting<'a> {
    field: &'a Field,
    name: String,
    default: Option<Expr>,
    min: Option<Expr>,
    max: Option<Expr>,
    /// The host's list that stands for it when it is left out.
    list: Option<String>,
}

impl<'a> Setting<'a> {
    fn of(field: &'a Field) -> Result<Self> {
        let name = field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default();
        let mut setting = Self { field, name, default: None, min: None, max: None, list: None };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| setting.member(&meta))?;
        }
        Ok(setting)
    }

    fn member(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let member = match meta.path.get_ident().map(ToString::to_string).as_deref() {
            Some("default") => &mut self.default,
            Some("min") => &mut self.min,
            Some("max") => &mut self.max,
            Some("list") => {
                self.list = Some(list_name(meta, &self.name)?);
                return Ok(());
            }
            _ => return Err(meta.error("expected `default = …`, `min = …`, `max = …` or `list`")),
        };
        *member = Some(meta.value()?.parse()?);
        Ok(())
    }

    /// An expression for its schema, which notes in `required` whether it must be there.
    fn schema(&self) -> TokenStream {
        let (name, ty, description) = (&self.name, &self.field.ty, doc(&self.field.attrs));
        let (bounds, default) = (self.bounds(), self.default());
        let schema = quote! {
            ::tamis_sdk::config::member_schema::<#ty>(#description, #bounds, #default, &mut required, #name)
        };
        match &self.list {
            Some(list) => quote_spanned!(ty.span()=> ::tamis_sdk::config::listed::<#ty>(#schema, #list)),
            None => schema,
        }
    }

    fn has_default(&self) -> bool {
        let is_option = matches!(&self.field.ty, syn::Type::Path(path)
            if path.path.segments.last().is_some_and(|segment| segment.ident == "Option"));
        self.default.is_some() || is_option
    }

    /// `Option<fn() -> T>`: the default as it was written, texts and lists of them made owned.
    fn default(&self) -> TokenStream {
        match &self.default {
            Some(default) => {
                let (ty, value) = (&self.field.ty, owned(default));
                quote_spanned!(default.span()=> ::std::option::Option::Some((|| #value) as fn() -> #ty))
            }
            None => quote!(::std::option::Option::None),
        }
    }

    fn bounds(&self) -> TokenStream {
        let [min, max] = [&self.min, &self.max].map(|bound| match bound {
            Some(bound) => {
                let bound = as_f64(bound);
                quote!(::std::option::Option::Some(#bound))
            }
            None => quote!(::std::option::Option::None),
        });
        quote!(::tamis_sdk::config::Bounds { min: #min, max: #max })
    }
}

/// The list of `list = "name"`, or of `list`, whose name is that of the setting.
fn list_name(meta: &ParseNestedMeta<'_>, setting: &str) -> Result<String> {
    let name = match meta.input.peek(Token![=]) {
        true => meta.value()?.parse::<LitStr>()?.value(),
        false => setting.to_owned(),
    };
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_word && name.starts_with(|first: char| first.is_ascii_lowercase()) {
        Ok(name)
    } else {
        Err(meta.error("a list is named by lower-case letters, digits and `_`, a letter first"))
    }
}

/// A bound as a double: literals are turned into literals, everything else is cast.
fn as_f64(bound: &Expr) -> TokenStream {
    match bound {
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            let positive = as_f64(&unary.expr);
            quote!(-#positive)
        }
        Expr::Lit(ExprLit { lit: Lit::Int(literal), .. }) => {
            let literal = LitFloat::new(&format!("{}_f64", literal.base10_digits()), literal.span());
            quote!(#literal)
        }
        Expr::Lit(ExprLit { lit: Lit::Float(literal), .. }) => quote!(#literal),
        other => quote_spanned!(other.span()=> (#other) as f64),
    }
}

/// `"a"` and `["a", "b"]` as owned values, a list as whatever the setting collects texts in; everything else as it is.
fn owned(expression: &Expr) -> TokenStream {
    let is_text = |item: &Expr| matches!(item, Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)));
    match expression {
        Expr::Array(array) if !array.elems.is_empty() && array.elems.iter().all(is_text) => {
            let items = array.elems.iter();
            quote!([#(#items),*].into_iter().map(::std::string::String::from).collect())
        }
        Expr::Array(array) => {
            let items = array.elems.iter().map(owned);
            quote!(::std::vec![#(#items),*])
        }
        literal if is_text(literal) => quote!(::std::string::String::from(#literal)),
        other => quote!(#other),
    }
}
