//! A store against a map, with checkpoints and new processes on the way.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entries::read;

/// What a store must do, without any cleverness: key → (state, wake).
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Millis)>;

#[derive(Clone, Debug)]
enum Do {
    /// A batch of different keys with their new states and wakes.
    WriteBack(BTreeMap<u8, (Vec<u8>, Option<i64>)>),
    /// The watermark moves on; what is due gets a new state and wake.
    Advance(i64, Vec<u8>, Option<i64>),
    /// The watermark moves on; what has said its wake itself expires, and the rest gets a new state and wake.
    Expire(i64, Vec<u8>, Option<i64>),
    /// Another configuration says the wakes from now on.
    PassOn,
    Checkpoint,
    /// A checkpoint, and a new process goes on from it.
    Restore,
    /// What another owner copied goes on.
    Copy,
}

/// What checkpoints have said, as far as it is needed.
#[derive(Default)]
struct Log {
    before: Vec<Entries>,
    round: Vec<Entries>,
    rounds: usize,
}

impl Log {
    fn save(&mut self, store: &mut StateStore, whole: bool) -> Result<(), TestCaseError> {
        let mut keyed = store.take_changes();
        prop_assert_eq!(keyed.whole, whole);
        if !whole {
            store.repeat(keyed.changes.len(), &mut keyed);
        }
        let Keyed { changes, repeated, round_ends, .. } = keyed;
        prop_assert!(repeated.len() <= changes.len());
        if whole {
            *self = Self::default();
        }
        self.round.extend([changes, repeated]);
        if round_ends {
            self.before = std::mem::take(&mut self.round);
            self.rounds += 1;
        }
        Ok(())
    }

    fn restore(&self, hasher: &DefaultHashBuilder) -> StateStore {
        let mut store = StateStore::restoring();
        for block in self.before.iter().chain(&self.round).flat_map(Entries::blocks) {
            read("test", &block.bytes).for_each(|entry| store.restore(entry.unwrap(), hasher).unwrap());
        }
        store
    }
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let state = prop::collection::vec(any::<u8>(), 0..4);
    let wake = prop::option::of(0..50_i64);
    let batch = prop::collection::btree_map(0..12_u8, (state.clone(), wake.clone()), 0..8);
    let step = prop_oneof![
        4 => batch.prop_map(Do::WriteBack),
        2 => (0..20_i64, state.clone(), wake.clone()).prop_map(|(by, state, wake)| Do::Advance(by, state, wake)),
        2 => (0..20_i64, state, wake).prop_map(|(by, state, wake)| Do::Expire(by, state, wake)),
        1 => Just(Do::PassOn),
        2 => Just(Do::Checkpoint),
        1 => Just(Do::Restore),
        1 => Just(Do::Copy),
    ];
    prop::collection::vec(step, 0..60)
}

fn put(model: &mut Model, key: Vec<u8>, state: &[u8], wake: Millis) {
    if state.is_empty() {
        model.remove(&key);
    } else {
        model.insert(key, (state.to_vec(), wake));
    }
}

proptest! {
    #[test]
    fn a_store_is_a_map_with_timers(steps in steps()) {
        let hasher = DefaultHashBuilder::default();
        let mut store = StateStore::default();
        let mut model = Model::new();
        let mut log = Log::default();
        let (mut watermark, mut is_new) = (0, true);
        // The highest wake that the model has had, and what it was when the wakes passed on.
        let (mut wake_max, mut foreign_max) = (None, None);
        for step in steps {
            match step {
                Do::PassOn => {
                    store.pass_on();
                    foreign_max = wake_max;
                }
                Do::Expire(by, state, wake) => {
                    watermark += by;
                    model.retain(|_, (_, wake)| *wake > watermark || Some(*wake) <= foreign_max);
                    advance(&mut store, &mut model, watermark, true, &state, wake)?;
                }
                Do::WriteBack(batch) => write_back(&mut store, &mut model, &hasher, watermark, &batch)?,
                Do::Advance(by, state, wake) => {
                    watermark += by;
                    advance(&mut store, &mut model, watermark, false, &state, wake)?;
                }
                Do::Checkpoint | Do::Restore => {
                    log.save(&mut store, std::mem::take(&mut is_new))?;
                    let restored = log.restore(&hasher);
                    prop_assert_eq!(content(&restored), model.clone());
                    if matches!(step, Do::Restore) {
                        store = restored;
                        store.pass_on();
                        // What it knows of wakes that were replaced may be gone with the process, but no more.
                        let wakes = model.values().map(|(_, wake)| *wake).filter(|wake| *wake != NEVER);
                        prop_assert!((wakes.max()..=wake_max).contains(&store.wake_max));
                        (wake_max, foreign_max) = (store.wake_max, store.wake_max);
                    }
                }
                Do::Copy => (store, is_new) = (store.copied(), true),
            }
            wake_max = model.values().map(|(_, wake)| *wake).filter(|wake| *wake != NEVER).max().max(wake_max);
            prop_assert_eq!(content(&store), model.clone());
            prop_assert_eq!(store.len(), model.len());
            let bytes = model.iter().map(|(key, (state, _))| key.len() + state.len()).sum::<usize>();
            prop_assert_eq!(store.bytes(), bytes as u64);
        }
    }
}

fn content(store: &StateStore) -> Model {
    let slots = (0..store.slots.len()).map(|slot| &store.slots[slot]).filter(|slot| !slot.is_free());
    slots.map(|slot| (slot.key().to_vec(), (slot.state().to_vec(), slot.wake))).collect()
}

fn write_back(
    store: &mut StateStore,
    model: &mut Model,
    hasher: &DefaultHashBuilder,
    watermark: Millis,
    batch: &BTreeMap<u8, (Vec<u8>, Option<i64>)>,
) -> Result<(), TestCaseError> {
    let names: Vec<Vec<u8>> = batch.keys().map(|key| vec![*key; usize::from(*key)]).collect();
    let keys: StringsBuf = names.iter().map(Vec::as_slice).collect();
    let hashes: Vec<u64> = names.iter().map(|name| hasher.hash_one(&name[..])).collect();
    let (mut slots, mut states) = (Vec::new(), StringsBuf::default());
    store.join(keys.as_strings(), &hashes, &mut slots, &mut states);
    for (i, name) in names.iter().enumerate() {
        let expected = model.get(name).map_or(&[][..], |(state, _)| state);
        prop_assert_eq!(states.as_strings().get(i), expected);
    }
    let states: StringsBuf = batch.values().map(|(state, _)| state.as_slice()).collect();
    let wakes: Vec<Millis> = batch.values().map(|(_, wake)| wake.map_or(NEVER, |by| watermark + by)).collect();
    store.write_back(keys.as_strings(), &hashes, &slots, states.as_strings(), &wakes);
    for (i, name) in names.into_iter().enumerate() {
        put(model, name, states.as_strings().get(i), wakes[i]);
    }
    Ok(())
}

fn advance(
    store: &mut StateStore,
    model: &mut Model,
    watermark: Millis,
    expires: bool,
    state: &[u8],
    wake: Option<i64>,
) -> Result<(), TestCaseError> {
    let mut due = Vec::new();
    store.due(watermark, expires, &mut due);
    let (mut keys, mut hashes, mut states) = (StringsBuf::default(), Vec::new(), StringsBuf::default());
    store.load(&due, &mut keys, &mut hashes, &mut states);
    let found: Model = (0..due.len())
        .map(|i| (keys.as_strings().get(i).to_vec(), states.as_strings().get(i).to_vec()))
        .map(|(key, state)| (key.clone(), (state, model[&key].1)))
        .collect();
    prop_assert_eq!(found.len(), due.len(), "each key once");
    let expected: Model =
        model.iter().filter(|(_, (_, w))| *w <= watermark).map(|(k, v)| (k.clone(), v.clone())).collect();
    prop_assert_eq!(&found, &expected);
    let new_states: StringsBuf = due.iter().map(|_| state).collect();
    let wakes = vec![wake.map_or(NEVER, |by| watermark + 1 + by); due.len()];
    store.write_back(keys.as_strings(), &hashes, &due, new_states.as_strings(), &wakes);
    for key in found.into_keys() {
        put(model, key, state, wakes[0]);
    }
    Ok(())
}

/// Keys of which few change: a checkpoint says little, and what was said before a round is superfluous.
#[test]
fn rounds_come_to_their_end() {
    let hasher = DefaultHashBuilder::default();
    let (mut store, mut model, mut log) = (StateStore::default(), Model::new(), Log::default());
    let keys = |keys: std::ops::Range<u8>, state: &[u8]| {
        keys.map(|key| (key, (state.to_vec(), None))).collect::<BTreeMap<u8, _>>()
    };
    write_back(&mut store, &mut model, &hasher, 0, &keys(0..100, b"a")).unwrap();
    log.save(&mut store, true).unwrap();
    for n in 0..100 {
        write_back(&mut store, &mut model, &hasher, 0, &keys(n..n + 5, if n % 7 == 0 { b"" } else { b"b" })).unwrap();
        log.save(&mut store, false).unwrap();
        assert_eq!(content(&log.restore(&hasher)), model);
    }
    assert!((3..8).contains(&log.rounds), "5 of 100 keys a checkpoint: {}", log.rounds);
    let said: u64 = log.before.iter().chain(&log.round).map(Entries::len).sum();
    assert!(said < 500, "{said} entries for {} keys", model.len());
}

/// Most of its slots are free: what a checkpoint passes of them grows with what has changed.
#[test]
fn a_store_that_was_large_has_a_log_for_the_keys_that_are_left() {
    const EVER: u32 = 200_000;
    const LEFT: usize = 100;
    let hasher = DefaultHashBuilder::default();
    let (mut store, mut log) = (StateStore::default(), Log::default());
    let write = |store: &mut StateStore, numbers: &mut dyn Iterator<Item = u32>, state: &[u8]| {
        let keys: StringsBuf = numbers.map(u32::to_be_bytes).collect::<Vec<_>>().iter().map(|key| &key[..]).collect();
        let keys = keys.as_strings();
        let hashes: Vec<u64> = (0..keys.len()).map(|i| hasher.hash_one(keys.get(i))).collect();
        let (mut slots, mut states) = (Vec::new(), StringsBuf::default());
        store.join(keys, &hashes, &mut slots, &mut states);
        let states: StringsBuf = (0..keys.len()).map(|_| state).collect();
        store.write_back(keys, &hashes, &slots, states.as_strings(), &vec![NEVER; keys.len()]);
    };
    let stays = |key: &u32| key.is_multiple_of(EVER / LEFT as u32);
    write(&mut store, &mut (0..EVER), b"a");
    log.save(&mut store, true).unwrap();
    write(&mut store, &mut (0..EVER).filter(|key| !stays(key)), b"");
    assert_eq!(store.len(), LEFT);
    for _ in 0..20 {
        write(&mut store, &mut (0..EVER).filter(stays).step_by(2), b"b");
        log.save(&mut store, false).unwrap();
    }
    assert_eq!(log.restore(&hasher).len(), LEFT);
    let said: u64 = log.before.iter().chain(&log.round).map(Entries::len).sum();
    assert!(said <= 4 * LEFT as u64, "{said} entries for {LEFT} keys, half of which change from one to the next");
}

#[test]
fn a_round_passes_free_slots_without_a_share() {
    let hasher = DefaultHashBuilder::default();
    let (mut store, mut model) = (StateStore::default(), Model::new());
    let keys = |state: &[u8]| (0..100).map(|key| (key, (state.to_vec(), None))).collect::<BTreeMap<u8, _>>();
    store.take_changes();
    for state in [b"a", &b""[..]] {
        write_back(&mut store, &mut model, &hasher, 0, &keys(state)).unwrap();
    }
    let mut keyed = store.take_changes();
    store.repeat(0, &mut keyed);
    assert!(keyed.round_ends && keyed.repeated.is_empty());
}

#[test]
fn what_comes_and_goes_between_two_checkpoints_costs_nothing() {
    let hasher = DefaultHashBuilder::default();
    let (mut store, mut model) = (StateStore::default(), Model::new());
    store.take_changes();
    let key = |state: &[u8]| BTreeMap::from([(1, (state.to_vec(), None))]);
    write_back(&mut store, &mut model, &hasher, 0, &key(b"a")).unwrap();
    write_back(&mut store, &mut model, &hasher, 0, &key(b"")).unwrap();
    assert!(store.take_changes().changes.is_empty());
    write_back(&mut store, &mut model, &hasher, 0, &key(b"a")).unwrap();
    assert_eq!(store.take_changes().changes.len(), 1);
    assert!(store.take_changes().changes.is_empty());
    write_back(&mut store, &mut model, &hasher, 0, &key(b"")).unwrap();
    assert_eq!(store.take_changes().changes.len(), 1, "that it is gone");
}

#[test]
fn keys_of_one_hash_are_told_apart() {
    let mut store = StateStore::default();
    let (mut slots, mut states) = (Vec::new(), StringsBuf::default());
    let names: StringsBuf = [&b"a"[..], b"b", b"c"].into_iter().collect();
    store.write_back(names.as_strings(), &[7; 3], &[NO_SLOT; 3], names.as_strings(), &[NEVER; 3]);
    let asked: StringsBuf = [&b"c"[..], b"x", b"a", b"b"].into_iter().collect();
    store.join(asked.as_strings(), &[7; 4], &mut slots, &mut states);
    assert_eq!((slots, states), (vec![2, NO_SLOT, 0, 1], [&b"c"[..], b"", b"a", b"b"].into_iter().collect()));
}

#[test]
fn foreign_bytes_are_no_state() {
    let check = |value: &[u8]| {
        let entry = Entry { key: b"k", value: Some(value) };
        assert!(StateStore::restoring().restore(entry, &DefaultHashBuilder::default()).is_none());
    };
    check(&[1]);
    check(&[0; 8]);
}
