//! Small native rules: one without state, one over a sliding window, one over tumbling windows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Int64Array, StringArray, TimestampMicrosecondArray};
use tamis_engine::RulePlan;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::{Input, Late, Manifest};
use tamis_model::rule::{
    FailureReason, Finding, Judged, Keyed, NEVER, Poisoned, PoisonedSubject, Remembered, Rule, Severity, Subject, Value,
};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::{Millis, window_start};
use tamis_model::{Error, Result};

/// A configuration that is one number.
fn number(config: &str) -> Result<i64> {
    config.parse().map_err(|_| Error::invalid("configure", "a test rule", format!("{config} is no number")))
}

/// Fires for amounts above a limit in hundredths. Fails on an amount of 6.66.
struct HighAmount(i64);

impl Rule for HighAmount {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.0 = number(config)?;
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        assert!(rows.groups.is_empty() && rows.keys.is_empty() && rows.input.is_empty());
        let amounts = rows.columns[0].as_primitive::<Decimal128Type>();
        assert_eq!(amounts.values().len(), rows.rows);
        let mut judged = Judged::default();
        for (row, amount) in amounts.values().iter().enumerate() {
            let amount = *amount as i64;
            if amount == 666 {
                judged.poisoned.push(Poisoned {
                    subject: PoisonedSubject::Row(row as u32),
                    reason: FailureReason::Trap,
                    message: "cannot bear it".to_owned(),
                });
            } else if amount > self.0 {
                judged.findings.push(Finding {
                    subject: Subject::Row(row as u32),
                    severity: if amount > 2 * self.0 { Severity::Critical } else { Severity::High },
                    criteria: 1,
                    context: vec![],
                });
            }
        }
        Ok(judged)
    }

    fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
        panic!("a rule without a key has no timers");
    }
}

/// An event in the state of [`Burst`].
#[derive(Clone)]
struct Seen {
    time: Millis,
    fired: bool,
    id: String,
}

/// Fires for the events with more than `limit` events of their key in the `length` before them.
struct Burst {
    limit: usize,
    length: Millis,
}

impl Burst {
    fn decode(state: &[u8]) -> Vec<Seen> {
        let text = std::str::from_utf8(state).unwrap();
        let seen = |line: &str| {
            let (time, rest) = line.split_once(' ').unwrap();
            let (fired, id) = rest.split_once(' ').unwrap();
            Seen { time: time.parse().unwrap(), fired: fired == "1", id: id.to_owned() }
        };
        text.lines().map(seen).collect()
    }

    fn encode(events: &[Seen]) -> String {
        events.iter().map(|e| format!("{} {} {}\n", e.time, u8::from(e.fired), e.id)).collect()
    }

    /// Judges the events that `arrived` touches.
    fn judge(&self, events: &mut [Seen], arrived: Millis, mut fire: impl FnMut(&Seen)) {
        let times: Vec<_> = events.iter().map(|event| event.time).collect();
        let count = |end: Millis| times.iter().filter(|time| **time > end - self.length && **time <= end).count();
        for event in events.iter_mut().filter(|e| e.time >= arrived && e.time < arrived + self.length && !e.fired) {
            if count(event.time) > self.limit {
                event.fired = true;
                fire(event);
            }
        }
    }

    fn finish(&self, events: &[Seen], judged: &mut Judged) {
        judged.states.push(Self::encode(events).as_bytes());
        judged.wakes.push(events.iter().map(|event| event.time + self.length).max().unwrap_or(NEVER));
    }

    fn live(&self, state: &[u8], watermark: Millis) -> Vec<Seen> {
        Self::decode(state).into_iter().filter(|event| event.time > watermark - self.length).collect()
    }
}

impl Rule for Burst {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.limit = number(config)? as usize;
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let [ids, ..] = rows.identities.unwrap();
        let ids = ids.as_string::<i32>();
        let mut judged = Judged::default();
        for group in 0..rows.keys.len() {
            let mut events = self.live(rows.states.get(group), rows.watermark);
            for row in (0..rows.rows).filter(|row| rows.groups[*row] == group as u32) {
                let time = rows.times[row];
                assert!(time >= rows.watermark, "an event in time is not before the watermark");
                events.push(Seen { time, fired: false, id: ids.value(row).to_owned() });
                self.judge(&mut events, time, |event| {
                    judged.findings.push(Finding {
                        subject: Subject::Remembered(Remembered {
                            group: group as u32,
                            input: 0,
                            time: event.time,
                            id: event.id.clone(),
                            order_id: None,
                            customer_id: Some("c".to_owned()),
                        }),
                        severity: Severity::Critical,
                        criteria: 1,
                        context: vec![],
                    });
                });
            }
            self.finish(&events, &mut judged);
        }
        Ok(judged)
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        let mut judged = Judged::default();
        for group in 0..due.keys.len() {
            let events = self.live(due.states.get(group), due.watermark);
            self.finish(&events, &mut judged);
        }
        Ok(judged)
    }
}

/// Fires for tumbling windows with more than `limit` events of a key. Fails on closing a window of key `poison`.
struct Rate {
    limit: i64,
    length: Millis,
    /// Whether it emits a row for each window.
    emits: bool,
}

impl Rate {
    fn decode(state: &[u8]) -> Vec<(Millis, i64)> {
        let numbers: Vec<i64> = state.chunks(8).map(|n| i64::from_le_bytes(n.try_into().unwrap())).collect();
        numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()
    }

    fn finish(&self, windows: &[(Millis, i64)], judged: &mut Judged) {
        let state: Vec<u8> = windows.iter().flat_map(|(s, n)| [s.to_le_bytes(), n.to_le_bytes()].concat()).collect();
        judged.states.push(&state);
        judged.wakes.push(windows.iter().map(|(start, _)| start + self.length).min().unwrap_or(NEVER));
    }
}

impl Rule for Rate {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.limit = number(config)?;
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let mut judged = Judged::default();
        for group in 0..rows.keys.len() {
            let mut windows = Self::decode(rows.states.get(group));
            for row in (0..rows.rows).filter(|row| rows.groups[*row] == group as u32) {
                let start = window_start(rows.times[row], self.length);
                assert!(start + self.length > rows.watermark, "an event in time is not in a closed window");
                match windows.iter_mut().find(|window| window.0 == start) {
                    Some(window) => window.1 += 1,
                    None => windows.push((start, 1)),
                }
            }
            self.finish(&windows, &mut judged);
        }
        Ok(judged)
    }

    /// In version 1 a window counted in tens.
    fn migrate(&mut self, states: Strings<'_>, from_version: u32) -> Result<StringsBuf> {
        assert_eq!(from_version, 1);
        let mut migrated = StringsBuf::default();
        for i in 0..states.len() {
            let windows = Self::decode(states.get(i)).into_iter();
            let bytes = windows.flat_map(|(start, tens)| [start.to_le_bytes(), (10 * tens).to_le_bytes()].concat());
            migrated.push(&bytes.collect::<Vec<_>>());
        }
        Ok(migrated)
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        let mut rows: Vec<(Millis, i64)> = Vec::new();
        assert!(due.rows == 0 && due.columns.iter().all(|column| column.is_empty()));
        let mut judged = Judged::default();
        for group in 0..due.keys.len() {
            if due.keys.get(group) == b"poison" {
                judged.poisoned.push(Poisoned {
                    subject: PoisonedSubject::Group(group as u32),
                    reason: FailureReason::Deadline,
                    message: "took too long".to_owned(),
                });
                judged.states.push(due.states.get(group));
                judged.wakes.push(due.watermark);
                continue;
            }
            let (closed, open): (Vec<_>, Vec<_>) =
                Self::decode(due.states.get(group)).into_iter().partition(|(s, _)| s + self.length <= due.watermark);
            rows.extend(closed.iter().copied());
            for (start, count) in closed.into_iter().filter(|(_, count)| *count > self.limit) {
                judged.findings.push(Finding {
                    subject: Subject::Window { group: group as u32, start, end: start + self.length },
                    severity: Severity::Warning,
                    criteria: 1,
                    context: vec![Value::Int64(count), Value::Timestamp(start)],
                });
            }
            self.finish(&open, &mut judged);
        }
        if self.emits {
            judged.emitted = vec![
                Arc::new(StringArray::from(vec!["1m"; rows.len()])),
                Arc::new(rows.iter().map(|(start, _)| Some(start * 1000)).collect::<TimestampMicrosecondArray>()),
                Arc::new(rows.iter().map(|(_, count)| Some(*count)).collect::<Int64Array>()),
            ];
        }
        Ok(judged)
    }
}

pub fn manifest(name: &str, column: &str, key: Option<&str>, context: &[&str]) -> Manifest {
    let from = if key.is_some() { "finding" } else { "row" };
    let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
        "name": name, "version": "1.2.3", "title": name, "world": "rule", "criteria": [name],
        "context": context.iter().map(|name| serde_json::json!({ "name": name, "from": from })).collect::<Vec<_>>(),
    }))
    .unwrap();
    let column_type = if column == "amount" { "decimal" } else { "text" };
    let column = serde_json::json!({ "name": column, "type": column_type });
    manifest.inputs = vec![Input {
        topic: Some("payments".to_owned()),
        source: None,
        format: None,
        columns: vec![serde_json::from_value(column).unwrap()],
        key: key.map(str::to_owned),
    }];
    manifest
}

/// A rule named as its plugin, active, with the configuration `config`.
pub fn plan<R: Rule + 'static>(
    manifest: Manifest,
    config: &str,
    make: impl Fn() -> R + Send + Sync + 'static,
) -> RulePlan {
    let plugin = PluginRef { name: manifest.name.clone(), version: manifest.version.clone(), sha256: "5a".repeat(32) };
    let make = move |config: &str| -> Result<Box<dyn Rule>> {
        let mut rule = make();
        rule.configure(config)?;
        Ok(Box::new(rule))
    };
    let name = manifest.name.clone();
    RulePlan {
        route: "alerts_payments".to_owned(),
        ..RulePlan::new(name, plugin, Arc::new(manifest), config.to_owned(), Arc::new(make))
    }
}

/// Amounts above `limit` hundredths.
pub fn high_amount(limit: i64) -> RulePlan {
    plan(manifest("high-amount", "amount", None, &["amount"]), &limit.to_string(), || HighAmount(0))
}

/// More than `limit` payments of a session within `length`.
pub fn burst(limit: usize, length: Millis) -> RulePlan {
    let mut manifest = manifest("burst", "session_id", Some("session_id"), &[]);
    manifest.late = Late::Ignore;
    manifest.remembers = true;
    manifest.expires = true;
    plan(manifest, &limit.to_string(), move || Burst { limit: 0, length })
}

/// More than `limit` payments of a key in a window of `length`.
pub fn rate(key: &str, limit: i64, length: Millis) -> RulePlan {
    let mut manifest = manifest("rate", "session_id", Some(key), &["count", "window_start"]);
    manifest.late = Late::Ignore;
    plan(manifest, &limit.to_string(), move || Rate { limit: 0, length, emits: false })
}

/// Emits how many payments of a session a minute has.
pub fn volume() -> RulePlan {
    let mut manifest = manifest("volume", "session_id", Some("session_id"), &[]);
    manifest.late = Late::Ignore;
    let output = serde_json::json!({"dataset": "volumes", "columns": [
        {"name": "window", "type": "text"}, {"name": "window_start", "type": "timestamp"}, {"name": "count", "type": "int64"},
    ]});
    manifest.output = serde_json::from_value(output).unwrap();
    plan(manifest, "1000000", || Rate { limit: 0, length: 60_000, emits: true })
}
