//! The members of an object, each judged by the schema and written where its column grows.

use super::columns::Columns;
use super::digits::{digits_value, ends_value, leading_digits};
use super::line::{next_member, separator};
use super::number::{self, CENTS_END, Decimal};
use super::plan::{Check, FieldPlan, Names, ObjectPlan};
use super::refusal::Reason;
use super::row::{Fault, Row};
use super::scan::{Portable, Scan, WINDOW, load};
use super::skip::{self, literal, space};
use super::text::{is_null_token, unescape};

/// Where values go.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) columns: Columns,
    /// The text of the last string with escapes.
    pub(super) text: Vec<u8>,
}

/// The members of an object that stands in `depth - 1` others, from behind its opening bracket up to behind the closing one.
#[inline(always)]
pub(super) fn object<S: Scan>(
    scan: S,
    plan: &mut ObjectPlan,
    row: &mut Row,
    store: &mut Store,
    bytes: &[u8],
    at: usize,
    depth: u32,
) -> Option<usize> {
    let mut at = space(bytes, at);
    if bytes[at] == b'}' {
        return Some(at + 1);
    }
    let mut previous = Names::START;
    loop {
        let member;
        (member, at) = next_member(scan, &mut plan.names, &mut previous, bytes, at, &mut store.text)?;
        at = match member.and_then(|member| plan.fields.get_mut(member)) {
            Some(field) => match bytes[at] {
                b'"' => string(scan, field, row, store, bytes, at + 1)?,
                b'0'..=b'9' => digits(field, row, &mut store.columns, bytes, at)?,
                _ => other(field, row, store, bytes, at, depth)?,
            },
            None => any_value(scan, bytes, at, depth, &mut store.text)?,
        };
        let (next, over) = separator(bytes, at)?;
        if over {
            return Some(next);
        }
        at = next;
    }
}

/// Any value, checked and left out.
#[inline(always)]
pub(super) fn any_value<S: Scan>(scan: S, bytes: &[u8], at: usize, depth: u32, text: &mut Vec<u8>) -> Option<usize> {
    if bytes[at] == b'"' { skip::string(scan, bytes, at + 1, text) } else { skip::value(bytes, at, depth, text) }
}

/// A member's string, from behind its opening quote.
#[inline(always)]
fn string<S: Scan>(
    scan: S,
    field: &FieldPlan,
    row: &mut Row,
    store: &mut Store,
    bytes: &[u8],
    at: usize,
) -> Option<usize> {
    let end = scan.string_end(bytes, at);
    if bytes[end] == b'"' {
        take_text(field, row, &mut store.columns, bytes, at, end);
        return Some(end + 1);
    }
    let behind = unescape(bytes, at, &mut store.text)?;
    let length = store.text.len();
    store.text.extend_from_slice(&[0; WINDOW]);
    take_text(field, row, &mut store.columns, &store.text, 0, length);
    Some(behind)
}

#[inline(always)]
fn take_text(field: &FieldPlan, row: &mut Row, columns: &mut Columns, source: &[u8], start: usize, end: usize) {
    let text = &source[start..end];
    let fits = match &field.check {
        Check::TextUnread => return row.accept(field),
        Check::Text | Check::TextOrInteger => !is_null_token(text),
        Check::Enum(values) => values.iter().any(|value| value.as_bytes() == text),
        _ => false,
    };
    if fits {
        row.accept(field);
        if let Some(column) = columns.texts.get_mut(field.column) {
            column.write(source, start, end);
        }
    } else if is_null_token(text) {
        row.null(field);
    } else if let Check::Enum(_) = field.check {
        row.refuse(field, Reason::NotInEnum);
    } else {
        row.refuse(field, Reason::WrongType);
    }
}

/// A member's number that begins with a digit. Amounts and integers of up to seven digits, with nothing but a
/// comma or bracket behind them, are read eight bytes at a time.
#[inline(always)]
fn digits(field: &FieldPlan, row: &mut Row, columns: &mut Columns, bytes: &[u8], at: usize) -> Option<usize> {
    let word = load(bytes, at);
    let count = leading_digits(word);
    if count < 8 && (count == 1 || bytes[at] != b'0') {
        let value = digits_value(word, count);
        let end = at + count as usize;
        match field.check {
            Check::Integer { min, max } if ends_value(bytes[end]) => {
                take_integer(field, row, columns, value, min, max);
                return Some(end);
            }
            Check::Amount => {
                if let Some((cents, end)) = short_amount(value, bytes, end) {
                    take_amount(field, row, columns, cents);
                    return Some(end);
                }
            }
            _ => {}
        }
    }
    number(field, row, columns, bytes, at)
}

/// Hundredths and end of an amount whose whole part ends at `at`, if it has none, one or two digits behind the point.
#[inline(always)]
fn short_amount(whole: i64, bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    if ends_value(bytes[at]) {
        return Some((whole * 100, at));
    }
    let digit = |at: usize| Some(i64::from(bytes[at]) - i64::from(b'0')).filter(|digit| (0..10).contains(digit));
    if bytes[at] != b'.' {
        return None;
    }
    let cents = whole * 100 + digit(at + 1)? * 10;
    if ends_value(bytes[at + 2]) {
        return Some((cents, at + 2));
    }
    let cents = cents + digit(at + 2)?;
    ends_value(bytes[at + 3]).then_some((cents, at + 3))
}

#[inline(always)]
fn take_integer(field: &FieldPlan, row: &mut Row, columns: &mut Columns, value: i64, min: i64, max: i64) {
    if value < min || value > max {
        return row.refuse(field, Reason::OutOfRange);
    }
    row.accept(field);
    let at = columns.rows();
    if let Some(column) = columns.integers.get_mut(field.column) {
        column.write(at, value);
    }
}

#[inline(always)]
fn take_amount(field: &FieldPlan, row: &mut Row, columns: &mut Columns, cents: i64) {
    debug_assert!(cents.abs() < CENTS_END);
    row.accept(field);
    let at = columns.rows();
    if let Some(column) = columns.amounts.get_mut(field.column) {
        column.write(at, i128::from(cents));
    }
}

/// A member's number, exactly.
#[inline(never)]
fn number(field: &FieldPlan, row: &mut Row, columns: &mut Columns, bytes: &[u8], at: usize) -> Option<usize> {
    let length = number::length(&bytes[at..])?;
    let text = &bytes[at..at + length];
    let decimal = Decimal::read(text);
    match field.check {
        Check::Amount => match decimal.cents() {
            Some(cents) => take_amount(field, row, columns, cents),
            None => row.refuse(field, Reason::OutOfRange),
        },
        Check::Integer { min, max } => match decimal.integer() {
            Some(value) => take_integer(field, row, columns, value, min, max),
            None if decimal.is_integer() => row.refuse(field, Reason::OutOfRange),
            None => row.refuse(field, Reason::WrongType),
        },
        Check::Number { min, max } => {
            let value = number::float(text);
            if (min..=max).contains(&value) {
                row.accept(field);
                let at = columns.rows();
                if let Some(column) = columns.numbers.get_mut(field.column) {
                    column.write(at, value);
                }
            } else {
                row.refuse(field, Reason::OutOfRange);
            }
        }
        Check::TextOrInteger if decimal.is_integer() => row.accept(field),
        _ => row.refuse(field, Reason::WrongType),
    }
    Some(at + length)
}

/// A member's value that is neither a string nor begins with a digit.
#[inline(always)]
fn other(
    field: &mut FieldPlan,
    row: &mut Row,
    store: &mut Store,
    bytes: &[u8],
    at: usize,
    depth: u32,
) -> Option<usize> {
    match bytes[at] {
        b'n' => {
            row.null(field);
            literal(bytes, at, b"null")
        }
        b't' | b'f' => {
            let truth = bytes[at] == b't';
            match field.check {
                Check::Boolean => {
                    row.accept(field);
                    row.truths = row.truths & !field.bit | if truth { field.bit } else { 0 };
                }
                _ => row.refuse(field, Reason::WrongType),
            }
            literal(bytes, at, if truth { b"true" } else { b"false" })
        }
        b'-' => number(field, row, &mut store.columns, bytes, at),
        b'[' if matches!(field.check, Check::Items(_)) => items(field, row, store, bytes, at + 1, depth + 1),
        _ => {
            let end = skip::value(bytes, at, depth, &mut store.text)?;
            row.refuse(field, Reason::WrongType);
            Some(end)
        }
    }
}

/// An array of objects, from behind its opening bracket; `depth`: how many containers are open, the array included.
#[inline(never)]
fn items(
    field: &mut FieldPlan,
    row: &mut Row,
    store: &mut Store,
    bytes: &[u8],
    at: usize,
    depth: u32,
) -> Option<usize> {
    let mut first_fault: Option<(usize, Option<Fault>)> = None;
    let mut at = space(bytes, at);
    if let Check::Items(plan) = &mut field.check
        && bytes[at] != b']'
    {
        for index in 0.. {
            let mut item = Row::default();
            let fault = if bytes[at] == b'{' {
                at = object(Portable, plan, &mut item, store, bytes, at + 1, depth + 1)?;
                item.first_fault(plan).map(Some)
            } else {
                at = skip::value(bytes, at, depth, &mut store.text)?;
                Some(None)
            };
            first_fault = first_fault.or(fault.map(|fault| (index, fault)));
            at = space(bytes, at);
            match bytes[at] {
                b',' => at = space(bytes, at + 1),
                b']' => break,
                _ => return None,
            }
        }
    }
    match first_fault {
        None => row.accept(field),
        Some((i, Some(fault))) => {
            row.refuse_because(field, fault.reason, format!("{}[{i}].{}", field.name, fault.message));
        }
        Some((i, None)) => {
            row.refuse_because(field, Reason::WrongType, format!("{}[{i}]: expected an object", field.name));
        }
    }
    Some(at + 1)
}
