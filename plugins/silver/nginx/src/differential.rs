//! The plugin's function against a reference: on a corpus of known lines, on each of them damaged, on generated ones.

use proptest::prelude::*;
use tamis_sdk::testing::damaged;

use crate::line::{NO_ADDRESS, NO_MATCH, NO_REQUEST, NO_TIME};
use crate::tests::access;

mod reference;

/// Lines, and why they are rejected.
const CORPUS: [(&[u8], Option<&str>); 5] = [
    (include_bytes!("../corpus/kept.log"), None),
    (include_bytes!("../corpus/no_address.log"), Some(NO_ADDRESS)),
    (include_bytes!("../corpus/no_time.log"), Some(NO_TIME)),
    (include_bytes!("../corpus/no_request.log"), Some(NO_REQUEST)),
    (include_bytes!("../corpus/no_match.log"), Some(NO_MATCH)),
];

fn corpus() -> impl Iterator<Item = (&'static [u8], Option<&'static str>)> {
    let lines = |file: &'static [u8]| file.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    CORPUS.iter().flat_map(move |(file, rejected)| lines(file).map(|line| (line, *rejected)))
}

/// Whether the line is kept, by function and reference alike.
fn check(line: &str) -> bool {
    let kept = access(line).ok();
    assert_eq!(kept, reference::access(line), "{line:?}");
    kept.is_some()
}

#[test]
fn each_line_of_the_corpus_becomes_what_its_file_says() {
    for (line, rejected) in corpus() {
        let line = String::from_utf8_lossy(line);
        assert_eq!(access(&line).err(), rejected, "{line:?}");
        check(&line);
    }
    assert!(corpus().count() >= 200);
}

#[test]
fn each_line_of_the_corpus_is_read_alike_when_a_byte_is_damaged() {
    let (mut kept, mut count) = (0, 0);
    for (line, _) in corpus() {
        for damaged in damaged(line) {
            kept += usize::from(check(&String::from_utf8_lossy(&damaged)));
            count += 1;
        }
    }
    assert!(kept > count / 10 && kept < count / 2, "{kept} of {count} are kept: neither side is looked at enough");
}

/// One of the choices most of the time, else something wild.
fn part(choices: &'static [&'static str], wild: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(choices).prop_map(str::to_owned), 1 => wild]
}

prop_compose! {
    fn lines()(
        address in part(&["1.2.3.4", "203.0.113.9", "::1", "2001:db8::1", "::ffff:1.2.3.4", "256.1.1.1", "host"], "[0-9a-f:.]{0,12}"),
        customer in part(&["-", "C1", "NULL", "é"], "\\PC{0,4}"),
        time in part(&["18/Mar/2026:13:48:08 +0100", "29/Feb/2024:00:00:00 -0730", "29/Feb/2026:00:00:00 +0000", "31/Apr/2026:23:59:59 +0000"],
            "[0-3][0-9]/(Jan|Jun|Dec|Foo)/[0-9]{4}:[0-2][0-9]:[0-6][0-9]:[0-6][0-9] [+-][0-2][0-9][0-6][0-9]"),
        request in part(&["GET / HTTP/1.1", "POST /a?b=c HTTP/2", "M-SEARCH * HTTP/1.0", r#"GET /\"x HTTP/1.1"#, "-", "GET /", r"\x16"], "(GET|get|A--B) [ -~]{0,8} HTTP/[0-9.]{0,3}"),
        status in part(&["200", "404", "-", "NA"], "[0-9]{0,4}"),
        size in part(&["0", "5123", "-"], "[0-9a.-]{0,3}"),
        referer in part(&["-", "", "https://example.com/?a=\\\"b"], "[ -~é]{0,6}"),
        agent in part(&["Mozilla/5.0 (X11)", "Googlebot", "a \\\\"], "[ -~é]{0,6}"),
        ms in part(&["143", "-", "None"], "[0-9 a]{0,3}"),
    ) -> String {
        format!(r#"{address} - {customer} [{time}] "{request}" {status} {size} "{referer}" "{agent}" {ms}"#)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn generated_lines_are_read_alike(line in lines()) {
        check(&line);
    }

    #[test]
    fn a_line_with_a_character_changed_is_read_alike(line in lines(), at: prop::sample::Index, with in "\\PC|[\"\\\\ \\[\\]-]") {
        let characters: Vec<char> = line.chars().collect();
        let at = at.index(characters.len());
        let changed: String = characters[..at].iter().copied().chain(with.chars()).chain(characters[at + 1..].iter().copied()).collect();
        check(&changed);
    }

    #[test]
    fn no_line_makes_it_panic(line in "\\PC{0,80}|[0-9. \\-\\[\\]\"\\\\:/A-Z+]{0,80}") {
        check(&line);
    }
}
