//! The parser: one pass over the bytes of a line, no allocation.

use tamis_sdk::prelude::{Date, Timestamp};

use crate::TruncatedAddress;

/// The parts of a line. Texts stand as they were written, escapes and null tokens included.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    pub address: TruncatedAddress<'a>,
    pub customer: &'a str,
    pub time: Timestamp,
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub protocol: &'a str,
    /// Three digits, or nothing for a null token.
    pub status: Option<i32>,
    /// Digits or a null token.
    pub size: &'a str,
    pub referer: &'a str,
    pub user_agent: &'a str,
    /// Digits or a null token.
    pub response_time: &'a str,
}

pub const NO_MATCH: &str = "the line is not in the Combined Log Format with a response time";
pub const NO_ADDRESS: &str = "the line does not begin with an IP address";
pub const NO_TIME: &str = "the time is impossible";
pub const NO_REQUEST: &str = "the request is not METHOD PATH PROTOCOL";

/// Takes a line apart:
/// `IP - CUSTOMER [18/Mar/2026:13:48:08 +0100] "METHOD PATH PROTOCOL" STATUS SIZE "REFERER" "USER AGENT" MILLISECONDS`.
/// The error is the reason, which holds nothing of the line.
pub fn parse(line: &str) -> Result<Request<'_>, &'static str> {
    let fields = Fields::split(line).ok_or(NO_MATCH)?;
    let address = TruncatedAddress::parse(fields.address).ok_or(NO_ADDRESS)?;
    let time = parse_time(fields.time.as_bytes()).ok_or(NO_TIME)?;
    let (method, target, protocol) = split_request(fields.request).ok_or(NO_REQUEST)?;
    let Fields { customer, size, referer, user_agent, response_time, .. } = fields;
    let status = parse_status(fields.status).ok_or(NO_MATCH)?;
    if !(is_number(size) && is_number(response_time)) {
        return Err(NO_MATCH);
    }
    Ok(Request { address, customer, time, method, target, protocol, status, size, referer, user_agent, response_time })
}

/// The fields of a line, by what stands between them.
struct Fields<'a> {
    address: &'a str,
    customer: &'a str,
    time: &'a str,
    request: &'a str,
    status: &'a str,
    size: &'a str,
    referer: &'a str,
    user_agent: &'a str,
    response_time: &'a str,
}

impl<'a> Fields<'a> {
    fn split(line: &'a str) -> Option<Self> {
        let mut rest = line;
        let address = word(&mut rest)?;
        rest = rest.strip_prefix("- ")?;
        let customer = word(&mut rest)?;
        rest = rest.strip_prefix('[')?;
        let time = before(&mut rest, b']')?;
        rest = rest.strip_prefix(' ')?;
        let request = quoted(&mut rest)?;
        rest = rest.strip_prefix(' ')?;
        let status = word(&mut rest)?;
        let size = word(&mut rest)?;
        let referer = quoted(&mut rest)?;
        rest = rest.strip_prefix(' ')?;
        let user_agent = quoted(&mut rest)?;
        let response_time = rest.strip_prefix(' ')?;
        Some(Self { address, customer, time, request, status, size, referer, user_agent, response_time })
    }
}

/// What stands before `end`, which must be there; the rest follows it.
fn before<'a>(rest: &mut &'a str, end: u8) -> Option<&'a str> {
    let length = rest.bytes().position(|byte| byte == end)?;
    let (text, behind) = (&rest[..length], &rest[length + 1..]);
    *rest = behind;
    Some(text)
}

/// One character or more without white space, then a space.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    before(rest, b' ').filter(|word| is_word(word))
}

fn is_word(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    !text.is_empty() && (text.bytes().all(is_plain) || !text.contains(char::is_whitespace))
}

/// What stands between quotation marks. A backslash takes the character behind it along, and both stay.
fn quoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let inside = rest.strip_prefix('"')?;
    let mut bytes = inside.bytes().enumerate();
    let length = loop {
        match bytes.next()? {
            (i, b'"') => break i,
            (_, b'\\') => drop(bytes.next()?),
            _ => {}
        }
    };
    *rest = &inside[length + 1..];
    Some(&inside[..length])
}

/// `18/Mar/2026:13:48:08 +0100`
fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let &[
        d1,
        d2,
        b'/',
        m1,
        m2,
        m3,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        h1,
        h2,
        b':',
        min1,
        min2,
        b':',
        s1,
        s2,
        b' ',
        sign @ (b'+' | b'-'),
        zh1,
        zh2,
        zm1,
        zm2,
    ] = text
    else {
        return None;
    };
    let year = two_digits(y1, y2)? * 100 + two_digits(y3, y4)?;
    let date = Date::from_ymd(year, month([m1, m2, m3])?, two_digits(d1, d2)?)?;
    let seconds = seconds_of([two_digits(h1, h2)?, two_digits(min1, min2)?, two_digits(s1, s2)?])?;
    let ahead = seconds_of([two_digits(zh1, zh2)?, two_digits(zm1, zm2)?, 0])?;
    let seconds = if sign == b'+' { seconds - ahead } else { seconds + ahead };
    Some(Timestamp::at(date, i64::from(seconds) * 1_000_000))
}

fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

fn seconds_of([hours, minutes, seconds]: [i32; 3]) -> Option<i32> {
    (hours < 24 && minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)
}

fn month(name: [u8; 3]) -> Option<i32> {
    Some(match &name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// Method, target and protocol, one space between them.
fn split_request(request: &str) -> Option<(&str, &str, &str)> {
    let mut rest = request;
    let method = word(&mut rest).filter(|method| is_method(method.as_bytes()))?;
    let target = word(&mut rest)?;
    is_protocol(rest.as_bytes()).then_some((method, target, rest))
}

/// Upper-case letters, perhaps in words with hyphens between them (`M-SEARCH`).
fn is_method(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'-').all(|word| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase))
}

/// `HTTP/2` or `HTTP/1.1`.
fn is_protocol(text: &[u8]) -> bool {
    let Some(version) = text.strip_prefix(b"HTTP/") else { return false };
    let mut numbers = version.splitn(2, |byte| *byte == b'.');
    numbers.all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

/// Three digits are a status, a null token is none, anything else is no status at all.
fn parse_status(text: &str) -> Option<Option<i32>> {
    match *text.as_bytes() {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(Some([a, b, c].iter().fold(0, |status, digit| status * 10 + i32::from(digit - b'0'))))
        }
        _ => crate::text(text).is_none().then_some(None),
    }
}

/// Digits, or a null token.
fn is_number(text: &str) -> bool {
    !text.is_empty() && (text.bytes().all(|byte| byte.is_ascii_digit()) || is_word(text) && crate::text(text).is_none())
}
