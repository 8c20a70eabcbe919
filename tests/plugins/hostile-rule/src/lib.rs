//! A rule that obeys its rows: the first column holds commands.
//!
//! Honest rows get one finding each, whose context is the row's text; the state of a key counts its events,
//! and its wake is that count. With `"mirror":true` the rule emits the columns behind the first as it got them.

wit_bindgen::generate!({ world: "rule", path: "../../../sdk/wit" });

use std::sync::atomic::{AtomicBool, Ordering};

use tamis::plugin::types::{Batch, Column, Finding, Remembered, Severity, Subject, Value, Values, Window};

use common::{broken_text, misbehave, strings, texts};

#[path = "../../common.rs"]
mod common;

const NOT_JUDGED: u32 = u32::MAX;
const NEVER: i64 = i64::MAX;

static MIRROR: AtomicBool = AtomicBool::new(false);

struct Hostile;
export!(Hostile);

impl Guest for Hostile {
    fn describe() -> String {
        common::describe()
    }

    fn configure(config: String) -> Result<(), String> {
        MIRROR.store(config.contains("\"mirror\":true"), Ordering::Relaxed);
        common::configure(&config)
    }

    fn apply(rows: Keyed) -> Result<RuleOutcome, String> {
        let commands = texts(&rows.batch.columns[0]);
        let mut outcome = honest(&rows, &commands);
        for (row, command) in commands.iter().enumerate() {
            misbehave(command);
            if command == "refuse" {
                return Err(format!("I refuse row {row}"));
            }
            spoil(command, row as u32, &mut outcome);
        }
        Ok(outcome)
    }

    /// Each state becomes its bytes twice, unless they say otherwise.
    fn migrate(states: Strings, from_version: u32) -> Result<Strings, String> {
        let texts = texts_of(&states);
        let mut migrated = Strings { offsets: vec![0], data: Vec::new() };
        for text in &texts {
            misbehave(text);
            if text == "refuse" {
                return Err(format!("I refuse a state of version {from_version}"));
            }
            migrated.data.extend_from_slice(text.repeat(2).as_bytes());
            migrated.offsets.push(migrated.data.len() as u32);
        }
        if texts.iter().any(|text| text == "lose one") {
            migrated.offsets.pop();
        }
        Ok(migrated)
    }

    fn advance(due: Keyed) -> Result<RuleOutcome, String> {
        let mut outcome = nothing(&due);
        let keys = due.groups.as_ref().map(|groups| texts_of(&groups.keys)).unwrap_or_default();
        for (group, key) in keys.iter().enumerate() {
            misbehave(key);
            let window = Window { group: group as u32, start: 0, end: due.watermark };
            outcome.findings.push(finding(Subject::Window(window), key.clone()));
            spoil(key, group as u32, &mut outcome);
        }
        Ok(outcome)
    }
}

fn nothing(rows: &Keyed) -> RuleOutcome {
    let none = Strings { offsets: Vec::new(), data: Vec::new() };
    let states = rows.groups.as_ref().map_or(none, |groups| groups.states.clone());
    let wakes = vec![NEVER; states.offsets.len().saturating_sub(1)];
    RuleOutcome { findings: Vec::new(), emitted: None, states, wakes }
}

fn honest(rows: &Keyed, commands: &[String]) -> RuleOutcome {
    let mut outcome = nothing(rows);
    let states = rows.groups.as_ref().map(|groups| texts_of(&groups.states)).unwrap_or_default();
    let mut counts: Vec<u64> = states.iter().map(|state| state.parse().unwrap_or(0)).collect();
    for (row, command) in commands.iter().enumerate() {
        let group = rows.groups.as_ref().map(|groups| groups.members[row]);
        if group == Some(NOT_JUDGED) {
            continue;
        }
        if let Some(group) = group {
            counts[group as usize] += 1;
        }
        outcome.findings.push(finding(Subject::Row(row as u32), command.clone()));
    }
    if !counts.is_empty() {
        let states: Vec<String> = counts.iter().map(u64::to_string).collect();
        outcome.states = strings(states.iter().map(String::as_bytes));
        outcome.wakes = counts.iter().map(|count| *count as i64).collect();
    }
    if MIRROR.load(Ordering::Relaxed) {
        outcome.emitted = Some(Batch { rows: rows.batch.rows, columns: rows.batch.columns[1..].to_vec() });
    }
    outcome
}

fn finding(subject: Subject, text: String) -> Finding {
    Finding { subject, severity: Severity::High, criteria: 1, context: vec![Value::Text(text)] }
}

fn texts_of(strings: &Strings) -> Vec<String> {
    let value = |pair: &[u32]| String::from_utf8_lossy(&strings.data[pair[0] as usize..pair[1] as usize]).into_owned();
    strings.offsets.windows(2).map(value).collect()
}

/// Longer than a key's state may be, and shorter than all that a call may return.
fn lengthen_last_state(outcome: &mut RuleOutcome) {
    let end = outcome.states.data.len() + ((1 << 20) - (8 << 10));
    outcome.states.data.resize(end, b'0');
    *outcome.states.offsets.last_mut().unwrap() = end as u32;
}

/// Breaks the contract in the way that the command names.
fn spoil(command: &str, row: u32, outcome: &mut RuleOutcome) {
    let mut find = |subject| outcome.findings.push(finding(subject, command.to_owned()));
    let earlier = Remembered { group: 0, input: 0, time: 0, id: "e".to_owned(), order_id: None, customer_id: None };
    match command {
        "bad_row" => find(Subject::Row(u32::MAX)),
        "unjudged_row" => find(Subject::Row(row)),
        "bad_group" => find(Subject::Window(Window { group: 1 << 20, start: 0, end: 1 })),
        "empty_window" => find(Subject::Window(Window { group: 0, start: 5, end: 5 })),
        "unasked_memory" => find(Subject::Remembered(earlier)),
        "bad_criteria" => outcome.findings.iter_mut().for_each(|finding| finding.criteria = 1 << 31),
        "bad_context" => outcome.findings.iter_mut().for_each(|finding| finding.context.clear()),
        "bad_text" => outcome.findings.iter_mut().for_each(|f| f.context = vec![Value::Text(broken_text())]),
        "huge_output" => find_huge(outcome),
        "too_few_states" => drop(outcome.states.offsets.pop()),
        "falling_states" => outcome.states.offsets[0] = u32::MAX,
        "states_beyond" => *outcome.states.offsets.last_mut().unwrap() = u32::MAX,
        "long_state" => lengthen_last_state(outcome),
        "too_many_wakes" => outcome.wakes.push(0),
        _ => spoil_emitted(command, outcome),
    }
}

fn find_huge(outcome: &mut RuleOutcome) {
    outcome.findings.iter_mut().for_each(|f| f.context = vec![Value::Text("x".repeat(4 << 20))]);
}

fn spoil_emitted(command: &str, outcome: &mut RuleOutcome) {
    let rows = outcome.emitted.as_ref().map_or(0, |batch| batch.rows as usize);
    let mut replace = |name: &str, values: Values| {
        if let Some(column) = outcome.emitted.iter_mut().flat_map(|b| &mut b.columns).find(|c| kind(&c.values) == name)
        {
            *column = Column { values, validity: None };
        }
    };
    match command {
        "emit_wrong_type" => replace("text", Values::Int64(vec![0; rows])),
        "emit_short" => replace("int64", Values::Int64(Vec::new())),
        "emit_beyond_int32" => replace("int64", Values::Int64(vec![i64::MAX; rows])),
        "emit_bad_utf8" => replace("text", Values::Text(strings(vec![&b"a\xff"[..]; rows]))),
        "emit_bad_offsets" => {
            let mut values = strings(vec![&b"abc"[..]; rows]);
            values.offsets[rows] = 1 << 30;
            replace("text", Values::Text(values));
        }
        "emit_long_decimal" => replace("decimal", Values::Decimal(vec![1_000_000_000_000_000_000; rows])),
        "emit_bad_boolean" => replace("boolean", Values::Boolean(vec![2; rows])),
        "emit_few_columns" => outcome.emitted.iter_mut().for_each(|batch| drop(batch.columns.pop())),
        "emit_short_validity" => {
            outcome.emitted.iter_mut().flat_map(|b| &mut b.columns).for_each(|c| c.validity = Some(Vec::new()));
        }
        _ => {}
    }
}

fn kind(values: &Values) -> &'static str {
    match values {
        Values::Text(_) => "text",
        Values::Int64(_) => "int64",
        Values::Float64(_) => "float64",
        Values::Boolean(_) => "boolean",
        Values::Timestamp(_) => "timestamp",
        Values::Date(_) => "date",
        Values::Decimal(_) => "decimal",
    }
}
