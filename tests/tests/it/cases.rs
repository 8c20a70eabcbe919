//! Every case of every plugin in the repository, and of every example that a new plugin begins as, through the real
//! engine and sandbox.

use std::fs;
use std::path::{Path, PathBuf};

use tamis::plugin::{Kind, New, cases, new_plugin, test_sandbox};
use tamis_build::{Build, Package};
use tamis_tests::{checkout, components};

#[test]
fn the_cases_of_every_plugin_pass() {
    let folder = components::folder();
    let mut failures = Vec::new();
    for plugin in checkout::plugin_crates() {
        let component = folder.join(format!("{}.wasm", Package::read(&plugin).unwrap().name));
        failures.extend(failures_of(&plugin, &component));
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

#[test]
fn a_new_plugin_of_every_kind_builds_and_passes_its_cases() {
    let scratch = tempfile::tempdir().unwrap();
    let kinds = [Kind::Rule, Kind::Sliding, Kind::Tumbling, Kind::Aggregate, Kind::Transform, Kind::Check];
    let crates = kinds.map(|kind| write(kind, scratch.path()));
    let target = components::folder().parent().unwrap().join("guests");
    let out_dir = scratch.path().join("components");
    let request = Build { crates: crates.to_vec(), target_dir: target, out_dir, offline: false, locked: false };
    let built = tamis_build::build(&request).unwrap();
    let failures = crates.iter().zip(&built).flat_map(|(folder, built)| failures_of(folder, &built.wasm_path));
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// Writes the example and, so that the test downloads nothing new, the versions that this checkout is built with.
fn write(kind: Kind, scratch: &Path) -> PathBuf {
    let name = format!("new-{kind:?}").to_lowercase();
    let new = New { path: Some(scratch.join(&name)), name, kind, sdk: None };
    let folder = new_plugin(&new).unwrap();
    fs::copy(checkout::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    folder
}

/// One line for each failure of the cases of the crate in `folder`.
fn failures_of(folder: &Path, component: &Path) -> Vec<String> {
    let bytes = fs::read(component).unwrap_or_else(|error| panic!("{}: {error}", component.display()));
    let plugin = test_sandbox().unwrap().load(&bytes).unwrap_or_else(|error| panic!("{}", error.chain()));
    let topics = tamis::topics::standard().unwrap();
    let (mut count, mut failures) = (0, Vec::new());
    for file in cases::files(folder).unwrap_or_else(|error| panic!("{}", error.chain())) {
        let text = fs::read_to_string(&file).unwrap();
        let results = cases::run(&plugin, &text, &topics);
        for result in results.unwrap_or_else(|error| panic!("{}: {}", file.display(), error.chain())) {
            count += 1;
            let place = format!("{}:{} {}", file.display(), result.line, result.case);
            failures.extend(result.failures.into_iter().map(|failure| format!("{place}: {failure}")));
        }
    }
    assert!(count > 0, "{plugin} has no cases");
    failures
}

#[test]
fn a_case_that_does_not_hold_fails() {
    let plugin = components::load(&test_sandbox().unwrap(), "card-testing");
    let topics = tamis::topics::standard().unwrap();
    let record = |id: &str, method: &str| {
        format!(
            r#"{{"topic":"payments","timestamp":1773842400000,"value":{{"payment_id":"{id}","session_id":"s1","amount":1,"method":"{method}","status":"failed"}}}}"#
        )
    };
    let check = |config: &str, method: &str, alerts: &str, expected: &[&str]| {
        let records = [record("p1", "card"), record("p2", method)].join(",");
        let case = format!(r#"{{"case":"x","config":{config},"records":[{records}],"alerts":{alerts}}}"#);
        let results = cases::run(&plugin, &case, &topics).unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(results.len(), 1);
        let failures = &results[0].failures;
        let as_expected = failures.len() == expected.len() && failures.iter().zip(expected).all(|(f, e)| f.contains(e));
        assert!(as_expected, "{failures:?}\nis not\n{expected:?}");
    };
    check(r#"{"attempts_max":5}"#, "card", "[]", &[]);
    check(r#"{"attempts_max":5}"#, "card", r#"[{"payment_id":"p2"}]"#, &[r#"missing alert: {"payment_id":"p2"}"#]);
    check(r#"{"attempts_max":1}"#, "card", r#"[{"payment_id":"p1"}]"#, &[r#""payment_id":"p2""#]);
    check(r#"{"attempts_max":5}"#, "cheque", "[]", &["surplus dead letter"]);
}

#[test]
fn a_row_that_is_another_one_missing_or_too_many_fails() {
    let plugin = components::load(&test_sandbox().unwrap(), "payments-by-currency");
    let topics = tamis::topics::standard().unwrap();
    let check = |rows: &str, expected: &[&str]| {
        let payment = r#"{"payment_id":"p1","currency":"EUR","amount":1,"method":"card","status":"failed"}"#;
        let record = format!(r#"{{"topic":"payments","timestamp":1773842400000,"value":{payment}}}"#);
        let case = format!(r#"{{"case":"x","records":[{record}],"rows":{rows}}}"#);
        let results = cases::run(&plugin, &case, &topics).unwrap_or_else(|error| panic!("{}", error.chain()));
        let failures = &results[0].failures;
        let as_expected = failures.len() == expected.len() && failures.iter().zip(expected).all(|(f, e)| f.contains(e));
        assert!(as_expected, "{failures:?}\nis not\n{expected:?}");
    };
    let five = r#"{"window":"5m","count":1}"#;
    check(&format!(r#"[{{"window":"1m","count":1}},{five}]"#), &[]);
    check(&format!("[{five}]"), &[r#"surplus row: {"window":"1m""#]);
    let two = r#"{"window":"1m","count":2}"#;
    check(&format!("[{two},{five}]"), &[r#"missing row: {"window":"1m","count":2}"#, r#"surplus row: {"window":"1m""#]);
}
