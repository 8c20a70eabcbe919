//! The state of a rule: for each key a few bytes and the watermark at which the rule must see it again.

use hashbrown::HashTable;
use tamis_model::Result;
use tamis_model::rule::{NEVER, Rule};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;

use crate::codec::{write_bytes, write_signed};
use crate::timers::Timers;

/// Room of a forgotten key that is kept for the next one.
const ROOM_KEPT_BYTES_MAX: usize = 256;
/// Keys of a call of `migrate` at most.
const MIGRATED_MAX: usize = 4096;
/// The slot of a key that has no state yet.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Keys, their states and their timers. Slots are stable as long as their key has state, so a batch looks each key
/// up once, on its way to the rule, and writes back without searching.
#[derive(Clone, Default)]
pub(crate) struct StateStore {
    /// Slots by key.
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Lazy: at least one entry at or before the wake of each key that has one.
    timers: Timers,
    /// What keys and states take.
    bytes: u64,
}

#[derive(Clone)]
struct Slot {
    hash: u64,
    wake: Millis,
    /// The earliest timer that was set for it.
    timer: Millis,
    key_length: u32,
    /// The key, then its state.
    bytes: Vec<u8>,
}

impl Slot {
    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_length as usize]
    }

    fn state(&self) -> &[u8] {
        &self.bytes[self.key_length as usize..]
    }
}

impl StateStore {
    /// How many keys have state.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// What keys and states take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Finds the keys of a batch: for each its slot (or [`NO_SLOT`]) and its state (or nothing).
    pub fn join(&self, keys: Strings<'_>, hashes: &[u64], slots: &mut Vec<u32>, states: &mut StringsBuf) {
        slots.clear();
        states.clear();
        for (i, hash) in hashes.iter().enumerate() {
            let key = keys.get(i);
            let slot = self.index.find(*hash, |slot| self.slots[*slot as usize].key() == key);
            slots.push(slot.copied().unwrap_or(NO_SLOT));
        }
        for slot in slots {
            states.push(self.slots.get(*slot as usize).map_or(&[], Slot::state));
        }
    }

    /// Takes the new states of the keys that were joined: empty = forget the key.
    pub fn write_back(
        &mut self,
        keys: Strings<'_>,
        hashes: &[u64],
        slots: &[u32],
        states: Strings<'_>,
        wakes: &[Millis],
    ) {
        for (i, (slot, wake)) in slots.iter().zip(wakes).enumerate() {
            let state = states.get(i);
            match (*slot, state.is_empty()) {
                (NO_SLOT, true) => {}
                (NO_SLOT, false) => self.insert(keys.get(i), hashes[i], state, *wake),
                (slot, true) => self.remove(slot),
                (slot, false) => self.update(slot, state, *wake),
            }
        }
    }

    /// Takes the keys out of their timers whose wake `watermark` has reached. Each must be written back.
    pub fn due(&mut self, watermark: Millis, due: &mut Vec<u32>) {
        due.clear();
        for (time, slot) in self.timers.take_due(watermark) {
            let entry = &mut self.slots[slot as usize];
            if entry.timer != time {
                continue;
            }
            entry.timer = NEVER;
            if entry.wake == NEVER {
                continue;
            }
            if entry.wake <= watermark {
                due.push(slot);
            } else {
                let wake = entry.wake;
                self.set_timer(slot, wake);
            }
        }
    }

    /// The keys, hashes and states in some slots.
    pub fn load(&self, slots: &[u32], keys: &mut StringsBuf, hashes: &mut Vec<u64>, states: &mut StringsBuf) {
        keys.clear();
        hashes.clear();
        states.clear();
        for slot in slots {
            let slot = &self.slots[*slot as usize];
            keys.push(slot.key());
            hashes.push(slot.hash);
            states.push(slot.state());
        }
    }

    /// The same keys and wakes with the states that `code` makes of theirs, which a plugin of state version `from_version` wrote.
    pub fn migrated(&self, code: &mut dyn Rule, from_version: u32) -> Result<Self> {
        let mut migrated = Self::default();
        let (mut keys, mut hashes, mut states) = (StringsBuf::default(), Vec::new(), StringsBuf::default());
        let slots: Vec<u32> = self.index.iter().copied().collect();
        for slots in slots.chunks(MIGRATED_MAX) {
            self.load(slots, &mut keys, &mut hashes, &mut states);
            let new = code.migrate(states.as_strings(), from_version)?;
            let unknown = vec![NO_SLOT; slots.len()];
            let wakes: Vec<Millis> = slots.iter().map(|slot| self.slots[*slot as usize].wake).collect();
            migrated.write_back(keys.as_strings(), &hashes, &unknown, new.as_strings(), &wakes);
        }
        Ok(migrated)
    }

    fn insert(&mut self, key: &[u8], hash: u64, state: &[u8], wake: Millis) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { hash, wake, timer: NEVER, key_length: 0, bytes: Vec::new() });
            u32::try_from(self.slots.len() - 1).expect("a host has memory for less than 2^32 keys")
        });
        let entry = &mut self.slots[slot as usize];
        entry.hash = hash;
        entry.key_length = key.len() as u32;
        entry.bytes.reserve(key.len() + state.len());
        entry.bytes.extend_from_slice(key);
        self.bytes += key.len() as u64;
        self.index.insert_unique(hash, slot, |slot| self.slots[*slot as usize].hash);
        self.update(slot, state, wake);
    }

    fn update(&mut self, slot: u32, state: &[u8], wake: Millis) {
        let entry = &mut self.slots[slot as usize];
        self.bytes = self.bytes + state.len() as u64 - entry.state().len() as u64;
        entry.bytes.truncate(entry.key_length as usize);
        entry.bytes.extend_from_slice(state);
        entry.wake = wake;
        self.set_timer(slot, wake);
    }

    fn set_timer(&mut self, slot: u32, wake: Millis) {
        let entry = &mut self.slots[slot as usize];
        if wake < entry.timer {
            entry.timer = wake;
            self.timers.set(wake, slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        if let Ok(found) = self.index.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        self.bytes -= (entry.key().len() + entry.state().len()) as u64;
        entry.key_length = 0;
        entry.bytes.clear();
        entry.bytes.shrink_to(ROOM_KEPT_BYTES_MAX);
        // A timer that is still set finds another time here and is dropped when it is due.
        entry.timer = NEVER;
        entry.wake = NEVER;
        self.free.push(slot);
    }

    /// All keys with their states and wakes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for slot in &self.index {
            let entry = &self.slots[*slot as usize];
            write_bytes(out, entry.key());
            write_bytes(out, entry.state());
            write_signed(out, entry.wake);
        }
    }

    /// Takes a key back that [`StateStore::encode`] wrote. None when it cannot have been written.
    pub fn restore(&mut self, key: &[u8], hash: u64, state: &[u8], wake: Millis) -> Option<()> {
        let is_known = self.index.find(hash, |slot| self.slots[*slot as usize].key() == key).is_some();
        if state.is_empty() || is_known {
            return None;
        }
        self.insert(key, hash, state, wake);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    use hashbrown::DefaultHashBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Reader;

    /// What a store must do, without any cleverness: key → (state, wake).
    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Millis)>;

    #[derive(Clone, Debug)]
    enum Do {
        /// A batch of different keys with their new states and wakes.
        WriteBack(BTreeMap<u8, (Vec<u8>, Option<i64>)>),
        /// The watermark moves on; what is due gets a new state and wake.
        Advance(i64, Vec<u8>, Option<i64>),
        Restore,
    }

    fn steps() -> impl Strategy<Value = Vec<Do>> {
        let state = prop::collection::vec(any::<u8>(), 0..4);
        let wake = prop::option::of(0..50_i64);
        let batch = prop::collection::btree_map(0..12_u8, (state.clone(), wake.clone()), 0..8);
        let step = prop_oneof![
            4 => batch.prop_map(Do::WriteBack),
            2 => (0..20_i64, state, wake).prop_map(|(by, state, wake)| Do::Advance(by, state, wake)),
            1 => Just(Do::Restore),
        ];
        prop::collection::vec(step, 0..40)
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
            let mut watermark = 0;
            for step in steps {
                match step {
                    Do::WriteBack(batch) => write_back(&mut store, &mut model, &hasher, watermark, &batch)?,
                    Do::Advance(by, state, wake) => {
                        watermark += by;
                        advance(&mut store, &mut model, watermark, &state, wake)?;
                    }
                    Do::Restore => {
                        let mut bytes = Vec::new();
                        store.encode(&mut bytes);
                        store = restored(&bytes, &hasher).unwrap();
                    }
                }
                prop_assert_eq!(store.len(), model.len());
                let bytes = model.iter().map(|(key, (state, _))| key.len() + state.len()).sum::<usize>();
                prop_assert_eq!(store.bytes(), bytes as u64);
            }
        }
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
        state: &[u8],
        wake: Option<i64>,
    ) -> Result<(), TestCaseError> {
        let mut due = Vec::new();
        store.due(watermark, &mut due);
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

    fn restored(bytes: &[u8], hasher: &DefaultHashBuilder) -> Option<StateStore> {
        let (mut reader, mut store) = (Reader(bytes), StateStore::default());
        while !reader.0.is_empty() {
            let (key, state, wake) = (reader.bytes()?, reader.bytes()?, reader.signed()?);
            store.restore(key, hasher.hash_one(key), state, wake)?;
        }
        Some(store)
    }

    #[test]
    fn what_cannot_have_been_written_is_not_taken_back() {
        let hasher = DefaultHashBuilder::default();
        let check = |bytes: &[u8]| assert!(restored(bytes, &hasher).is_none());
        check(&[1, b'k', 1]);
        check(&[1, b'k', 1, b's', 0, 1, b'k', 1, b's', 0]);
        check(&[1, b'k', 0, 0]);
    }
}
