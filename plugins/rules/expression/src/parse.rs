//! From text to a tree, by the parser of `cel`, with what that leaves to us: bounds, `has` of a column, words for people, and the
//! places of what it has read.

use std::cell::OnceCell;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, SourceInfo};
use cel::parser::PrattParser;
use cel::parser::pratt_parser::{Lexer, Token, TokenKind};
use cel::{IdedExpr, ParseError};

use crate::place::{Place, Refusal};

/// How long a text may be.
pub const TEXT_BYTES_MAX: usize = 4096;
/// How deep brackets and `?` may stand in each other. A plugin has 64 KiB of stack; what is allowed here takes half of it at most.
pub const NESTING_MAX: usize = 16;
/// How deep the tree may be: `a + b + c` has three levels.
pub const DEPTH_MAX: usize = 32;

/// What `has` is called when it is read. The macro of that name wants a field; of columns it is a function, as long as it so that
/// every place stays what it is.
pub const PRESENT: &str = "HAS";

/// A text that was read.
#[derive(Debug)]
pub struct Parsed<'t> {
    /// Its tree. Chains of `&&` and `||` are one call with many operands.
    pub root: IdedExpr,
    /// Where its parts stand.
    pub places: Places<'t>,
}

/// Reads a text.
pub fn parse(text: &str) -> Result<Parsed<'_>, Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        let why = format!("it has {} bytes, at most {TEXT_BYTES_MAX} are read", text.len());
        return Err(Refusal::new(Place::of(text, TEXT_BYTES_MAX), why));
    }
    let readable = readable(text)?;
    let root = parser().parse(&readable).map_err(|errors| match errors.errors.into_iter().next() {
        Some(error) => explained(text, error),
        None => Refusal::new(Place::of(text, 0), "it cannot be read"),
    })?;
    let places = Places { text, readable, info: OnceCell::new() };
    match too_deep(&root) {
        Some(id) => Err(places.refuse(id, format!("it is nested deeper than {DEPTH_MAX} levels"))),
        None => Ok(Parsed { root, places }),
    }
}

/// The words of a text: the same however it is laid out.
pub fn words(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    let mut words = Vec::new();
    loop {
        let Token { kind, start, end } = lexer.lex();
        match kind {
            TokenKind::TokWhitespace | TokenKind::TokComment => {}
            TokenKind::TokEnd | TokenKind::TokError => return words.join(" "),
            _ => words.push(&text[start..end]),
        }
    }
}

fn parser() -> PrattParser {
    PrattParser::new().max_recursion_depth(2 * NESTING_MAX as u16).enable_variadic_operator_asts(true)
}

/// Where the parts of a text stand.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t str,
    readable: String,
    info: OnceCell<Option<Arc<SourceInfo>>>,
}

impl Places<'_> {
    /// Where a part of the tree stands: a name, a literal, or the operator of an operation; a call by the name of what is called.
    pub fn of(&self, id: u64) -> Place {
        let offset = self.info().and_then(|info| info.offset_for(id)).map_or(0, |(start, _)| start as usize);
        let before = &self.readable[..offset];
        // Of `a.f(b)` the parser remembers the bracket.
        let is_call = self.readable[offset..].starts_with('(');
        let name = if is_call {
            before.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len()
        } else {
            offset
        };
        Place::of(self.text, name)
    }

    /// A refusal of a part of the tree.
    pub fn refuse(&self, id: u64, why: impl Into<String>) -> Refusal {
        Refusal::new(self.of(id), why)
    }

    /// The parser tells where things stand only together with an error. So it reads the text once more, with an error behind it: until
    /// there it numbers the parts as it did before.
    fn info(&self) -> Option<&SourceInfo> {
        let find = || {
            let errors = parser().parse(&format!("{}\n)", self.readable)).err()?.errors;
            errors.into_iter().find_map(|error| error.source_info)
        };
        self.info.get_or_init(find).as_deref()
    }
}

/// Checks how deep brackets stand in each other, which is how deep the parser calls itself, and renames `has`.
fn readable(text: &str) -> Result<String, Refusal> {
    let mut readable = text.to_owned();
    // For each open bracket, how many `?` stand in it; each makes what follows one level deeper.
    let mut open = vec![0];
    let mut before = TokenKind::TokEnd;
    let mut lexer = Lexer::new(text);
    loop {
        let token @ Token { kind, start, end } = lexer.lex();
        match kind {
            TokenKind::TokWhitespace | TokenKind::TokComment => continue,
            // The parser will say it better.
            TokenKind::TokEnd | TokenKind::TokError => return Ok(readable),
            TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace => open.push(1),
            TokenKind::TokRightParen | TokenKind::TokRightBracket | TokenKind::TokRightBrace if open.len() > 1 => {
                open.pop();
            }
            TokenKind::TokQuestion => open.last_mut().into_iter().for_each(|levels| *levels += 1),
            TokenKind::TokIdent if before != TokenKind::TokDot && is_has(text, start, end) => {
                readable.replace_range(start..end, PRESENT);
            }
            _ => {}
        }
        if open.iter().sum::<usize>() > NESTING_MAX {
            let why = format!("it is nested deeper than {NESTING_MAX} levels");
            return Err(Refusal::new(Place::of(text, token.start), why));
        }
        before = kind;
    }
}

/// Whether the word from `start` to `end` is `has`, called.
fn is_has(text: &str, start: usize, end: usize) -> bool {
    &text[start..end] == "has" && text[end..].trim_start().starts_with('(')
}

/// A part of the tree below the deepest level that is allowed. The tree may be as deep as its text is long, so this does not call itself.
fn too_deep(root: &IdedExpr) -> Option<u64> {
    let mut rest = vec![(root, 1)];
    while let Some((expression, depth)) = rest.pop() {
        if depth > DEPTH_MAX {
            return Some(expression.id);
        }
        let mut below = |expression| rest.push((expression, depth + 1));
        match &expression.expr {
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(below),
            Expr::Select(select) => below(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(below),
            Expr::Comprehension(macros) => [&macros.iter_range, &macros.loop_step].into_iter().for_each(below),
            Expr::Map(map) => map.entries.iter().for_each(|entry| {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    [&entry.key, &entry.value].into_iter().for_each(&mut below);
                }
            }),
            // A structure is refused before anything looks into it.
            Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified => {}
        }
    }
    None
}

/// What people write who know another language, and what it is here.
const HINTS: [(&str, &str); 9] = [
    ("=", "to compare, write `==`"),
    ("and", "write `&&`"),
    ("or", "write `||`"),
    ("not", "write `!`"),
    ("is", "to ask for null, write `== null`"),
    ("like", "there are `contains`, `startsWith`, `endsWith` and `matches`"),
    ("between", "write `low <= x && x <= high`"),
    ("<>", "write `!=`"),
    (";", "a condition is one expression"),
];

/// The parser's error in our words.
fn explained(text: &str, error: ParseError) -> Refusal {
    let (line, column) = error.pos;
    let Ok(line) = usize::try_from(line - 1) else { return Refusal::new(Place::of(text, 0), error.msg) };
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let offset = line_start + usize::try_from(column - 1).unwrap_or(0);
    // The parser takes `not` for a name and stops behind it.
    let offset = behind_not(text, offset).unwrap_or(offset);
    let place = Place::of(text, offset);
    let found = found(text, offset);
    let hint = HINTS.iter().find(|(written, _)| written.eq_ignore_ascii_case(found));
    let why = match (found, hint) {
        (found, Some((_, hint))) => format!("`{found}` is not expected here; {hint}"),
        ("", None) => "the end is not expected here".to_owned(),
        (found, None) if error.msg.contains("mismatched input") || error.msg == "unexpected token" => {
            format!("`{found}` is not expected here")
        }
        (found, None) => format!("{}, found `{found}`", error.msg.trim_start_matches("Syntax error: ")),
    };
    Refusal::new(place, why)
}

/// Where the word `not` stands, if it is the one before `offset`.
fn behind_not(text: &str, offset: usize) -> Option<usize> {
    let before = text.get(..offset)?.trim_end();
    let start = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
    before[start..].eq_ignore_ascii_case("not").then_some(start)
}

/// The word or sign at `offset`, the whole of `<>` included.
fn found(text: &str, offset: usize) -> &str {
    let rest = text.get(offset..).unwrap_or_default();
    if rest.starts_with('>') && text[..offset].ends_with('<') {
        return &text[offset - 1..=offset];
    }
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..word.max(sign)]
}
