//! A check that obeys its rows: the first column holds commands. Its honest result is how many rows it has seen.

wit_bindgen::generate!({ world: "check", path: "../../../sdk/wit" });

use common::{broken_text, misbehave, texts};

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

    fn observe(rows: Batch, state: Vec<u8>) -> Result<Vec<u8>, String> {
        let commands = texts(&rows.columns[0]);
        commands.iter().for_each(|command| misbehave(command));
        if commands.iter().any(|command| command == "huge_output") {
            return Ok(vec![0; 4 << 20]);
        }
        Ok((seen(&state) + u64::from(rows.rows)).to_le_bytes().to_vec())
    }

    fn finish(state: Vec<u8>) -> Result<Vec<CheckResult>, String> {
        let observed = seen(&state).to_string();
        let column = if seen(&state) == 666 { Some(broken_text()) } else { None };
        Ok(vec![CheckResult { column, passed: true, observed, expected: "any".to_owned() }])
    }
}

fn seen(state: &[u8]) -> u64 {
    state.try_into().map_or(0, u64::from_le_bytes)
}
