//! The web server's access log: one row a request, the visitor's address truncated, the customer a pseudonym.

use tamis_sdk::prelude::*;

mod line;

pub use read::TruncatedAddress;

/// A line of the log, in the Combined Log Format with the response time behind it.
#[derive(Row)]
#[row(source = "nginx", format = "lines")]
pub struct Line<'a> {
    /// The line without its break.
    #[row(personal)]
    pub line: Option<&'a str>,
}

/// A request.
#[derive(Debug, PartialEq, Output)]
#[output(dataset = "silver.nginx", partition_by = "log_date")]
pub struct Access<'a> {
    /// The network that the visitor came from.
    pub ip_tronquee: Written<TruncatedAddress<'a>>,
    /// The customer, where one was logged in.
    pub client_id: Option<Pseudo<'a>>,
    /// When the request came.
    pub ts: Timestamp,
    /// The HTTP method.
    pub method: Option<&'a str>,
    /// The path without its query.
    pub path: Option<&'a str>,
    /// Whether there was a query.
    pub query_present: bool,
    /// The protocol and its version.
    pub protocol: &'a str,
    /// The HTTP status.
    pub status_code: Option<i32>,
    /// The class of the status: `2xx`.
    pub status_famille: Option<&'static str>,
    /// The size of the answer's body.
    pub response_size_bytes: Cell<i64>,
    /// The page that led here.
    pub referer: Option<&'a str>,
    /// What the client says it is.
    pub user_agent: Option<&'a str>,
    /// Whether the client says that it is a program.
    pub is_bot: bool,
    /// How long the answer took.
    pub response_time_ms: Cell<i32>,
    /// The UTC date of the request.
    pub log_date: Date,
}

/// The web server's access log
#[transform(owner = "data", remove = "\0")]
pub fn nginx<'a>(line: &Line<'a>) -> Outcome<Access<'a>> {
    let request = match line::parse(line.line.unwrap_or_default()) {
        Ok(request) => request,
        Err(reason) => return Outcome::Reject(reason),
    };
    let (path, query) =
        request.target.split_once('?').map_or((request.target, None), |(path, query)| (path, Some(query)));
    let user_agent = text(request.user_agent);
    Outcome::Keep(Access {
        ip_tronquee: Written(request.address),
        client_id: text(request.customer).map(Pseudo),
        ts: request.time,
        method: text(request.method),
        path: text(path),
        query_present: query.is_some(),
        protocol: request.protocol,
        status_code: request.status,
        status_famille: request.status.map(family),
        response_size_bytes: read::int64(text(request.size)),
        referer: text(request.referer),
        user_agent,
        is_bot: user_agent.is_some_and(is_bot),
        response_time_ms: read::int32(text(request.response_time)),
        log_date: request.time.date(),
    })
}

/// The trimmed text, or nothing for a null token; in this log `-` is one too.
fn text(field: &str) -> Option<&str> {
    read::text(field).filter(|text| *text != "-")
}

/// The class of a status of three digits.
fn family(status: i32) -> &'static str {
    const FAMILIES: [&str; 10] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"];
    FAMILIES[(status / 100) as usize % FAMILIES.len()]
}

/// Whether a user agent calls itself a program, in any case.
fn is_bot(user_agent: &str) -> bool {
    const WORDS: [&[u8]; 8] =
        [b"bot", b"crawl", b"spider", b"slurp", b"curl", b"wget", b"python-requests", b"headless"];
    let text = user_agent.as_bytes();
    text.iter().enumerate().any(|(i, first)| {
        matches!(first | 0x20, b'b' | b'c' | b's' | b'w' | b'p' | b'h')
            && WORDS
                .iter()
                .any(|word| text[i..].get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)))
    })
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
