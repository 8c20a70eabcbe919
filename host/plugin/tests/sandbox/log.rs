//! What guests say reaches the log: named, but not without bound.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tamis_model::rule::Rule;

use crate::fixture::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged while a rule judges one row.
fn logged(command: &str) -> Vec<String> {
    let mut rule = load("hostile-rule", &rule_manifest()).rule("{}").unwrap();
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || rule.apply(&Rows::of(&[command]).view()).unwrap());
    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_message_of_a_panic_survives_with_the_plugin_s_name() {
    let lines = logged("panic");
    let panicked = |line: &String| line.contains("ERROR") && line.contains("hostile-rule") && line.contains("panicked");
    assert!(lines.iter().any(panicked), "{lines:#?}");
}

#[test]
fn a_flood_is_stemmed() {
    let lines = logged("log_flood");
    assert!(lines.iter().any(|line| line.contains("message 0")), "{lines:#?}");
    // 20 a second; 100 000 calls take some seconds at most.
    assert!(lines.len() < 1000, "{} lines", lines.len());
}
