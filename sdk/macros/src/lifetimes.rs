//! Types under another lifetime: rows are declared for one, and used for that of a batch.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};

/// `tokens` with every lifetime called `'target`.
pub fn renamed(tokens: TokenStream, target: &str) -> TokenStream {
    let mut is_lifetime = false;
    let renamed = tokens.into_iter().map(|token| {
        let follows_quote = is_lifetime;
        is_lifetime = matches!(&token, TokenTree::Punct(mark) if mark.as_char() == '\'');
        match token {
            TokenTree::Ident(name) if follows_quote => Ident::new(target, name.span()).into(),
            TokenTree::Group(group) => Group::new(group.delimiter(), renamed(group.stream(), target)).into(),
            token => token,
        }
    });
    renamed.collect()
}
