//! The plugin's function once more: the line as one regular expression, its parts by the standard library and chrono.
//! Slow, and written without a look at the parser.

use std::net::IpAddr;
use std::sync::LazyLock;

use chrono::DateTime;
use regex::Regex;
use tamis_sdk::output::{Pseudo, Written};
use tamis_sdk::read::{Cell, Unreadable};
use tamis_sdk::value::{Date, Timestamp};

use crate::{Access, TruncatedAddress};

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let null = r"NULL|null|N/A|NA|NaN|None|-";
    let quoted = r#"(?:[^"\\]|\\.)*"#;
    let pattern = format!(
        r#"(?s)\A(?<address>\S+) - (?<customer>\S+) \[(?<time>[^\]]*)\] "(?<request>{quoted})" (?<status>[0-9]{{3}}|{null}) (?<size>[0-9]+|{null}) "(?<referer>{quoted})" "(?<agent>{quoted})" (?<ms>[0-9]+|{null})\z"#
    );
    Regex::new(&pattern).unwrap()
});

static REQUEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A(?<method>[A-Z]+(?:-[A-Z]+)*) (?<target>\S+) (?<protocol>HTTP/[0-9]+(?:\.[0-9]+)?)\z").unwrap()
});

/// Chrono alone would take one digit for two.
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}(:[0-9]{2}){3} [+-][0-9]{4}\z").unwrap());

/// What a line becomes; nothing when it is rejected.
pub fn access(line: &str) -> Option<Access<'_>> {
    let fields = LINE.captures(line)?;
    let field = |name: &str| fields.name(name).unwrap().as_str();
    let address = address(field("address"))?;
    let ts = time(field("time"))?;
    let request = REQUEST.captures(field("request"))?;
    let part = |name: &str| request.name(name).unwrap().as_str();
    let (path, query_present) = match part("target").split_once('?') {
        Some((path, _)) => (path, true),
        None => (part("target"), false),
    };
    let user_agent = text(field("agent"));
    Some(Access {
        ip_tronquee: Written(address),
        client_id: text(field("customer")).map(Pseudo),
        ts: Timestamp(ts * 1_000_000),
        method: text(part("method")),
        path: text(path),
        query_present,
        protocol: part("protocol"),
        status_code: field("status").parse().ok(),
        status_famille: ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"]
            .into_iter()
            .find(|family| family[..1] == field("status")[..1]),
        response_size_bytes: number(field("size")),
        referer: text(field("referer")),
        user_agent,
        is_bot: user_agent.is_some_and(|agent| {
            let agent = agent.to_ascii_lowercase();
            ["bot", "crawl", "spider", "slurp", "curl", "wget", "python-requests", "headless"]
                .iter()
                .any(|word| agent.contains(word))
        }),
        response_time_ms: number(field("ms")),
        log_date: Date(ts.div_euclid(86_400) as i32),
    })
}

fn address(text: &str) -> Option<TruncatedAddress<'_>> {
    Some(match text.parse().ok()? {
        IpAddr::V4(_) => TruncatedAddress::V4(&text[..=text.rfind('.')?]),
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            TruncatedAddress::V6([a, b, c])
        }
    })
}

/// Seconds since the epoch. Chrono knows leap seconds, the year 0 and zones of more than a day; the log does not.
fn time(text: &str) -> Option<i64> {
    let is_ours = TIME.is_match(text) && &text[7..11] != "0000" && &text[18..20] != "60" && &text[22..24] < "24";
    let time = DateTime::parse_from_str(text, "%d/%b/%Y:%H:%M:%S %z").ok()?;
    is_ours.then(|| time.timestamp())
}

fn text(field: &str) -> Option<&str> {
    let field = field.trim();
    (!["", "NULL", "null", "N/A", "NA", "NaN", "None", "-"].contains(&field)).then_some(field)
}

fn number<T: std::str::FromStr>(field: &str) -> Cell<T> {
    text(field).map(|digits| digits.parse().map_err(|_| Unreadable)).transpose()
}
