//! What a process was doing when it died, by what it left on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tamis_connectors::FileCheckpoints;
use tamis_engine::CheckpointStore;

use super::sql::Database;

/// What `tamis serve` can be doing with its stream.
pub const STREAM: [&str; 4] = ["starting", "judging", "staging", "settling"];
/// What `tamis run nightly` can be doing.
pub const NIGHT: [&str; 6] = ["starting", "ingest", "silver", "gold", "gate", "publish"];
const GOLD_TABLES: usize = 5;

/// What the stream was doing. Empty when everything that it did is in its last checkpoint, or when that cannot be told at the moment.
///
/// - `judging`: a topic has records behind the checkpoint.
/// - `staging`: a log of the lake has lines that the checkpoint does not know.
/// - `settling`: lines of a log are dealt out into files, not all of which are visible yet.
pub fn of_stream(home: &Path) -> BTreeSet<&'static str> {
    let mut phases = BTreeSet::new();
    let checkpoints = FileCheckpoints::open(home.join("checkpoints/streams"));
    // A process at work may have replaced it meanwhile.
    let Ok(Some(checkpoint)) = checkpoints.and_then(|mut checkpoints| checkpoints.latest()) else { return phases };
    if has_more_records(home, &checkpoint.staged["records"]["topics"]) {
        phases.insert("judging");
    }
    for (folder, staged) in [
        ("alerts", &checkpoint.staged["alerts/lake"]),
        ("aggregates", &checkpoint.staged["aggregates"]["aggregates"]),
        ("shadow_aggregates", &checkpoint.staged["aggregates"]["shadow_aggregates"]),
    ] {
        let staging = home.join("lake").join(folder).join(".staged/streams");
        for name in names(&staging) {
            match name.rsplit_once('.') {
                Some((_, "dealt")) => {}
                Some((log, "lines")) => {
                    let bytes = fs::metadata(staging.join(&name)).map_or(0, |file| file.len());
                    if log.parse().ok() != staged["log"].as_u64() || bytes > staged["bytes"].as_u64().unwrap_or(0) {
                        phases.insert("staging");
                    }
                }
                _ => {
                    phases.insert("settling");
                }
            }
        }
    }
    phases
}

fn has_more_records(home: &Path, staged: &Value) -> bool {
    let outputs = names(&home.join("topics")).into_iter().filter(|topic| topic != "payments");
    outputs.into_iter().any(|topic| {
        let segment = home.join("topics").join(&topic).join("0/00000000000000000000.jsonl");
        let bytes = fs::metadata(segment).map_or(0, |file| file.len());
        bytes > staged[&topic]["0"]["bytes"].as_u64().unwrap_or(0)
    })
}

/// What the night was doing that came after the run `before`; none when it had ended.
pub fn of_night(home: &Path, before: &Option<String>) -> Option<&'static str> {
    let Some((run, state)) = last_night(home).filter(|(run, _)| Some(run) != before.as_ref()) else {
        return Some("starting");
    };
    if state != "running" {
        return None;
    }
    let staged = names(&home.join("lake/.staging"));
    let of = |layer: &str| staged.iter().filter(|name| name.starts_with(layer)).count();
    let checked = Database::open(&home.join("warehouse.db"))
        .texts(&format!("SELECT run_id FROM quality_results WHERE run_id = '{run}' LIMIT 1"));
    Some(match (of("silver."), of("gold.")) {
        _ if !checked.is_empty() => "publish",
        (_, GOLD_TABLES..) => "gate",
        (_, 1..) => "gold",
        (1.., 0) => "silver",
        (0, 0) => "ingest",
    })
}

/// The newest nightly run, and how it stands.
pub fn last_night(home: &Path) -> Option<(String, String)> {
    let select = "SELECT id || ' ' || state FROM runs WHERE job = 'nightly' ORDER BY id DESC LIMIT 1";
    let run = Database::open(&home.join("tamis.db")).texts(select).pop()?;
    run.split_once(' ').map(|(id, state)| (id.to_owned(), state.to_owned()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
