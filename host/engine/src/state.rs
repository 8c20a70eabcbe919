//! The state of a rule: for each key a few bytes and the watermark at which the rule must see it again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use hashbrown::hash_table::Entry as Place;
use hashbrown::{DefaultHashBuilder, HashTable};
use tamis_model::rule::NEVER;
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;

use crate::codec::{Reader, write_bytes, write_number, write_signed};

/// Room of a forgotten key that is kept for the next one.
const ROOM_KEPT_BYTES_MAX: usize = 256;
/// The slot of a key that has no state yet.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Keys, their states and their timers. Slots are stable as long as their key has state, so a batch looks each key
/// up once, on its way to the rule, and writes back without searching.
#[derive(Default)]
pub(crate) struct StateStore {
    /// Slots by key.
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Lazy: at least one entry at or before the wake of each key that has one.
    timers: BinaryHeap<Reverse<(Millis, u32)>>,
}

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
        while let Some(Reverse((time, slot))) = self.timers.peek().copied() {
            if time > watermark {
                return;
            }
            self.timers.pop();
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
        self.index.insert_unique(hash, slot, |slot| self.slots[*slot as usize].hash);
        self.update(slot, state, wake);
    }

    fn update(&mut self, slot: u32, state: &[u8], wake: Millis) {
        let entry = &mut self.slots[slot as usize];
        entry.bytes.truncate(entry.key_length as usize);
        entry.bytes.extend_from_slice(state);
        entry.wake = wake;
        self.set_timer(slot, wake);
    }

    fn set_timer(&mut self, slot: u32, wake: Millis) {
        let entry = &mut self.slots[slot as usize];
        if wake < entry.timer {
            entry.timer = wake;
            self.timers.push(Reverse((wake, slot)));
        }
    }

    fn remove(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        if let Ok(found) = self.index.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        entry.bytes.clear();
        entry.bytes.shrink_to(ROOM_KEPT_BYTES_MAX);
        // A timer that is still set finds another time here and is dropped when it is due.
        entry.timer = NEVER;
        entry.wake = NEVER;
        self.free.push(slot);
    }

    /// All keys with their states and wakes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_number(out, self.len() as u64);
        for slot in &self.index {
            let entry = &self.slots[*slot as usize];
            write_bytes(out, entry.key());
            write_bytes(out, entry.state());
            write_signed(out, entry.wake);
        }
    }

    /// Reads what [`StateStore::encode`] wrote. None when the bytes are something else.
    pub fn decode(bytes: &mut Reader<'_>, hasher: &DefaultHashBuilder) -> Option<Self> {
        let mut store = Self::default();
        for _ in 0..bytes.number()? {
            let (key, state, wake) = (bytes.bytes()?, bytes.bytes()?, bytes.signed()?);
            let hash = hasher.hash_one(key);
            let known = store.index.entry(
                hash,
                |slot| store.slots[*slot as usize].key() == key,
                |slot| store.slots[*slot as usize].hash,
            );
            if state.is_empty() || matches!(known, Place::Occupied(_)) {
                return None;
            }
            store.insert(key, hash, state, wake);
        }
        Some(store)
    }
}
