//! A miniature host.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value as Json};

use super::columns::{column, rows, strings, text_column};
use crate::bindings::types::{Batch, Finding, Groups, Identities, Keyed, RuleOutcome, Severity, Subject, Value};
use crate::rule::{NEVER, NOT_JUDGED, RulePlugin};

/// How far the watermark stays behind the newest event, in milliseconds.
const LATENESS_MS: i64 = 10_000;

/// A record of one topic, as a test writes it.
#[derive(Clone, Debug)]
pub struct Record {
    input: u8,
    time: i64,
    id: String,
    order_id: Option<String>,
    customer_id: Option<String>,
    values: Map<String, Json>,
}

impl Record {
    /// A record of the first input with a time and an id, and every column null.
    pub fn new(time: i64, id: impl fmt::Display) -> Self {
        Self { input: 0, time, id: id.to_string(), order_id: None, customer_id: None, values: Map::new() }
    }

    /// A record of another input.
    #[must_use]
    pub fn of_input(mut self, input: u8) -> Self {
        self.input = input;
        self
    }

    /// With a value in a column; amounts in cents, dates in days, instants in microseconds.
    #[must_use]
    pub fn with(mut self, column: &str, value: impl Into<Json>) -> Self {
        self.values.insert(column.to_owned(), value.into());
        self
    }

    /// With the ids by which alerts name it.
    #[must_use]
    pub fn of(mut self, order_id: Option<&str>, customer_id: Option<&str>) -> Self {
        self.order_id = order_id.map(str::to_owned);
        self.customer_id = customer_id.map(str::to_owned);
        self
    }

    /// Its event time.
    pub fn time(&self) -> i64 {
        self.time
    }

    fn value(&self, column: &str) -> Option<&Json> {
        self.values.get(column).filter(|value| !value.is_null())
    }
}

/// A finding with its names.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// The declared input that the event is from.
    pub input: u8,
    /// The event's id, or `key|start` of a window.
    pub id: String,
    /// The event's order.
    pub order_id: Option<String>,
    /// The event's customer.
    pub customer_id: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The criteria that hold.
    pub criteria: Vec<String>,
    /// The context that the finding carries, by name; the host adds columns of the row and settings.
    pub context: BTreeMap<String, Value>,
}

/// A plugin at work on one partition: what its host would do, with nothing around it.
#[derive(Debug)]
pub struct Run<P> {
    plugin: P,
    manifest: Json,
    states: BTreeMap<String, (Vec<u8>, i64)>,
    newest: Option<i64>,
    emitted: Vec<Json>,
    /// Whether nothing may be left of a key at its wake: all wakes are of this configuration, whose manifest says so.
    expires: bool,
}

impl<P: RulePlugin> Run<P> {
    /// A plugin with a configuration. Panics when the plugin refuses it.
    pub fn new(config: &str) -> Self {
        let plugin = P::configure(config).expect("the configuration fits");
        let manifest: Json = serde_json::from_str(&plugin.describe()).expect("a manifest is JSON");
        let expires = manifest["expires"] == true;
        Self { plugin, manifest, states: BTreeMap::new(), newest: None, emitted: Vec::new(), expires }
    }

    /// Another version of the plugin with the states of this one, migrated. `Err` is what the plugin says when it does not.
    pub fn migrate<Q: RulePlugin>(self, config: &str) -> Result<Run<Q>, String> {
        let mut next = Run::<Q>::new(config);
        let from_version = self.manifest["state_version"].as_u64().and_then(|version| version.try_into().ok());
        let states = strings(self.states.values().map(|(state, _)| &state[..]));
        let migrated = next.plugin.migrate(&states, from_version.expect("a manifest has a state version"))?;
        assert_eq!(migrated.offsets.len(), states.offsets.len(), "one state for each key");
        let bounds = migrated.offsets.windows(2).map(|bounds| bounds[0] as usize..bounds[1] as usize);
        let states = self.states.into_iter().zip(bounds);
        let migrated = states.map(|((key, (_, wake)), bounds)| (key, (migrated.data[bounds].to_vec(), wake)));
        next.states = migrated.filter(|(_, (state, _))| !state.is_empty()).collect();
        (next.newest, next.emitted, next.expires) = (self.newest, self.emitted, false);
        Ok(next)
    }

    /// Changes the configuration; state stays.
    pub fn configure(&mut self, config: &str) {
        self.plugin = P::configure(config).expect("the configuration fits");
        self.manifest = serde_json::from_str(&self.plugin.describe()).expect("a manifest is JSON");
        self.expires = false;
    }

    /// The manifest.
    pub fn manifest(&self) -> &Json {
        &self.manifest
    }

    /// The state of each key that has one.
    pub fn states(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.states.iter().map(|(key, (state, _))| (key.as_str(), &state[..]))
    }

    /// The rows emitted so far; amounts in cents, dates in days, instants in microseconds.
    pub fn rows(&self) -> &[Json] {
        &self.emitted
    }

    /// Applies one batch, then sees due keys again. Panics when the plugin returns an error or breaks its contract.
    pub fn batch(&mut self, records: &[Record]) -> Vec<Fired> {
        let mut keys = Vec::<String>::new();
        let mut members = Vec::with_capacity(records.len());
        // A plugin is told the watermark that held before the batch.
        let watermark = self.watermark();
        for record in records {
            members.push(match self.key_to_judge(record) {
                Some(key) => match keys.iter().position(|known| *known == key) {
                    Some(group) => group as u32,
                    None => {
                        keys.push(key);
                        keys.len() as u32 - 1
                    }
                },
                None => NOT_JUDGED,
            });
        }
        let mut keyed = self.keyed(records, members, &keys);
        keyed.watermark = watermark;
        let outcome = self.plugin.apply(&keyed).expect("the plugin judges the batch");
        let mut fired = self.take(outcome, records, &keys);
        fired.extend(self.advance(self.watermark()));
        fired
    }

    /// Applies records in batches of the given size, then ends the input.
    pub fn all(&mut self, records: &[Record], batch_size: usize) -> Vec<Fired> {
        let mut fired: Vec<_> = records.chunks(batch_size).flat_map(|batch| self.batch(batch)).collect();
        fired.extend(self.finish());
        fired
    }

    /// Ends the input: every window closes.
    pub fn finish(&mut self) -> Vec<Fired> {
        self.advance(i64::MAX - 1)
    }

    /// Moves the watermark without records. Panics when something is left of a key that has expired.
    pub fn advance(&mut self, watermark: i64) -> Vec<Fired> {
        let due = self.states.iter().filter(|(_, (_, wake))| *wake <= watermark);
        let keys: Vec<String> = due.map(|(key, _)| key.clone()).collect();
        let mut keyed = self.keyed(&[], Vec::new(), &keys);
        keyed.watermark = watermark;
        let outcome = self.plugin.advance(&keyed).expect("the plugin advances");
        let fired = self.take(outcome, &[], &keys);
        if self.expires {
            assert_eq!(fired, [], "a key that expires has nothing more to say");
            assert!(!keys.iter().any(|key| self.states.contains_key(key)), "nothing is left of a key that has expired");
        }
        fired
    }

    fn watermark(&self) -> i64 {
        self.newest.map_or(i64::MIN, |newest| newest.saturating_sub(LATENESS_MS))
    }

    /// The key of a record, unless it is not judged; moves the watermark.
    fn key_to_judge(&mut self, record: &Record) -> Option<String> {
        let behind_ms = u64::try_from(self.watermark().saturating_sub(record.time)).unwrap_or(0);
        self.newest = Some(self.newest.map_or(record.time, |newest| newest.max(record.time)));
        let behind_ms_max = match self.manifest["late"].as_str() {
            Some("ignore") => 0,
            _ => self.manifest["late_ms_max"].as_u64().unwrap_or(u64::MAX),
        };
        if behind_ms > behind_ms_max {
            return None;
        }
        match self.manifest["inputs"][usize::from(record.input)]["key"].as_str()? {
            "all" => Some("all".to_owned()),
            column => record.value(column).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        }
    }

    fn keyed(&self, records: &[Record], members: Vec<u32>, keys: &[String]) -> Keyed {
        let mut columns = Vec::new();
        let inputs = self.manifest["inputs"].as_array().map_or(&[][..], Vec::as_slice);
        for (input, spec) in inputs.iter().enumerate() {
            for declared in spec["columns"].as_array().into_iter().flatten() {
                let (name, column_type) =
                    (declared["name"].as_str().unwrap_or_default(), declared["type"].as_str().unwrap_or_default());
                let of_input = |record: &Record| usize::from(record.input) == input;
                let values: Vec<_> = records.iter().map(|r| if of_input(r) { r.value(name) } else { None }).collect();
                columns.push(column(column_type, &values));
            }
        }
        let ids = |id: fn(&Record) -> Option<&str>| text_column(&records.iter().map(id).collect::<Vec<_>>());
        let states = keys.iter().map(|key| self.states.get(key).map_or(&[][..], |(state, _)| state));
        Keyed {
            batch: Batch { rows: records.len() as u32, columns },
            input: (inputs.len() > 1).then(|| records.iter().map(|record| record.input).collect()),
            times: records.iter().map(|record| record.time).collect(),
            groups: inputs.iter().any(|input| !input["key"].is_null()).then(|| Groups {
                members,
                keys: strings(keys.iter().map(String::as_bytes)),
                states: strings(states),
            }),
            identities: self.manifest["remembers"].as_bool().unwrap_or_default().then(|| Identities {
                id: ids(|record| Some(&record.id)),
                order_id: ids(|record| record.order_id.as_deref()),
                customer_id: ids(|record| record.customer_id.as_deref()),
            }),
            watermark: self.watermark(),
        }
    }

    fn take(&mut self, outcome: RuleOutcome, records: &[Record], keys: &[String]) -> Vec<Fired> {
        let RuleOutcome { findings, emitted, states, wakes } = outcome;
        let columns = self.manifest["output"]["columns"].as_array().map_or(&[][..], Vec::as_slice);
        self.emitted.extend(emitted.iter().flat_map(|batch| rows(batch, columns)));
        assert_eq!(
            (states.offsets.len(), wakes.len()),
            (keys.len() + 1, keys.len()),
            "one state and one wake for each key"
        );
        for (group, key) in keys.iter().enumerate() {
            let state = &states.data[states.offsets[group] as usize..states.offsets[group + 1] as usize];
            match state {
                [] => drop(self.states.remove(key)),
                state => drop(self.states.insert(key.clone(), (state.to_vec(), wakes[group]))),
            }
            assert!(!state.is_empty() || wakes[group] == NEVER, "a key without state needs no wake");
        }
        findings.into_iter().map(|finding| self.named(finding, records, keys)).collect()
    }

    fn named(&self, finding: Finding, records: &[Record], keys: &[String]) -> Fired {
        let (input, id, order_id, customer_id) = match finding.subject {
            Subject::Row(row) => {
                let record = &records[row as usize];
                (record.input, record.id.clone(), record.order_id.clone(), record.customer_id.clone())
            }
            Subject::Remembered(event) => (event.input, event.id, event.order_id, event.customer_id),
            Subject::Window(window) => (0, format!("{}|{}", keys[window.group as usize], window.start), None, None),
        };
        let names = |list: &str| self.manifest[list].as_array().cloned().unwrap_or_default();
        let criteria = names("criteria").into_iter().enumerate().filter(|(i, _)| finding.criteria >> i & 1 == 1);
        let criteria = criteria.map(|(_, name)| name.as_str().unwrap_or_default().to_owned()).collect();
        let mut columns = names("context");
        columns.retain(|column| column["from"] == "finding");
        assert_eq!(columns.len(), finding.context.len(), "one value for each context column that a finding carries");
        let name = |column: &Json| column["name"].as_str().unwrap_or_default().to_owned();
        let context = columns.iter().map(name).zip(finding.context).collect();
        Fired { input, id, order_id, customer_id, severity: finding.severity, criteria, context }
    }
}
