//! What a record line decodes to, the slow and obvious way: a recursive parser that keeps number texts, then the
//! rules of contracts 3 one after the other. It shares no code with the decoder that it judges.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tamis_model::topic::{Field, FieldKind, TopicSchema};

mod json;

use json::{Json, Parser};

/// What became of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Only white space.
    Blank,
    /// Accepted: offset, time, one value for each field of the schema.
    Row { offset: i64, time: i64, values: Vec<Cell> },
    /// Refused. `field` is empty where the reason is not about one.
    Refused { offset: Option<i64>, time: Option<i64>, reason: &'static str, field: String },
}

/// A value as it stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
    /// Hundredths.
    Amount(i128),
    Boolean(bool),
    /// Checked, and not decoded into a column.
    Kept,
}

const DEPTH_MAX: usize = 128;

/// The outcome of one line, its line break left out.
pub fn decode_line(schema: &TopicSchema, line: &[u8]) -> Outcome {
    let line = String::from_utf8_lossy(line);
    if line.chars().all(|c| matches!(c, ' ' | '\t' | '\r')) {
        return Outcome::Blank;
    }
    let (offset, time) = coordinates(&line);
    let refused = |reason, field: &str| Outcome::Refused { offset, time, reason, field: field.to_owned() };
    // The envelope is not part of the record: nesting is counted from the value on.
    let Some(Json::Object(members)) = Parser::parse(&line, DEPTH_MAX + 1) else {
        return match Parser::parse(&line, DEPTH_MAX) {
            Some(_) => refused("invalid_record", ""),
            None => refused("invalid_json", ""),
        };
    };
    let member = |name: &str| members.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v);
    let last = members.iter().rev().find(|(n, _)| n == "value" || n == "value_base64");
    let key_fits = matches!(member("key"), None | Some(Json::Null | Json::Text(_)));
    let key_base64_fits = matches!(member("key_base64"), None | Some(Json::Null | Json::Text(_)));
    let (Some(offset_read), Some(time_read), true, true) = (offset, time, key_fits, key_base64_fits) else {
        return refused("invalid_record", "");
    };
    let value = match last {
        None => return refused("invalid_record", ""),
        Some((_, Json::Null)) => return refused("tombstone", ""),
        Some((name, value)) if name == "value" => value.clone(),
        Some((_, Json::Text(text))) => {
            let Ok(bytes) = BASE64_STANDARD.decode(text) else { return refused("invalid_record", "") };
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            match Parser::parse(&String::from_utf8_lossy(bytes), DEPTH_MAX) {
                Some(value) => value,
                None => return refused("invalid_json", ""),
            }
        }
        Some(_) => return refused("invalid_record", ""),
    };
    let Json::Object(members) = value else { return refused("not_an_object", "") };
    match fields(&schema.fields, &members) {
        Ok(values) => Outcome::Row { offset: offset_read, time: time_read, values },
        Err((reason, field)) => refused(reason, &field),
    }
}

/// The envelope's offset and timestamp, as far as strings and brackets tell where its members are.
fn coordinates(line: &str) -> (Option<i64>, Option<i64>) {
    let (mut offset, mut time) = (None, None);
    let chars: Vec<char> = line.chars().collect();
    let Some(mut at) = chars.iter().position(|c| !" \t\r".contains(*c)) else { return (None, None) };
    if chars[at] != '{' {
        return (None, None);
    }
    loop {
        at += 1;
        // One member: everything up to a comma or the closing bracket on this level.
        let start = at;
        let (mut depth, mut quoted, mut colon) = (0_usize, false, None);
        let end = loop {
            let Some(c) = chars.get(at) else { return (offset, time) };
            match c {
                '\\' if quoted => at += 1,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '{' | '[' => depth += 1,
                ',' | '}' if depth == 0 => break *c,
                ']' if depth == 0 => return (offset, time),
                '}' | ']' => depth -= 1,
                ':' if depth == 0 && colon.is_none() => colon = Some(at),
                _ => {}
            }
            at += 1;
        };
        if let Some(colon) = colon {
            let name: String = chars[start..colon].iter().collect();
            let value: String = chars[colon + 1..at].iter().collect();
            if let Some(Json::Text(name)) = Parser::parse(&name, DEPTH_MAX) {
                let number = match Parser::parse(&value, DEPTH_MAX) {
                    Some(Json::Number(text)) => integer(&text),
                    _ => None,
                };
                match name.as_str() {
                    "offset" => offset = number.filter(|n| *n >= 0),
                    "timestamp" => time = number,
                    _ => {}
                }
            }
        }
        if end == '}' {
            return (offset, time);
        }
    }
}

fn fields(fields: &[Field], members: &[(String, Json)]) -> Result<Vec<Cell>, (&'static str, String)> {
    fields.iter().map(|field| cell(field, members.iter().rev().find(|(name, _)| *name == field.name))).collect()
}

fn cell(field: &Field, member: Option<&(String, Json)>) -> Result<Cell, (&'static str, String)> {
    let fail = |reason| Err((reason, field.name.clone()));
    let value = match member {
        None | Some((_, Json::Null)) => None,
        Some((_, Json::Text(text))) if is_null_token(text) => None,
        Some((_, value)) => Some(value),
    };
    let Some(value) = value else {
        return if field.required { fail("missing_field") } else { Ok(Cell::Null) };
    };
    match (&field.kind, value) {
        (FieldKind::Text, Json::Text(text)) => Ok(Cell::Text(text.clone())),
        (FieldKind::Enum(values), Json::Text(text)) => {
            if values.contains(text) {
                Ok(Cell::Text(text.clone()))
            } else {
                fail("not_in_enum")
            }
        }
        (FieldKind::Amount, Json::Number(text)) => match cents(text) {
            Some(cents) => Ok(Cell::Amount(cents)),
            None => fail("out_of_range"),
        },
        (FieldKind::Integer { min, max }, Json::Number(text)) => match integer(text) {
            Some(value) if (*min..=*max).contains(&value) => Ok(Cell::Integer(value)),
            Some(_) => fail("out_of_range"),
            None if is_integral(text) => fail("out_of_range"),
            None => fail("wrong_type"),
        },
        (FieldKind::Number { min, max }, Json::Number(text)) => {
            let value: f64 = text.parse().expect("a JSON number is a Rust number");
            if (*min..=*max).contains(&value) { Ok(Cell::Number(value)) } else { fail("out_of_range") }
        }
        (FieldKind::Boolean, Json::Boolean(value)) => Ok(Cell::Boolean(*value)),
        (FieldKind::TextOrInteger, Json::Text(_)) => Ok(Cell::Kept),
        (FieldKind::TextOrInteger, Json::Number(text)) => {
            if is_integral(text) {
                Ok(Cell::Kept)
            } else {
                fail("wrong_type")
            }
        }
        (FieldKind::Items(inner), Json::Array(elements)) => {
            for (i, element) in elements.iter().enumerate() {
                let Json::Object(members) = element else {
                    return Err(("wrong_type", format!("{}[{i}]", field.name)));
                };
                fields(inner, members).map_err(|(reason, name)| (reason, format!("{}[{i}].{name}", field.name)))?;
            }
            Ok(Cell::Kept)
        }
        _ => fail("wrong_type"),
    }
}

fn is_null_token(text: &str) -> bool {
    ["", "NULL", "null", "N/A", "NA", "NaN", "None"].contains(&text.trim())
}

/// Sign, digits without leading zeros, and the power of ten of the last digit, so small that it fits.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "0"),
    };
    let exponent = match exponent.parse::<i64>() {
        Ok(exponent) => exponent.clamp(-1_000_000_000, 1_000_000_000),
        Err(_) if exponent.starts_with('-') => -1_000_000_000,
        Err(_) => 1_000_000_000,
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.trim_start_matches('-');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    (negative, digits.trim_start_matches('0').to_owned(), exponent - fraction.len() as i64)
}

fn is_integral(text: &str) -> bool {
    let (_, digits, power) = decimal(text);
    let trailing_zeros = digits.len() - digits.trim_end_matches('0').len();
    digits.is_empty() || power + trailing_zeros as i64 >= 0
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits, power) = decimal(text);
    if digits.is_empty() {
        return Some(0);
    }
    if !is_integral(text) || digits.len() as i64 + power > 19 {
        return None;
    }
    let kept = (digits.len() as i64 + power.min(0)) as usize;
    let mut value: i128 = digits[..kept].parse().expect("at most 19 digits");
    (0..power).for_each(|_| value *= 10);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// Hundredths, half away from zero; none with more than 18 digits.
fn cents(text: &str) -> Option<i128> {
    let (negative, digits, power) = decimal(text);
    if digits.is_empty() {
        return Some(0);
    }
    let scaled = power + 2;
    let whole_digits = digits.len() as i64 + scaled;
    if whole_digits > 18 {
        return None;
    }
    let value: i128 = if scaled >= 0 {
        format!("{digits}{}", "0".repeat(scaled as usize)).parse().expect("at most 18 digits")
    } else if whole_digits < 0 {
        0
    } else {
        let (kept, dropped) = digits.split_at(whole_digits as usize);
        let kept: i128 = if kept.is_empty() { 0 } else { kept.parse().expect("at most 18 digits") };
        kept + i128::from(dropped.as_bytes()[0] >= b'5')
    };
    if value >= 10_i128.pow(18) { None } else { Some(if negative { -value } else { value }) }
}
