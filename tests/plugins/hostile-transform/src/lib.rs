//! A transform that obeys its rows: the one input column holds commands.
//!
//! `reject…` rows are rejected and `filter…` rows filtered; all others are kept, as columns `line` (the text) and
//! `length` (its bytes; null, and counted, for lines that begin with `null`).

wit_bindgen::generate!({ world: "transform", path: "../../../sdk/wit" });

use tamis::plugin::types::{Column, Rejection, Values};

use common::{broken_text, misbehave, strings, texts};

#[path = "../../common.rs"]
mod common;

struct Hostile;
export!(Hostile);

impl Guest for Hostile {
    fn describe() -> String {
        common::describe()
    }

    fn configure(config: String) -> Result<(), String> {
        common::configure(&config)
    }

    fn apply(rows: Batch) -> Result<TransformOutcome, String> {
        let lines = texts(&rows.columns[0]);
        let mut outcome = honest(&lines);
        for (row, line) in lines.iter().enumerate() {
            misbehave(line);
            if line == "refuse" {
                return Err(format!("I refuse row {row}"));
            }
            spoil(line, row as u32, &mut outcome);
        }
        Ok(outcome)
    }
}

fn honest(lines: &[String]) -> TransformOutcome {
    let (mut kept, mut rejected, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    for (row, line) in (0u32..).zip(lines) {
        match line {
            line if line.starts_with("reject") => rejected.push(Rejection { row, reason: line.clone() }),
            line if line.starts_with("filter") => filtered.push(row),
            _ => kept.push(row),
        }
    }
    let lines: Vec<&String> = kept.iter().map(|row| &lines[*row as usize]).collect();
    let mut validity = vec![0u8; lines.len().div_ceil(8)];
    for (i, _) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with("null")) {
        validity[i / 8] |= 1 << (i % 8);
    }
    let nulls = lines.iter().filter(|line| line.starts_with("null")).count() as u64;
    let text = Values::Text(strings(lines.iter().map(|line| line.as_bytes())));
    let length = Values::Int64(lines.iter().map(|line| line.len() as i64).collect());
    let columns = vec![Column { values: text, validity: None }, Column { values: length, validity: Some(validity) }];
    let rows = Batch { rows: kept.len() as u32, columns };
    TransformOutcome { rows, kept, rejected, filtered, nullified: vec![0, nulls] }
}

/// Breaks the contract in the way that the command names.
fn spoil(command: &str, row: u32, outcome: &mut TransformOutcome) {
    match command {
        "twice" => outcome.filtered.push(row),
        "beyond" => outcome.filtered.push(u32::MAX),
        "reject_lost" => outcome.rejected.clear(),
        "descending" => outcome.kept = vec![row; outcome.kept.len() + 1],
        "more_rows" => outcome.rows.rows += 1,
        "few_counts" => drop(outcome.nullified.pop()),
        "wrong_count" => outcome.nullified[0] = u64::MAX,
        "null_required" => outcome.rows.columns[0].validity = Some(vec![0; outcome.kept.len().div_ceil(8)]),
        "bad_text" => outcome.rejected.push(Rejection { row, reason: broken_text() }),
        "huge_output" => outcome.rejected.push(Rejection { row, reason: "x".repeat(4 << 20) }),
        _ => {}
    }
}
