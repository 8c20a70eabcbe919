//! The plugin's function against lines written by hand.

use tamis_sdk::bindings::types::{Batch, Column, Strings, Values};
use tamis_sdk::read::Unreadable;
use tamis_sdk::transform::TransformPlugin;

use super::*;

const LINE: &str = r#"203.0.113.9 - C42 [18/Mar/2026:13:48:08 +0100] "GET /p/12?x=1 HTTP/1.1" 200 5123 "https://example.com/" "Mozilla/5.0 (X11)" 143"#;

/// What a line becomes, or the reason why it does not.
pub fn access(line: &str) -> Result<Access<'_>, &'static str> {
    match nginx(&Line { line: Some(line) }) {
        Outcome::Keep(access) => Ok(access),
        Outcome::Reject(reason) => Err(reason),
        Outcome::Filter => panic!("nothing is filtered"),
    }
}

/// What [`LINE`] becomes with a part of it replaced.
fn with<'a>(room: &'a mut String, from: &str, to: &str) -> Result<Access<'a>, &'static str> {
    assert!(LINE.contains(from), "{from}");
    *room = LINE.replacen(from, to, 1);
    access(room)
}

#[test]
fn a_request() {
    let expected = Access {
        ip_tronquee: Written(TruncatedAddress::V4("203.0.113.")),
        client_id: Some(Pseudo("C42")),
        // 2026-03-18T12:48:08Z
        ts: Timestamp(1_773_838_088_000_000),
        method: Some("GET"),
        path: Some("/p/12"),
        query_present: true,
        protocol: "HTTP/1.1",
        status_code: Some(200),
        status_famille: Some("2xx"),
        response_size_bytes: Ok(Some(5123)),
        referer: Some("https://example.com/"),
        user_agent: Some("Mozilla/5.0 (X11)"),
        is_bot: false,
        response_time_ms: Ok(Some(143)),
        log_date: Date(20_530),
    };
    assert_eq!(access(LINE), Ok(expected));
}

#[test]
fn null_tokens_and_the_hyphen_are_null() {
    let room = &mut String::new();
    for token in ["-", "NULL", "null", "N/A", "NA", "NaN", "None"] {
        assert_eq!(with(room, "C42", token).unwrap().client_id, None);
        assert_eq!(with(room, "200", token).unwrap().status_code, None);
        assert_eq!(with(room, "200", token).unwrap().status_famille, None);
        assert_eq!(with(room, "5123", token).unwrap().response_size_bytes, Ok(None));
        assert_eq!(with(room, "143", token).unwrap().response_time_ms, Ok(None));
        assert_eq!(with(room, "Mozilla/5.0 (X11)", token).unwrap().user_agent, None);
        assert_eq!(with(room, "https://example.com/", token).unwrap().referer, None);
    }
    assert_eq!(with(room, "https://example.com/", "").unwrap().referer, None);
    assert_eq!(with(room, "Mozilla/5.0 (X11)", " \u{a0}").unwrap().user_agent, None);
    assert_eq!(with(room, "Mozilla/5.0 (X11)", " x\u{a0}").unwrap().user_agent, Some("x"));
}

#[test]
fn quoted_fields_keep_their_escapes() {
    let room = &mut String::new();
    assert_eq!(with(room, "Mozilla/5.0 (X11)", r#"a \"b\" \x22 \\"#).unwrap().user_agent, Some(r#"a \"b\" \x22 \\"#));
    assert_eq!(with(room, "https://example.com/", r#"\""#).unwrap().referer, Some(r#"\""#));
    assert_eq!(with(room, "/p/12?x=1", r#"/a\"b"#).unwrap().path, Some(r#"/a\"b"#));
    assert!(!with(room, "Mozilla/5.0 (X11)", r#"\x62ot"#).unwrap().is_bot);
    assert_eq!(with(room, "(X11)\"", r#"(X11)\""#), Err(line::NO_MATCH));
    assert_eq!(with(room, "(X11)", r#"a"b"#), Err(line::NO_MATCH));
}

#[test]
fn paths_lose_their_query() {
    let room = &mut String::new();
    for (target, path, query) in [
        ("/", Some("/"), false),
        ("/p?", Some("/p"), true),
        ("/p?a?b", Some("/p"), true),
        ("?x", None, true),
        ("*", Some("*"), false),
        ("http://h/p#f?q", Some("http://h/p#f"), true),
        ("/é%20", Some("/é%20"), false),
    ] {
        let access = with(room, "/p/12?x=1", target).unwrap();
        assert_eq!((access.path, access.query_present), (path, query), "{target}");
    }
}

#[test]
fn statuses_have_a_family() {
    let room = &mut String::new();
    for (status, code, family) in [("404", 404, "4xx"), ("099", 99, "0xx"), ("999", 999, "9xx"), ("100", 100, "1xx")] {
        let access = with(room, "200", status).unwrap();
        assert_eq!((access.status_code, access.status_famille), (Some(code), Some(family)));
    }
}

#[test]
fn numbers_too_large_are_unreadable_and_the_line_stays() {
    let room = &mut String::new();
    assert_eq!(with(room, "5123", "99999999999999999999").unwrap().response_size_bytes, Err(Unreadable));
    assert_eq!(with(room, "5123", "9223372036854775807").unwrap().response_size_bytes, Ok(Some(i64::MAX)));
    assert_eq!(with(room, "143", "2147483648").unwrap().response_time_ms, Err(Unreadable));
    assert_eq!(with(room, "143", "2147483647").unwrap().response_time_ms, Ok(Some(i32::MAX)));
}

#[test]
fn times_become_utc() {
    let room = &mut String::new();
    // 2026-03-18T00:00:00Z is 1773792000.
    for (text, seconds, day) in [
        ("18/Mar/2026:00:30:00 +0100", 1_773_790_200, 20_529),
        ("17/Mar/2026:23:30:00 -0130", 1_773_795_600, 20_530),
        ("18/Mar/2026:00:00:00 +0000", 1_773_792_000, 20_530),
        ("18/Mar/2026:00:00:00 -0000", 1_773_792_000, 20_530),
        ("29/Feb/2024:12:00:00 +0000", 1_709_208_000, 19_782),
    ] {
        let access = with(room, "18/Mar/2026:13:48:08 +0100", text).unwrap();
        assert_eq!((access.ts, access.log_date), (Timestamp(seconds * 1_000_000), Date(day)), "{text}");
    }
}

#[test]
fn programs_are_known_by_their_words_in_any_case() {
    for word in ["bot", "Crawl", "SPIDER", "Slurp", "curl", "wGet", "python-requests", "HeadLess"] {
        assert!(is_bot(word) && is_bot(&format!("Mozilla/5.0 ({word})/1")), "{word}");
    }
    for text in ["", "bo", "b o t", "python requests", "cur", "headles", "b\u{f6}t", "Mozilla/5.0 Chrome/120"] {
        assert!(!is_bot(text), "{text}");
    }
}

#[test]
fn what_does_not_match_whole_is_rejected_with_a_reason() {
    let room = &mut String::new();
    for (reason, replacements) in [
        (
            line::NO_ADDRESS,
            &[
                ("203.0.113.9", "shop.example.com"),
                ("203.0.113.9", "203.0.113.256"),
                ("203.0.113.9", "fe80::1%eth0"),
                ("203.0.113.9", "-"),
            ][..],
        ),
        (
            line::NO_TIME,
            &[
                ("18/Mar", "30/Feb"),
                ("18/Mar/2026", "29/Feb/2026"),
                ("18/Mar", "00/Mar"),
                ("18/Mar", "8/Mar"),
                ("Mar", "mar"),
                ("Mar", "Mai"),
                ("13:48:08", "24:00:00"),
                ("13:48:08", "13:60:00"),
                ("13:48:08", "13:48:60"),
                ("+0100", "+01:00"),
                ("+0100", "0100"),
                ("+0100", "+2400"),
                ("+0100", "+0160"),
                (" +0100", ""),
                ("2026", "26"),
                ("2026", "0000"),
            ],
        ),
        (
            line::NO_REQUEST,
            &[
                ("GET /p", "get /p"),
                ("GET /p", "Get /p"),
                ("GET ", ""),
                (" HTTP/1.1", ""),
                ("HTTP/1.1", "http/1.1"),
                ("HTTP/1.1", "HTTP/"),
                ("HTTP/1.1", "HTTP/1."),
                ("HTTP/1.1", "HTTP/1.1.1"),
                ("HTTP/1.1", "HTTP/x"),
                ("GET /p/12?x=1 HTTP/1.1", "-"),
                ("GET /p/12?x=1 HTTP/1.1", ""),
                ("GET /p", "GET  /p"),
                ("?x=1", " x"),
                ("GET /p/12?x=1 HTTP/1.1", r"\x16\x03\x01"),
                ("1.1", "1.1 "),
                ("GET", "G3T"),
                ("GET", "GET-"),
                ("/p/12", "/p\u{a0}12"),
            ],
        ),
        (
            line::NO_MATCH,
            &[
                ("203", " 203"),
                (" 143", ""),
                ("143", "143 "),
                ("143", ""),
                ("143", "0.143"),
                ("143", "-5"),
                ("143", "1 2"),
                ("C42", "C 42"),
                ("C42", ""),
                ("- C42", "x C42"),
                ("200", "20"),
                ("200", "2000"),
                ("200", "abc"),
                ("5123", "5k"),
                ("5123", "+5"),
                ("[", ""),
                ("]", ""),
                ("\"GET", "GET"),
                ("\" \"Mozilla", "\"  \"Mozilla"),
                (" 200", "  200"),
                ("C42", "C\t42"),
            ],
        ),
    ] {
        for (from, to) in replacements {
            assert_eq!(with(room, from, to), Err(reason), "{from:?} -> {to:?}");
        }
    }
    assert_eq!(access(""), Err(line::NO_MATCH));
    assert_eq!(access("hello"), Err(line::NO_MATCH));
    assert_eq!(nginx(&Line { line: None }), Outcome::Reject(line::NO_MATCH));
}

#[test]
fn a_batch_is_accounted_for_whole() {
    let wild = LINE.replacen("203.0.113.9", "\x00203.0.113.9\x00", 1);
    let [overflow, host] =
        [("5123", "99999999999999999999"), ("203.0.113.9", "host")].map(|(from, to)| LINE.replacen(from, to, 1));
    // Cells of rejected lines are not counted.
    let both = host.replacen("5123", "99999999999999999999", 1);
    let mut lines = Strings { offsets: vec![0], data: Vec::new() };
    for line in [LINE, &host, &wild, &both, &overflow, "\0"] {
        lines.data.extend_from_slice(line.as_bytes());
        lines.offsets.push(lines.data.len() as u32);
    }
    let rows = Batch { rows: 6, columns: vec![Column { values: Values::Text(lines), validity: None }] };
    let outcome = Plugin::configure("{}").unwrap().apply(rows).unwrap();
    assert_eq!((outcome.kept, outcome.filtered, outcome.rows.rows), (vec![0, 2, 4], vec![], 3));
    let rejected: Vec<_> =
        outcome.rejected.iter().map(|rejection| (rejection.row, rejection.reason.as_str())).collect();
    assert_eq!(rejected, [(1, line::NO_ADDRESS), (3, line::NO_ADDRESS), (5, line::NO_MATCH)]);
    assert_eq!(outcome.nullified, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    let Values::Text(addresses) = &outcome.rows.columns[0].values else { panic!("text") };
    assert_eq!(addresses.data, b"203.0.113.xxx203.0.113.xxx203.0.113.xxx");
    assert_eq!(outcome.rows.columns[9].values, Values::Int64(vec![5123, 5123, 0]));
    assert_eq!(outcome.rows.columns[9].validity, Some(vec![0b011]));
}
