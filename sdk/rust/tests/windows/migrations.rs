//! States of a former version become those of this one, or are refused.

use serde_json::json;
use tamis_sdk::bindings::types::Strings;

use super::rules::{counted, joined, tumbling, tumbling_v3, volumes, volumes_v2};
use super::*;

fn event(time: i64, session: &str, card: &str) -> Record {
    Record::new(time, time).with("session", session).with("card", card)
}

fn states(states: &[&[u8]]) -> Strings {
    let mut strings = Strings { offsets: vec![0], data: Vec::new() };
    for state in states {
        strings.data.extend_from_slice(state);
        strings.offsets.push(strings.data.len() as u32);
    }
    strings
}

fn migrate<P: RulePlugin>(from_version: u32, old: &[&[u8]]) -> Result<Strings, String> {
    P::configure("{}").expect("the defaults fit").migrate(&states(old), from_version)
}

#[test]
fn the_windows_that_are_open_go_on_with_their_tallies_converted() {
    let mut run = Run::<tumbling::Plugin>::new("{}");
    let before = [event(1, "s", "c1"), event(2, "s", "c2"), event(5_001, "s", "c1"), event(3, "t", "c1")];
    assert_eq!(run.batch(&before), []);
    let mut run = run.migrate::<tumbling_v3::Plugin>(r#"{"count_max": 0}"#).unwrap();
    run.batch(&[event(4, "s", "c1")]);
    let fired = run.finish();
    assert_eq!(ids(&fired), BTreeSet::from(["s|0", "s|5000", "t|0"].map(str::to_owned)));
    let tallies: Vec<_> = ["count", "matching", "is_complete"].map(|name| context(&fired, name)["s|0"].clone()).into();
    assert_eq!(tallies, ["Value::Int64(3)", "Value::Int64(2)", "Value::Boolean(true)"]);
    assert_eq!(run.states().count(), 0);
}

#[test]
fn each_former_version_has_its_own_way() {
    // Version, start 0, length 5 000, and a tally of two numbers.
    let state = |version| [version, 0, 0x88, 0x27, 2, 1];
    assert_eq!(migrate::<tumbling_v3::Plugin>(1, &[&state(1)]), Ok(states(&[&[3, 0, 0x88, 0x27, 1, 2, 1]])));
    assert_eq!(migrate::<tumbling_v3::Plugin>(2, &[&state(2)]), Ok(states(&[&[3, 0, 0x88, 0x27, 1, 3, 0]])));
    assert_eq!(migrate::<tumbling_v3::Plugin>(2, &[&[], &state(2), &[]]).unwrap().offsets, [0, 0, 7, 7]);
    assert_eq!(migrate::<tumbling_v3::Plugin>(1, &[]), Ok(states(&[])));
}

#[test]
fn what_cannot_be_migrated_is_refused_by_key_and_version() {
    let check = |from_version, old: &[&[u8]], expected: &str| {
        assert_eq!(migrate::<tumbling_v3::Plugin>(from_version, old).unwrap_err(), expected);
    };
    let state: &[u8] = &[1, 0, 0x88, 0x27, 2, 1];
    check(1, &[state, &[1, 0]], "the state of key 1 is no state of version 1");
    check(1, &[state, state, &[2, 0, 0x88, 0x27, 2, 1]], "the state of key 2 has version 2, expected version 1");
    check(1, &[&[1, 0, 0, 2, 1]], "the state of key 0 is no state of version 1");
    check(3, &[state], "it does not read states of version 3");
    check(0, &[state], "it does not read states of version 0");
    check(257, &[state], "it does not read states of version 257");
    assert_eq!(migrate::<counted::Plugin>(1, &[]).unwrap_err(), "it does not read states of version 1");
    assert_eq!(migrate::<joined::Plugin>(2, &[]).unwrap_err(), "it does not read states of version 2");
}

#[test]
fn windows_of_lengths_that_there_are_no_more_are_forgotten() {
    let mut run = Run::<volumes::Plugin>::new("{}");
    run.batch(&[event(1, "s", "c1"), event(2, "s", "c1")]);
    let mut run = run.migrate::<volumes_v2::Plugin>("{}").unwrap();
    run.batch(&[event(3, "s", "c1")]);
    run.finish();
    let rows: Vec<_> = run.rows().iter().map(|row| (row["window"].clone(), row["count"].clone())).collect();
    assert_eq!(rows, [(json!("20s"), json!(3)), (json!("10s"), json!(1))]);
}

#[test]
fn the_manifest_names_the_versions() {
    let versions =
        |manifest: &serde_json::Value| (manifest["state_version"].clone(), manifest["migrates_from"].clone());
    assert_eq!(versions(Run::<tumbling::Plugin>::new("{}").manifest()), (json!(1), json!([])));
    assert_eq!(versions(Run::<tumbling_v3::Plugin>::new("{}").manifest()), (json!(3), json!([1, 2])));
    assert_eq!(versions(Run::<volumes_v2::Plugin>::new("{}").manifest()), (json!(2), json!([1])));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(mut state: Vec<u8>, ours: bool) {
        if let (true, Some(version)) = (ours, state.first_mut()) {
            *version = 1;
        }
        let _ = migrate::<tumbling_v3::Plugin>(1, &[&state]);
        let _ = migrate::<volumes_v2::Plugin>(1, &[&state]);
    }
}
