//! One record line in one pass: every byte is judged once, values go straight to where their column grows.
//!
//! The pass only tells whether a line is JSON; positions come back as `Option`, none = it is not. What else is wrong
//! is noted in the [`Row`] and told once the line is over, because of equal keys the last one counts.

use super::columns::Columns;
use super::number::{self, CENTS_END, Decimal};
use super::plan::{Check, FieldPlan, Names, ObjectPlan};
use super::refusal::{Reason, missing};
use super::scan::{Portable, Scan, WINDOW, load};
use super::skip::{self, literal, space};
use super::text::{is_null_token, unescape};

/// The members of a record line.
const ENVELOPE: [&str; 6] = ["offset", "timestamp", "key", "value", "key_base64", "value_base64"];

/// What reading needs beside the bytes; kept from line to line.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) record: ObjectPlan,
    pub(super) envelope: Names,
    pub(super) columns: Columns,
    pub(super) line: Line,
    /// The text of the last string with escapes.
    pub(super) text: Vec<u8>,
}

/// What a line says beside its members' values.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) offset: Option<i64>,
    pub(super) time: Option<i64>,
    /// Whether `key` or `key_base64` is no string.
    keys_wrong: u8,
    pub(super) value: Value,
    pub(super) row: Row,
}

/// What stands as the record's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Missing,
    Tombstone,
    /// The members are in the row.
    Object,
    NotAnObject,
    /// Not decoded yet.
    Base64(Vec<u8>),
    /// `value_base64` is neither a string nor null.
    Wrong,
}

/// What is known of an object's members.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Those that are there, fit, and are not null.
    pub(super) present: u64,
    /// Those that do not fit.
    pub(super) wrong: u64,
    /// Those that are `true`.
    pub(super) truths: u64,
    /// Why they do not fit; the last of a member counts, as long as it is in `wrong`.
    faults: Vec<Fault>,
}

/// Why a member does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    bit: u64,
    pub(super) reason: Reason,
    /// The member with the way to it, and what would have fitted.
    pub(super) message: String,
}

impl Row {
    fn clear(&mut self) {
        (self.present, self.wrong, self.truths) = (0, 0, 0);
        self.faults.clear();
    }

    #[inline(always)]
    fn accept(&mut self, field: &FieldPlan) {
        self.present |= field.bit;
        self.wrong &= !field.bit;
    }

    #[inline(always)]
    fn null(&mut self, field: &FieldPlan) {
        self.present &= !field.bit;
        self.wrong &= !field.bit;
    }

    #[cold]
    fn refuse(&mut self, field: &FieldPlan, reason: Reason) {
        let message = format!("{}: expected {}", field.name, field.expected());
        self.refuse_because(field, Fault { bit: field.bit, reason, message });
    }

    #[cold]
    fn refuse_because(&mut self, field: &FieldPlan, fault: Fault) {
        self.present &= !field.bit;
        self.wrong |= field.bit;
        self.faults.push(fault);
    }

    /// What is wrong with the first member, in the schema's order, that does not fit or is missing.
    pub(super) fn first_fault(&self, plan: &ObjectPlan) -> Option<Fault> {
        let faulty = self.wrong | (plan.required & !self.present);
        let field = plan.fields.get(faulty.trailing_zeros() as usize)?;
        if self.wrong & field.bit == 0 {
            return Some(Fault { bit: field.bit, reason: Reason::MissingField, message: missing(&field.name) });
        }
        self.faults.iter().rfind(|fault| fault.bit == field.bit).cloned()
    }
}

impl Line {
    fn clear(&mut self) {
        (self.offset, self.time, self.keys_wrong, self.value) = (None, None, 0, Value::Missing);
        self.row.clear();
    }

    /// Whether the envelope says what it must.
    pub(super) fn is_record(&self) -> bool {
        let value = !matches!(self.value, Value::Missing | Value::Wrong);
        self.offset.is_some() && self.time.is_some() && self.keys_wrong == 0 && value
    }
}

impl Reader {
    pub(super) fn new(record: ObjectPlan, columns: Columns) -> Self {
        let envelope = Names::new(&ENVELOPE);
        Self { record, envelope, columns, line: Line::default(), text: Vec::new() }
    }

    /// Reads the line that begins at `at` and returns the position behind its line break. The bytes reach
    /// `PADDING` bytes behind that, and are UTF-8 up to there.
    #[inline(always)]
    pub(super) fn line<S: Scan>(&mut self, scan: S, bytes: &[u8], at: usize) -> Option<usize> {
        self.line.clear();
        let mut at = space(bytes, at);
        if bytes[at] != b'{' {
            return None;
        }
        at = space(bytes, at + 1);
        if bytes[at] == b'}' {
            at += 1;
        } else {
            at = self.envelope(scan, bytes, at)?;
        }
        at = space(bytes, at);
        (bytes[at] == b'\n').then_some(at + 1)
    }

    /// The members of the envelope, from the first one's quote up to behind the closing bracket.
    #[inline(always)]
    fn envelope<S: Scan>(&mut self, scan: S, bytes: &[u8], mut at: usize) -> Option<usize> {
        let mut previous = Names::START;
        loop {
            let member;
            (member, at) = next_member(scan, &mut self.envelope, &mut previous, bytes, at, &mut self.text)?;
            at = match member {
                Some(0) => {
                    let (offset, at) = integer(bytes, at, &mut self.text)?;
                    self.line.offset = offset.filter(|offset| *offset >= 0);
                    at
                }
                Some(1) => {
                    let (time, at) = integer(bytes, at, &mut self.text)?;
                    self.line.time = time;
                    at
                }
                Some(3) => self.value(scan, bytes, at)?,
                Some(5) => self.value_base64(bytes, at)?,
                Some(key) => {
                    let fits = bytes[at] == b'"' || bytes[at] == b'n';
                    self.line.keys_wrong = self.line.keys_wrong & !(1 << key) | u8::from(!fits) << key;
                    any_value(scan, bytes, at, 0, &mut self.text)?
                }
                None => skip::value(bytes, at, 0, &mut self.text)?,
            };
            let (next, over) = separator(bytes, at)?;
            if over {
                return Some(next);
            }
            at = next;
        }
    }

    #[inline(always)]
    fn value<S: Scan>(&mut self, scan: S, bytes: &[u8], at: usize) -> Option<usize> {
        self.line.row.clear();
        if bytes[at] != b'{' {
            self.line.value = if bytes[at] == b'n' { Value::Tombstone } else { Value::NotAnObject };
            return skip::value(bytes, at, 0, &mut self.text);
        }
        self.line.value = Value::Object;
        object(scan, &mut self.record, &mut self.line.row, &mut self.columns, &mut self.text, bytes, at + 1, 1)
    }

    #[cold]
    fn value_base64(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if bytes[at] != b'"' {
            self.line.value = if bytes[at] == b'n' { Value::Tombstone } else { Value::Wrong };
            return skip::value(bytes, at, 0, &mut self.text);
        }
        let end = unescape(bytes, at + 1, &mut self.text)?;
        self.line.value = Value::Base64(self.text.clone());
        Some(end)
    }

    /// Reads a record's value that stands by itself: JSON that ends in a line break, then padding.
    #[cold]
    pub(super) fn bare_value(&mut self, bytes: &[u8]) -> Option<()> {
        let at = self.value(Portable, bytes, space(bytes, 0))?;
        (bytes[space(bytes, at)] == b'\n').then_some(())
    }
}

/// The next member's index, none when it is unknown, and the position of its value.
#[inline(always)]
fn next_member<S: Scan>(
    scan: S,
    names: &mut Names,
    previous: &mut usize,
    bytes: &[u8],
    at: usize,
    text: &mut Vec<u8>,
) -> Option<(Option<usize>, usize)> {
    if let Some((member, at)) = names.predicted(scan, bytes, at, *previous) {
        *previous = member;
        return Some((Some(member), space(bytes, at)));
    }
    looked_up_member(names, previous, bytes, at, text)
}

#[inline(never)]
fn looked_up_member(
    names: &mut Names,
    previous: &mut usize,
    bytes: &[u8],
    at: usize,
    text: &mut Vec<u8>,
) -> Option<(Option<usize>, usize)> {
    if bytes[at] != b'"' {
        return None;
    }
    let quote = Portable.string_end(bytes, at + 1);
    let (member, end) = match bytes[quote] {
        b'"' => (names.find(&bytes[at + 1..quote]), quote + 1),
        _ => {
            let end = unescape(bytes, at + 1, text)?;
            (names.find(text), end)
        }
    };
    if let Some(member) = member {
        names.learn(*previous, member);
        *previous = member;
    }
    let colon = space(bytes, end);
    (bytes[colon] == b':').then(|| (member, space(bytes, colon + 1)))
}

/// The position behind a comma and the white space behind it, or behind a closing bracket; and which it was.
#[inline(always)]
fn separator(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let at = if bytes[at] == b',' { at } else { space(bytes, at) };
    match bytes[at] {
        b',' => Some((space(bytes, at + 1), false)),
        b'}' => Some((at + 1, true)),
        _ => None,
    }
}

/// The members of an object that stands in `depth - 1` others, from behind its opening bracket up to behind the closing one.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one call, inlined, on disjoint parts of the reader")]
fn object<S: Scan>(
    scan: S,
    plan: &mut ObjectPlan,
    row: &mut Row,
    columns: &mut Columns,
    text: &mut Vec<u8>,
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
        (member, at) = next_member(scan, &mut plan.names, &mut previous, bytes, at, text)?;
        at = match member.and_then(|member| plan.fields.get_mut(member)) {
            Some(field) => match bytes[at] {
                b'"' => string(scan, field, row, columns, text, bytes, at + 1)?,
                b'0'..=b'9' => digits(field, row, columns, bytes, at)?,
                _ => other(field, row, columns, text, bytes, at, depth)?,
            },
            None => any_value(scan, bytes, at, depth, text)?,
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
fn any_value<S: Scan>(scan: S, bytes: &[u8], at: usize, depth: u32, text: &mut Vec<u8>) -> Option<usize> {
    if bytes[at] == b'"' { skip::string(scan, bytes, at + 1, text) } else { skip::value(bytes, at, depth, text) }
}

/// A member's string, from behind its opening quote.
#[inline(always)]
fn string<S: Scan>(
    scan: S,
    field: &FieldPlan,
    row: &mut Row,
    columns: &mut Columns,
    text: &mut Vec<u8>,
    bytes: &[u8],
    at: usize,
) -> Option<usize> {
    let end = scan.string_end(bytes, at);
    if bytes[end] == b'"' {
        take_text(field, row, columns, bytes, at, end);
        return Some(end + 1);
    }
    let behind = unescape(bytes, at, text)?;
    let length = text.len();
    text.extend_from_slice(&[0; WINDOW]);
    take_text(field, row, columns, text, 0, length);
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
fn ends_value(byte: u8) -> bool {
    byte == b',' || byte == b'}'
}

/// How many of the eight bytes, from the lowest on, are digits before the first that is none.
#[inline(always)]
fn leading_digits(word: u64) -> u32 {
    let word = word ^ 0x3030_3030_3030_3030;
    // A byte above 9 gets its high bit; what carries over changes only bytes behind it.
    let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    others.trailing_zeros() / 8
}

/// The number that the first `count` (1 to 8) bytes spell: pairs, then fours, then eights by multiplication.
/// After Johnny Lee, "Fast numeric string to int".
#[inline(always)]
fn digits_value(word: u64, count: u32) -> i64 {
    let word = (word & 0x0f0f_0f0f_0f0f_0f0f) << (64 - 8 * count);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let upper = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000F_4240_0000_0064);
    let lower = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (upper.wrapping_add(lower) >> 32) as i64
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
    columns: &mut Columns,
    text: &mut Vec<u8>,
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
        b'-' => number(field, row, columns, bytes, at),
        b'[' if matches!(field.check, Check::Items(_)) => items(field, row, columns, text, bytes, at + 1, depth + 1),
        _ => {
            let end = skip::value(bytes, at, depth, text)?;
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
    columns: &mut Columns,
    text: &mut Vec<u8>,
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
                at = object(Portable, plan, &mut item, columns, text, bytes, at + 1, depth + 1)?;
                item.first_fault(plan).map(Some)
            } else {
                at = skip::value(bytes, at, depth, text)?;
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
    let name = &field.name;
    match first_fault {
        None => row.accept(field),
        Some((i, Some(fault))) => {
            let message = format!("{name}[{i}].{}", fault.message);
            row.refuse_because(field, Fault { bit: field.bit, reason: fault.reason, message });
        }
        Some((i, None)) => {
            let message = format!("{name}[{i}]: expected an object");
            row.refuse_because(field, Fault { bit: field.bit, reason: Reason::WrongType, message });
        }
    }
    Some(at + 1)
}

/// An envelope's integer and the position behind it; none when it is something else.
#[inline(always)]
fn integer(bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<(Option<i64>, usize)> {
    let word = load(bytes, at);
    let count = leading_digits(word);
    if count > 0 && (count == 1 || bytes[at] != b'0') {
        let high = digits_value(word, count);
        let end = at + count as usize;
        if ends_value(bytes[end]) {
            return Some((Some(high), end));
        }
        let word = load(bytes, end);
        let low_count = leading_digits(word);
        if (1..8).contains(&low_count) && ends_value(bytes[end + low_count as usize]) {
            let value = high * 10_i64.pow(low_count) + digits_value(word, low_count);
            return Some((Some(value), end + low_count as usize));
        }
    }
    any_integer(bytes, at, text)
}

#[cold]
fn any_integer(bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<(Option<i64>, usize)> {
    let end = skip::value(bytes, at, 0, text)?;
    Some((number::integer_value(&bytes[at..end]), end))
}
