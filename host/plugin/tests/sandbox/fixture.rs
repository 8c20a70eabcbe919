//! The hostile components, with the manifest that a test wants them to return, and the batches they are given.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, StringArray};
use serde_json::{Value, json};
use tamis_model::manifest::Limits;
use tamis_model::pseudonym::Pepper;
use tamis_model::rule::{Judged, Keyed, PoisonedSubject, Subject};
use tamis_model::strings::StringsBuf;
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};

/// Where the guests keep their manifest: a mark, then spaces.
const MARK: &[u8] = b"TAMIS TEST MANIFEST";
const MANIFEST_BYTES: usize = 4096;

pub static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| Sandbox::new(settings()).unwrap());

/// Limits that a busy machine keeps and a hostile guest reaches soon.
pub fn settings() -> SandboxSettings {
    let limits_max = Limits { deadline_ms: 10_000, memory_bytes: 64 << 20, output_bytes: 2 << 20 };
    SandboxSettings { instances_max: 32, limits_max, ..SandboxSettings::new(Pepper::new(b"pepper")) }
}

/// The bytes of `tests/plugins/<name>`.
pub fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("TAMIS_TEST_PLUGINS").expect(
        "TAMIS_TEST_PLUGINS names the folder of built test plugins; `cargo xtask test` builds them and sets it",
    );
    let path = PathBuf::from(folder).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{} (built by `cargo xtask test`): {e}", path.display()))
}

/// The component with `manifest` in the place that its `describe` returns.
pub fn describing(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let at = component.windows(MARK.len()).position(|window| window == MARK).expect("the mark is in the component");
    let place = &mut component[at..at + MANIFEST_BYTES];
    place.fill(b' ');
    place[..manifest.len()].copy_from_slice(manifest.as_bytes());
    component
}

/// The component with each `from` replaced by `to`, which is as long.
pub fn renamed(mut component: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> = component.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).collect();
    let places: Vec<usize> = places.into_iter().map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "{from} is not in the component");
    for at in places {
        component[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    component
}

pub fn limits() -> Value {
    json!({"deadline_ms": 5000, "memory_bytes": 16 << 20, "output_bytes": 1 << 20})
}

/// A deadline for guests that never end.
pub fn short_limits() -> Value {
    json!({"deadline_ms": 100, "memory_bytes": 16 << 20, "output_bytes": 1 << 20})
}

pub fn rule_manifest() -> Value {
    json!({
        "name": "hostile-rule", "version": "1.0.0", "title": "Obeys its rows", "world": "rule",
        "inputs": [{"topic": "events", "columns": [{"name": "command", "type": "text"}]}],
        "criteria": ["commanded"], "context": [{"name": "command"}], "limits": limits(),
        "config": {"schema": {"type": "object"}, "defaults": {}},
    })
}

pub fn keyed_manifest() -> Value {
    let mut manifest = rule_manifest();
    manifest["inputs"][0]["key"] = json!("command");
    manifest
}

pub fn transform_manifest() -> Value {
    json!({
        "name": "hostile-transform", "version": "1.0.0", "title": "Obeys its rows", "world": "transform",
        "inputs": [{"source": "lines", "format": "lines", "columns": [{"name": "line", "type": "text"}]}],
        "output": {"dataset": "silver.lines", "columns": [
            {"name": "line", "type": "text", "required": true}, {"name": "length", "type": "int32"},
        ]},
        "limits": limits(),
    })
}

pub fn check_manifest() -> Value {
    json!({"name": "hostile-check", "version": "1.0.0", "title": "Counts", "world": "check", "limits": limits()})
}

pub fn load(component_name: &str, manifest: &Value) -> Arc<Plugin> {
    let bytes = describing(component(component_name), &manifest.to_string());
    SANDBOX.load(&bytes).unwrap_or_else(|e| panic!("{}", e.chain()))
}

pub fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Everything that [`Keyed`] borrows. Row `i` has time `i`.
#[derive(Default)]
pub struct Rows {
    pub columns: Vec<ArrayRef>,
    pub times: Vec<i64>,
    pub groups: Vec<u32>,
    pub keys: StringsBuf,
    pub states: StringsBuf,
}

impl Rows {
    pub fn of(commands: &[&str]) -> Self {
        Self { columns: vec![text(commands)], times: (0..commands.len() as i64).collect(), ..Self::default() }
    }

    /// `groups` index `keys`, each of which has a state.
    pub fn keyed(commands: &[&str], groups: &[u32], keys: &[(&str, &str)]) -> Self {
        Self {
            groups: groups.to_vec(),
            keys: keys.iter().map(|(key, _)| key.as_bytes()).collect(),
            states: keys.iter().map(|(_, state)| state.as_bytes()).collect(),
            ..Self::of(commands)
        }
    }

    pub fn view(&self) -> Keyed<'_> {
        Keyed {
            rows: self.times.len(),
            columns: &self.columns,
            times: &self.times,
            groups: &self.groups,
            keys: self.keys.as_strings(),
            states: self.states.as_strings(),
            watermark: 77,
            ..Keyed::default()
        }
    }
}

/// The rows that have findings, ascending.
pub fn found(judged: &Judged) -> Vec<u32> {
    let mut rows: Vec<u32> = judged
        .findings
        .iter()
        .map(|finding| match finding.subject {
            Subject::Row(row) => row,
            ref other => panic!("{other:?}"),
        })
        .collect();
    rows.sort_unstable();
    rows
}

/// Row or key, reason and message of what was poisoned.
pub fn poisoned(judged: &Judged) -> Vec<(u32, &'static str, &str)> {
    let index = |subject| match subject {
        PoisonedSubject::Row(i) | PoisonedSubject::Group(i) => i,
    };
    judged.poisoned.iter().map(|p| (index(p.subject), p.reason.name(), p.message.as_str())).collect()
}
