//! One record line in one pass: every byte is judged once, values go straight to where their column grows.
//!
//! The pass only tells whether a line is JSON; positions come back as `Option`, none = it is not. What else is wrong
//! is noted in the [`Row`] and told once the line is over, because of equal keys the last one counts.

use super::columns::Columns;
use super::digits::{digits_value, ends_value, leading_digits};
use super::members::{Store, any_value, object};
use super::number;
use super::plan::{Names, ObjectPlan};
use super::row::Row;
use super::scan::{Portable, Scan, load};
use super::skip::{self, space};
use super::text::unescape;

/// The members of a record line.
const ENVELOPE: [&str; 6] = ["offset", "timestamp", "key", "value", "key_base64", "value_base64"];

/// What reading needs beside the bytes; kept from line to line.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) record: ObjectPlan,
    pub(super) envelope: Names,
    pub(super) store: Store,
    pub(super) line: Line,
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

impl Line {
    fn clear(&mut self) {
        self.begin(None, None);
    }

    /// Begins a record of which so much is known.
    pub(super) fn begin(&mut self, offset: Option<i64>, time: Option<i64>) {
        (self.offset, self.time, self.keys_wrong, self.value) = (offset, time, 0, Value::Missing);
        self.row.clear();
    }

    /// Whether the line is a row as it stands.
    #[inline(always)]
    pub(super) fn is_row(&self, required: u64) -> bool {
        let members = self.row.wrong == 0 && required & !self.row.present == 0;
        members && self.value == Value::Object && self.keys_wrong == 0 && self.offset.is_some() && self.time.is_some()
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
        Self { record, envelope, store: Store { columns, text: Vec::new() }, line: Line::default() }
    }

    /// Reads the line that begins at `at` and returns the position behind its line break. The bytes reach
    /// `PADDING` bytes behind that, and are UTF-8 up to there.
    #[inline(always)]
    pub(super) fn line<S: Scan>(&mut self, scan: S, bytes: &[u8], at: usize) -> Option<usize> {
        self.line.clear();
        let mut at = space(bytes, at);
        if bytes[at] == b'{' {
            at = space(bytes, at + 1);
            at = if bytes[at] == b'}' { at + 1 } else { self.envelope(scan, bytes, at)? };
        } else {
            at = skip::value(bytes, at, 0, &mut self.store.text)?;
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
            (member, at) = next_member(scan, &mut self.envelope, &mut previous, bytes, at, &mut self.store.text)?;
            at = match member {
                Some(0) => {
                    let (offset, at) = integer(bytes, at, &mut self.store.text)?;
                    self.line.offset = offset.filter(|offset| *offset >= 0);
                    at
                }
                Some(1) => {
                    let (time, at) = integer(bytes, at, &mut self.store.text)?;
                    self.line.time = time;
                    at
                }
                Some(3) => self.value(scan, bytes, at)?,
                Some(5) => self.value_base64(bytes, at)?,
                Some(key) => {
                    let fits = bytes[at] == b'"' || bytes[at] == b'n';
                    self.line.keys_wrong = self.line.keys_wrong & !(1 << key) | u8::from(!fits) << key;
                    any_value(scan, bytes, at, 0, &mut self.store.text)?
                }
                None => skip::value(bytes, at, 0, &mut self.store.text)?,
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
            return skip::value(bytes, at, 0, &mut self.store.text);
        }
        self.line.value = Value::Object;
        object(scan, &mut self.record, &mut self.line.row, &mut self.store, bytes, at + 1, 1)
    }

    #[cold]
    fn value_base64(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if bytes[at] != b'"' {
            self.line.value = if bytes[at] == b'n' { Value::Tombstone } else { Value::Wrong };
            return skip::value(bytes, at, 0, &mut self.store.text);
        }
        let end = unescape(bytes, at + 1, &mut self.store.text)?;
        self.line.value = Value::Base64(self.store.text.clone());
        Some(end)
    }

    /// Reads a record's value that stands by itself from `start` to `end`, where a line break follows, and then as much as behind a
    /// line. A value with a line break within is left for [`fill_line`](super::fill_line).
    #[inline(always)]
    pub(super) fn bare_value<S: Scan>(&mut self, scan: S, bytes: &[u8], start: usize, end: usize) -> Option<()> {
        let at = self.value(scan, bytes, space(bytes, start))?;
        (space(bytes, at) == end).then_some(())
    }
}

/// The next member's index, none when it is unknown, and the position of its value.
#[inline(always)]
pub(super) fn next_member<S: Scan>(
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
pub(super) fn separator(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let at = if bytes[at] == b',' { at } else { space(bytes, at) };
    match bytes[at] {
        b',' => Some((space(bytes, at + 1), false)),
        b'}' => Some((at + 1, true)),
        _ => None,
    }
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
