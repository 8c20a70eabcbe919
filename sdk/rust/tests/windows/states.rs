//! States of another version and bytes that are no state.

use tamis_sdk::bindings::types::{Batch, Column, Groups, Identities, Keyed, Strings, Values};

use super::rules::{counted, distinct, joined, kept, tumbling};
use super::*;

fn due(state: &[u8]) -> Keyed {
    let strings = |bytes: &[u8]| Strings { offsets: vec![0, bytes.len() as u32], data: bytes.to_vec() };
    let none = || Column { values: Values::Text(Strings { offsets: vec![0], data: Vec::new() }), validity: None };
    Keyed {
        batch: Batch { rows: 0, columns: Vec::new() },
        input: Some(Vec::new()),
        times: Vec::new(),
        groups: Some(Groups { members: Vec::new(), keys: strings(b"k"), states: strings(state) }),
        identities: Some(Identities { id: none(), order_id: none(), customer_id: none() }),
        watermark: 0,
    }
}

fn advance<P: RulePlugin>(state: &[u8]) -> Result<(), String> {
    P::configure("{}").expect("the defaults fit").advance(&due(state)).map(drop)
}

/// A batch without rows, which reads every state for judging.
fn apply<P: RulePlugin>(state: &[u8]) -> Result<(), String> {
    let mut rows = due(state);
    let manifest: serde_json::Value = serde_json::from_str(&P::manifest()).expect("a manifest is JSON");
    for input in manifest["inputs"].as_array().into_iter().flatten() {
        for column in input["columns"].as_array().into_iter().flatten() {
            let values = match column["type"].as_str() {
                Some("decimal") => Values::Decimal(Vec::new()),
                _ => Values::Text(Strings { offsets: vec![0], data: Vec::new() }),
            };
            rows.batch.columns.push(Column { values, validity: None });
        }
    }
    P::configure("{}").expect("the defaults fit").apply(&rows).map(drop)
}

#[test]
fn a_state_that_keeps_something_else_is_refused() {
    // Version, time 0, one event without marks that keeps the byte 7: no row begins so.
    let state = [1, 0, 0, 0, 1, 7];
    assert_eq!(advance::<kept::Plugin>(&state), Ok(()));
    assert_eq!(apply::<kept::Plugin>(&state), Err("the state of key 0 is no state of version 1".to_owned()));
    assert_eq!(apply::<distinct::Plugin>(&state), Ok(()));
    // A payment whose id is null.
    let state = [1, 0, 0, 0, 0, 0, 2, 0, 2];
    assert_eq!(apply::<joined::Plugin>(&state), Err("the state of key 0 is no state of version 1".to_owned()));
    let state = [1, 0, 0, 2, b'p', 0, 0, 2, 0, 2];
    assert_eq!(apply::<joined::Plugin>(&state), Ok(()));
}

#[test]
fn a_state_of_another_version_is_refused_by_its_version() {
    let error = "the state of key 0 has version 2, expected version 1";
    assert_eq!(advance::<counted::Plugin>(&[2, 0]), Err(error.to_owned()));
    assert_eq!(advance::<distinct::Plugin>(&[2, 0]), Err(error.to_owned()));
    assert_eq!(advance::<tumbling::Plugin>(&[2, 0]), Err(error.to_owned()));
    assert_eq!(advance::<joined::Plugin>(&[2, 0]), Err(error.to_owned()));
}

#[test]
fn a_torn_state_is_refused() {
    let mut run = Run::<kept::Plugin>::new("{}");
    run.batch(&[Record::new(1_000_000, "p").with("session", "s")]);
    let state = run.states().next().unwrap().1.to_vec();
    assert_eq!(advance::<kept::Plugin>(&state), Ok(()));
    for len in 1..state.len() {
        let torn = advance::<kept::Plugin>(&state[..len]);
        // What ends before the first event is a state without events.
        assert!(torn.is_err() || len == 4, "{len} of {} bytes", state.len());
    }
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(mut state: Vec<u8>, ours: bool) {
        if let (true, Some(version)) = (ours, state.first_mut()) {
            *version = 1;
        }
        let _ = advance::<counted::Plugin>(&state);
        let _ = advance::<kept::Plugin>(&state);
        let _ = advance::<distinct::Plugin>(&state);
        let _ = advance::<tumbling::Plugin>(&state);
        let _ = advance::<joined::Plugin>(&state);
        let _ = apply::<kept::Plugin>(&state);
        let _ = apply::<joined::Plugin>(&state);
    }
}
