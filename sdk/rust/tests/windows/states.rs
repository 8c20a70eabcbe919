//! How states are written, states of another version, and bytes that are no state.

use serde_json::Value as Json;
use tamis_sdk::bindings::types::{Batch, Column, Groups, Identities, Keyed, Strings, Values};

use super::rules::{counted, crossed, distinct, joined, joined_any, kept, tumbling, tumbling_v3, volumes, volumes_v2};
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
    let manifest: Json = serde_json::from_str(&P::manifest()).expect("a manifest is JSON");
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

/// Which states a build can take over goes by the shape alone. So whoever changes the bytes of a kind of window
/// gives it another name in its shape.
#[test]
fn a_shape_stands_for_the_bytes_that_are_written() {
    fn check<P: RulePlugin>(shape: &str, expected: &[u8]) {
        let mut run = Run::<P>::new("{}");
        run.batch(&[
            Record::new(100, "p1").of(Some("o1"), None).with("session", "s").with("card", "c1").with("amount", 250),
            Record::new(70, "p2").with("session", "s").with("card", Json::Null).with("amount", Json::Null),
        ]);
        let states: Vec<_> = run.states().map(|(key, state)| (key, state.to_vec())).collect();
        assert_eq!(
            (run.manifest()["state_shape"].as_str(), &states[..]),
            (Some(shape), &[("s", expected.to_vec())][..])
        );
    }
    check::<counted::Plugin>("sliding()", b"\x01\x8c\x01\0\x02\x03p2\0\0\x1e\x02\x03p1\x03o1\0");
    check::<kept::Plugin>(
        "sliding(session:text?,card:text?)",
        b"\x01\x8c\x01\0\x02\x03p2\0\0\x04\x01\x01s\0\x1e\x02\x03p1\x03o1\0\x07\x01\x01s\x01\x02c1",
    );
    check::<distinct::Plugin>("distinct(card:text)", b"\x01\xc8\x01\0\x02\x03p1\x03o1\0\x02c1");
    check::<tumbling::Plugin>("tumbling(count:u64,matching:u64)", b"\x01\0\x88\x27\x02\x01");
    check::<tumbling_v3::Plugin>("tumbling(matching:u64,count:u64,is_complete:bool)", b"\x03\0\x88\x27\x01\x02\0");
    let tally = b"\x04\x02\xfa\x01\0\x02\x02c1\x01\x04none\x01";
    check::<volumes::Plugin>(
        "tumbling[5000,20000](count:i64,amounts:i64,volume:total,cards:counts)",
        &[b"\x01\0\x88\x27", &tally[..], b"\0\xa0\x9c\x01", tally].concat(),
    );
    check::<volumes_v2::Plugin>("tumbling[10000,20000](count:i64)", b"\x02\0\x90\x4e\x04\0\xa0\x9c\x01\x04");
}

/// The host does not call them then: `Run` looks, in all tests of these windows, that nothing would come of it.
#[test]
fn windows_that_judge_events_expire_and_those_that_close_do_not() {
    let expires = |manifest: String| serde_json::from_str::<Json>(&manifest).expect("JSON")["expires"] == true;
    let judging = [
        counted::Plugin::manifest(),
        kept::Plugin::manifest(),
        distinct::Plugin::manifest(),
        crossed::Plugin::manifest(),
    ];
    assert!(judging.into_iter().chain([joined::Plugin::manifest(), joined_any::Plugin::manifest()]).all(expires));
    assert!(![tumbling::Plugin::manifest(), volumes::Plugin::manifest()].into_iter().any(expires));
}

#[test]
fn the_shape_of_a_join_names_both_sides_and_the_pairing() {
    fn check<P: RulePlugin>(shape: &str) {
        let mut run = Run::<P>::new("{}");
        run.batch(&[
            Record::new(100, "p").with("order_id", "o").with("amount", 250),
            Record::new(-86_400_000, "e").of_input(1).with("order_id", "o").with("event_type", "created"),
        ]);
        let expected = b"\x01\0\xc8\x01\x02p\0\0\x05\x01\x01o\xf4\x03\x01\xff\xef\xb2\x52\x0c\x01\x01o\x07created\0";
        assert_eq!(run.states().map(|(_, state)| state).collect::<Vec<_>>(), [expected]);
        assert_eq!(run.manifest()["state_shape"], shape);
    }
    let sides = "payments(order_id:text?,amount:decimal);orders(order_id:text?,event_type:text,total:decimal?)";
    check::<joined::Plugin>(&format!("joined(first;{sides})"));
    check::<joined_any::Plugin>(&format!("joined(any;{sides})"));
}

#[test]
fn the_shape_of_a_crossed_window_names_both_topics_in_their_order() {
    let mut run = Run::<crossed::Plugin>::new("{}");
    run.batch(&[
        Record::new(100, "p").with("session", "s"),
        Record::new(70, "e").of_input(1).with("session", "s").with("event_type", "created"),
    ]);
    let expected = b"\x01\x8c\x01\0\x02\x02e\0\0\x01\x01\x1e\x02\x02p\0\0\x01\0";
    assert_eq!(run.states().map(|(_, state)| state).collect::<Vec<_>>(), [expected]);
    assert_eq!(run.manifest()["state_shape"], "crossed(payments,orders)");
}

#[test]
fn a_state_that_keeps_something_else_is_refused() {
    // Version, time 0, one event without marks that keeps the byte 7: no row begins so.
    let state = [1, 0, 0, 0, 1, 7];
    assert_eq!(advance::<kept::Plugin>(&state), Ok(()));
    assert_eq!(apply::<kept::Plugin>(&state), Err("the state of key 0 is no state of version 1".to_owned()));
    assert_eq!(apply::<distinct::Plugin>(&state), Ok(()));
    assert_eq!(apply::<crossed::Plugin>(&state), Err("the state of key 0 is no state of version 1".to_owned()));
    assert_eq!(apply::<crossed::Plugin>(&[1, 0, 0, 0, 1, 1]), Ok(()));
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
    assert_eq!(advance::<crossed::Plugin>(&[2, 0]), Err(error.to_owned()));
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
        let _ = advance::<crossed::Plugin>(&state);
        let _ = apply::<kept::Plugin>(&state);
        let _ = apply::<crossed::Plugin>(&state);
        let _ = apply::<joined::Plugin>(&state);
    }
}
