//! The form of the source files.

use std::fs;
use std::path::Path;

use super::{assert_none, root};

/// Lines of a file at most.
const LINES_MAX: usize = 350;
/// Files that hold `unsafe` code, and why.
const UNSAFE: [(&str, &str); 9] = [
    ("host/connectors/src/kafka/queue.rs", "takes records from the client without a copy of its own"),
    ("host/connectors/src/kafka/writer.rs", "a test makes the client fail as a broker would"),
    ("host/engine/src/decode/json/columns.rs", "hands checked text over to Arrow without checking it again"),
    ("host/engine/src/decode/json/mod.rs", "calls code for a processor feature that it detected"),
    ("host/engine/src/decode/json/scan.rs", "uses vector instructions"),
    ("host/plugin/src/cache.rs", "loads native code that this host compiled and sealed"),
    ("host/plugin/src/guest.rs", "calls functions whose types it compared once"),
    ("sdk/rust/src/row/text.rs", "cuts values out of ASCII without a look at each end"),
    ("tests/plugins/common.rs", "breaks the contract on purpose"),
];
/// Where our source is.
const SOURCE: [&str; 5] = ["host", "sdk", "plugins", "tests", "xtask"];

#[test]
fn every_module_opens_with_its_purpose() {
    let findings = rust_files().into_iter().filter(|(_, text)| purpose(text).is_none());
    assert_none(&findings.map(|(path, _)| format!("{path} does not open with `//!`")).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long() {
    let files = rust_files().into_iter().map(|(path, text)| (path, text.lines().count()));
    let long = files.filter(|(_, lines)| *lines > LINES_MAX);
    assert_none(
        &long.map(|(path, lines)| format!("{path} has {lines} lines; split it by subject")).collect::<Vec<_>>(),
    );
}

#[test]
fn unsafe_code_stands_where_it_is_expected() {
    let mut findings = Vec::new();
    for (path, text) in rust_files() {
        match (holds_unsafe(&text), UNSAFE.iter().any(|(listed, _)| *listed == path)) {
            (true, false) => findings.push(format!("{path} holds unsafe code")),
            (false, true) => findings.push(format!("{path} holds no unsafe code any more; take it from the list")),
            _ => {}
        }
    }
    assert_none(&findings);
}

/// Path from the root and text of each of our Rust files.
fn rust_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in SOURCE {
        collect(&root().join(folder), folder, &mut files);
    }
    assert!(files.len() > 60, "only {} source files found", files.len());
    files
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{name}/{file_name}");
        if entry.file_type().unwrap().is_dir() {
            if file_name != "target" {
                collect(&entry.path(), &path, files);
            }
        } else if file_name.ends_with(".rs") {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// The first line of a module's documentation.
fn purpose(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    let purpose = first.strip_prefix("//! ")?;
    (!purpose.trim().is_empty()).then_some(purpose)
}

/// Whether there is `unsafe` outside of comments and strings, attributes (`#[unsafe(no_mangle)]`) included.
fn holds_unsafe(text: &str) -> bool {
    text.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        let code = code.replace("\\\"", "");
        let outside_strings: String = code.split('"').step_by(2).collect();
        let mut words = outside_strings.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "unsafe")
    })
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(purpose("//! The form.\n"), Some("The form."));
    for text in ["", "use std::fs;\n", "//!\n", "// The form.\n"] {
        assert_eq!(purpose(text), None, "{text:?}");
    }
    for text in ["unsafe { x }", "pub unsafe fn f()", "#[unsafe(no_mangle)]", "let a = \"a\"; unsafe {}"] {
        assert!(holds_unsafe(text), "{text:?}");
    }
    for text in ["// unsafe", "let unsafe_rows = 1;", "let text = \"unsafe\";", "#![deny(unsafe_op_in_unsafe_fn)]"] {
        assert!(!holds_unsafe(text), "{text:?}");
    }
}
