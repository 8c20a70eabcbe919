//! Requests to the admin API, and its answers: JSON, or problem details that become errors.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use ureq::Agent;
use ureq::http::{Method, Request, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Server;

/// The environment variable with the token.
const TOKEN_VARIABLE: &str = "TAMIS_TOKEN";
/// Compiling a large component takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Speaks to one host as one person.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// What was answered.
pub(super) struct Answer {
    /// The tag of what was answered, to be sent with a change of it.
    pub etag: Option<String>,
    /// Null when there was no body.
    pub body: Value,
}

/// What is sent.
pub(super) enum Body {
    None,
    Json(Value),
    /// JSON as it stands.
    Text(String),
    Component(Vec<u8>),
}

impl Client {
    /// Reads the token.
    pub fn new(server: &Server) -> Result<Self> {
        let token = match (&server.token_file, std::env::var(TOKEN_VARIABLE)) {
            (Some(path), _) => std::fs::read_to_string(path).invalid("read token from", path.display())?,
            (None, Ok(token)) => token,
            (None, Err(_)) => {
                let reason = format!("set {TOKEN_VARIABLE}, or give --token-file");
                return Err(Error::invalid("speak to", &server.server, reason));
            }
        };
        let in_the_clear = is_in_the_clear(server)?;
        let mut config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        if in_the_clear {
            // A proxy would see the token.
            config = config.proxy(None);
        }
        if let Some(path) = &server.ca {
            config = config.tls_config(TlsConfig::builder().root_certs(authorities(path)?).build());
        }
        let base = format!("{}/api/v1", server.server.trim_end_matches('/'));
        Ok(Self { agent: config.build().into(), base, token: token.trim().to_owned() })
    }

    /// Reads something.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call(Method::GET, path, Body::None, None)
    }

    /// Asks for something to be done.
    pub fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.call(Method::POST, path, Body::Json(body), None)
    }

    /// Reads every page of a list.
    pub fn items(&self, path: &str, count_max: usize) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let limit = (count_max - items.len()).min(500);
            let mut page = self.get(&format!("{path}{separator}limit={limit}{cursor}"))?.body;
            if let Value::Array(found) = page["items"].take() {
                items.extend(found);
            }
            match page["next_cursor"].as_str() {
                Some(next) if items.len() < count_max => cursor = format!("&cursor={}", escaped(next)),
                _ => return Ok(items),
            }
        }
    }

    /// Makes something that may not be there yet.
    pub fn create(&self, path: &str, body: Body) -> Result<Answer> {
        self.send(Method::PUT, path, body, Some(("if-none-match", "*")))
    }

    /// Asks for decisions; a request with the same key is the same one.
    pub fn decide(&self, path: &str, body: Body, key: Option<&str>) -> Result<Answer> {
        self.send(Method::POST, path, body, key.map(|key| ("idempotency-key", key)))
    }

    /// Changes something that is as `if_match` says, or asks for something.
    pub fn call(&self, method: Method, path: &str, body: Body, if_match: Option<&str>) -> Result<Answer> {
        self.send(method, path, body, if_match.map(|tag| ("if-match", tag)))
    }

    /// Sends a request. An answer that is no success is an error with what the host says of it.
    fn send(&self, method: Method, path: &str, body: Body, header: Option<(&str, &str)>) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request =
            Request::builder().method(method).uri(&url).header("authorization", format!("Bearer {}", self.token));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let (content_type, bytes) = match body {
            Body::None => (None, Vec::new()),
            Body::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
            Body::Text(text) => (Some("application/json"), text.into_bytes()),
            Body::Component(bytes) => (Some("application/wasm"), bytes),
        };
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(bytes).invalid("ask", &url)?;
        let mut response = self.agent.run(request).map_err(|error| unanswered(&url, error))?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.outage("read the answer of", &url)?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            return Err(refusal(&url, status, &text));
        }
        let etag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).corrupt("read the answer of", &url)?
        };
        Ok(Answer { etag, body })
    }
}

/// Whether requests go unencrypted, which they may to this machine and to where somebody says so.
fn is_in_the_clear(server: &Server) -> Result<bool> {
    let refuse = |reason: &str| Err(Error::invalid("speak to", &server.server, reason));
    let uri: Uri = server.server.parse().invalid("speak to", &server.server)?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(false),
        (Some("http"), Some(host)) if server.plain_http || is_this_machine(host) => Ok(true),
        (Some("http"), Some(_)) => refuse("the token would go in the clear: use https, or say --plain-http"),
        _ => refuse("it is no URL of http or https"),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// The certificates in a file, which vouch for the host from then on, and no others.
fn authorities(path: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(path).invalid("read certificates from", path.display())?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let certificates: Result<Vec<Certificate<'static>>, ureq::Error> = certificates.collect();
    let certificates = certificates.invalid("read certificates from", path.display())?;
    match certificates.is_empty() {
        true => Err(Error::invalid("read certificates from", path.display(), "there is none in it")),
        false => Ok(RootCerts::from(certificates)),
    }
}

/// A part of a path or query, as it must stand in a URL.
pub(super) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Why nothing was answered, or nothing that is HTTP.
fn unanswered(url: &str, error: ureq::Error) -> Error {
    match error {
        ureq::Error::Protocol(_) if url.starts_with("http:") => {
            Error::invalid("ask", url, "what answers there speaks no http; if the host has a certificate, say https")
        }
        error => Error::new(Kind::Outage, "ask", url).because(error),
    }
}

/// Problem details (RFC 9457) as an error.
fn refusal(url: &str, status: u16, text: &str) -> Error {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let said = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or(text).to_owned();
    let kind = match status {
        404 => Kind::Missing,
        409 | 412 => Kind::Conflict,
        429 | 502..=504 => Kind::Outage,
        500.. => Kind::Corrupt,
        _ => Kind::Invalid,
    };
    Error::new(kind, "ask", url).because(format!("{status}: {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_become_errors_of_their_kind() {
        let check = |status, text, kind, chain: &str| {
            let error = refusal("http://h/api/v1/rules", status, text);
            assert_eq!((error.kind(), error.chain()), (kind, format!("cannot ask http://h/api/v1/rules: {chain}")));
        };
        check(404, r#"{"title": "Not found", "detail": "no rule"}"#, Kind::Missing, "404: no rule");
        check(412, r#"{"title": "Changed"}"#, Kind::Conflict, "412: Changed");
        check(503, "busy", Kind::Outage, "503: busy");
        check(422, "{}", Kind::Invalid, "422: {}");
    }

    #[test]
    fn the_token_goes_in_the_clear_only_on_this_machine_or_when_somebody_says_so() {
        let check = |url: &str, plain_http: bool, expected: std::result::Result<bool, &str>| {
            let server = Server { server: url.to_owned(), token_file: None, ca: None, plain_http };
            match (is_in_the_clear(&server), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{url}"),
                (Err(error), Err(words)) => assert!(error.chain().contains(words), "{}", error.chain()),
                (found, expected) => panic!("{url}: {found:?} instead of {expected:?}"),
            }
        };
        for url in ["http://127.0.0.1:8710", "http://localhost:8710/", "http://[::1]:8710", "HTTP://LOCALHOST"] {
            check(url, false, Ok(true));
        }
        check("https://tamis.example.com", false, Ok(false));
        for url in
            ["http://tamis.example.com", "http://10.0.0.7:8710", "http://127.0.0.1@10.0.0.7", "http://127.0.0.1.x.com"]
        {
            check(url, false, Err("in the clear"));
            check(url, true, Ok(true));
        }
        for url in ["ftp://127.0.0.1", "127.0.0.1:8710", "tamis"] {
            check(url, true, Err("cannot speak to"));
        }
    }

    #[test]
    fn parts_of_urls_are_escaped() {
        assert_eq!(escaped("card-testing"), "card-testing");
        assert_eq!(escaped("a b/é"), "a%20b%2F%C3%A9");
    }
}
