//! The state of a rule: for each key a few bytes and the watermark at which the rule must see it again.

mod index;
mod slots;

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use tamis_model::Result;
use tamis_model::rule::{NEVER, Rule};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;

use self::index::Index;
use self::slots::Slots;
use crate::checkpoint::{Keyed, KeyedState};
use crate::entries::{Entries, Entry};
use crate::timers::Timers;

/// Keys of a call of `migrate` at most.
const MIGRATED_MAX: usize = 4096;
/// So many slots a checkpoint may always pass on its round, most of them free.
const SLOTS_PASSED_MIN: u64 = 1 << 14;
/// Keys that are looked up side by side, or written down.
const AT_ONCE: usize = 32;
/// The slot of a key that has no state yet.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Keys, their states and their timers. Slots are stable as long as their key has state, so a batch looks each key
/// up once, on its way to the rule, and writes back without searching.
#[derive(Default)]
pub(crate) struct StateStore {
    /// Slots by key.
    index: Index,
    slots: Slots,
    free: Vec<u32>,
    /// Lazy: at least one entry at or before the wake of each key that has one.
    timers: Timers,
    /// The highest wake that a key has had.
    wake_max: Option<Millis>,
    /// Wakes up to this one may be of another version or configuration.
    foreign_wake_max: Option<Millis>,
    len: usize,
    /// What keys and states take.
    bytes: u64,
    changes: Changes,
}

/// What is to be said to the next checkpoint.
#[derive(Default)]
struct Changes {
    /// Whether there is a checkpoint to go on from.
    goes_on: bool,
    /// The slots that have changed. Some may be free by now.
    slots: Vec<u32>,
    /// The keys that the last checkpoint has and that were forgotten.
    gone: Entries,
    /// Where the round of what is repeated stands, and where it ends; none = it begins.
    round: Option<(u32, u32)>,
}

impl StateStore {
    /// How many keys have state.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The same keys, states and wakes for another owner, of whom no checkpoint knows anything.
    pub fn copied(&self) -> Self {
        let Self { index, slots, free, timers, changes: _, .. } = self;
        let (index, slots, free, timers) = (index.clone(), slots.clone(), free.clone(), timers.clone());
        Self { index, slots, free, timers, changes: Changes::default(), ..*self }
    }

    /// What keys and states take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Finds the keys of a batch: for each its slot (or [`NO_SLOT`]) and its state (or nothing).
    ///
    /// Index, slots and bytes are mostly not in a cache. Some keys at a time go from one to the next, so that their waits overlap.
    pub fn join(&self, keys: Strings<'_>, hashes: &[u64], slots: &mut Vec<u32>, states: &mut StringsBuf) {
        slots.clear();
        states.clear();
        for (block, hashes) in hashes.chunks(AT_ONCE).enumerate() {
            let first = block * AT_ONCE;
            slots.extend(hashes.iter().map(|hash| self.index.find(*hash, |_| true).unwrap_or(NO_SLOT)));
            let mut found = [None; AT_ONCE];
            for (found, slot) in found.iter_mut().zip(&slots[first..]).filter(|(_, slot)| **slot != NO_SLOT) {
                *found = Some(self.slots[*slot].parts());
            }
            for (i, hash) in hashes.iter().enumerate() {
                let key = keys.get(first + i);
                if found[i].is_some_and(|(other, _)| other != key) {
                    // Another key, of which the index has the same to say.
                    let slot = self.find(key, *hash);
                    slots[first + i] = slot.unwrap_or(NO_SLOT);
                    found[i] = slot.map(|slot| self.slots[slot].parts());
                }
                states.push(found[i].map_or(&[], |(_, state)| state));
            }
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
            let slot = match (*slot, state.is_empty()) {
                (NO_SLOT, true) => continue,
                (NO_SLOT, false) => self.insert(keys.get(i), hashes[i], state, *wake),
                (slot, true) => {
                    self.forget(slot);
                    continue;
                }
                (slot, false) => self.update(slot, state, *wake),
            };
            let entry = &mut self.slots[slot];
            if !entry.changed {
                entry.changed = true;
                self.changes.slots.push(slot);
            }
        }
    }

    /// From now on another version, or another configuration, says when keys wake. What was said before holds, but not what it means.
    pub fn pass_on(&mut self) {
        self.foreign_wake_max = self.wake_max;
    }

    /// Takes the keys out of their timers whose wake `watermark` has reached. Each must be written back; but a key that `expires` then is
    /// forgotten here, unless its wake may be of somebody else.
    pub fn due(&mut self, watermark: Millis, expires: bool, due: &mut Vec<u32>) {
        due.clear();
        for timers in self.timers.take_due(watermark).chunks(AT_ONCE) {
            self.slots.fetch(timers.iter().map(|(_, slot)| *slot));
            if expires {
                self.index.fetch(timers.iter().map(|(_, slot)| self.slots[*slot].hash));
            }
            for (time, slot) in timers {
                let entry = &mut self.slots[*slot];
                if entry.timer != *time {
                    continue;
                }
                entry.timer = NEVER;
                match entry.wake {
                    NEVER => {}
                    wake if wake > watermark => self.set_timer(*slot, wake),
                    wake if expires && Some(wake) > self.foreign_wake_max => self.forget(*slot),
                    _ => due.push(*slot),
                }
            }
        }
    }

    /// The keys, hashes and states in some slots.
    pub fn load(&self, slots: &[u32], keys: &mut StringsBuf, hashes: &mut Vec<u64>, states: &mut StringsBuf) {
        keys.clear();
        hashes.clear();
        states.clear();
        for slot in slots {
            let slot = &self.slots[*slot];
            keys.push(slot.key());
            hashes.push(slot.hash);
            states.push(slot.state());
        }
    }

    /// The same keys and wakes with the states that `code` makes of theirs, which a plugin of state version `from_version` wrote.
    pub fn migrated(&self, code: &mut dyn Rule, from_version: u32) -> Result<Self> {
        let mut migrated = Self::default();
        let (mut keys, mut hashes, mut states) = (StringsBuf::default(), Vec::new(), StringsBuf::default());
        let slots: Vec<u32> = (0..self.slots.len()).filter(|slot| !self.slots[*slot].is_free()).collect();
        for slots in slots.chunks(MIGRATED_MAX) {
            self.load(slots, &mut keys, &mut hashes, &mut states);
            let new = code.migrate(states.as_strings(), from_version)?;
            let unknown = vec![NO_SLOT; slots.len()];
            let wakes: Vec<Millis> = slots.iter().map(|slot| self.slots[*slot].wake).collect();
            migrated.write_back(keys.as_strings(), &hashes, &unknown, new.as_strings(), &wakes);
        }
        Ok(migrated)
    }

    /// One that goes on from a checkpoint, whose entries are yet to come.
    pub fn restoring() -> Self {
        Self { changes: Changes { goes_on: true, ..Changes::default() }, ..Self::default() }
    }

    /// Takes an entry of a checkpoint. None when its bytes are something else.
    pub fn restore(&mut self, entry: Entry<'_>, hasher: &DefaultHashBuilder) -> Option<()> {
        let hash = hasher.hash_one(entry.key);
        let known = self.find(entry.key, hash);
        let Some(value) = entry.value else {
            known.into_iter().for_each(|slot| self.remove(slot));
            return Some(());
        };
        let (wake, state) = value.split_first_chunk().filter(|(_, state)| !state.is_empty())?;
        let wake = Millis::from_le_bytes(*wake);
        let slot = match known {
            Some(slot) => self.update(slot, state, wake),
            None => self.insert(entry.key, hash, state, wake),
        };
        self.slots[slot].saved = true;
        Some(())
    }

    /// Writes the keys in some slots down, where there is one.
    fn say_each(&mut self, slots: &[u32], entries: &mut Entries) {
        for slots in slots.chunks(AT_ONCE) {
            self.slots.fetch(slots.iter().copied());
            slots.iter().for_each(|slot| _ = self.say(*slot, entries));
        }
    }

    /// Writes the key in a slot down, if there is one.
    fn say(&mut self, slot: u32, entries: &mut Entries) -> bool {
        let entry = &mut self.slots[slot];
        entry.changed = false;
        if entry.is_free() {
            return false;
        }
        entry.saved = true;
        entries.put(entry.key(), &[&entry.wake.to_le_bytes(), entry.state()]);
        true
    }

    fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        self.index.find(hash, |slot| self.slots[slot].key() == key)
    }

    fn insert(&mut self, key: &[u8], hash: u64, state: &[u8], wake: Millis) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.slots.push());
        self.slots[slot].begin(key, hash, state);
        self.index.insert(hash, slot, |slot| self.slots[slot].hash);
        self.len += 1;
        self.bytes += key.len() as u64;
        self.update(slot, state, wake)
    }

    fn update(&mut self, slot: u32, state: &[u8], wake: Millis) -> u32 {
        let entry = &mut self.slots[slot];
        self.bytes = self.bytes + state.len() as u64 - entry.state().len() as u64;
        entry.set_state(state);
        entry.wake = wake;
        self.set_timer(slot, wake);
        slot
    }

    fn set_timer(&mut self, slot: u32, wake: Millis) {
        if wake != NEVER {
            self.wake_max = self.wake_max.max(Some(wake));
        }
        let entry = &mut self.slots[slot];
        if wake < entry.timer {
            entry.timer = wake;
            self.timers.set(wake, slot);
        }
    }

    /// Takes a key out, and notes that for the next checkpoint.
    fn forget(&mut self, slot: u32) {
        let entry = &self.slots[slot];
        if entry.saved {
            self.changes.gone.put_gone(entry.key());
        }
        self.remove(slot);
    }

    fn remove(&mut self, slot: u32) {
        let entry = &mut self.slots[slot];
        self.index.remove(entry.hash, slot);
        self.len -= 1;
        self.bytes -= (entry.key().len() + entry.state().len()) as u64;
        entry.clear();
        self.free.push(slot);
    }
}

impl KeyedState for StateStore {
    fn keys(&self) -> usize {
        self.len
    }

    fn take_changes(&mut self) -> Keyed {
        let Changes { goes_on, slots, mut gone, round } = std::mem::take(&mut self.changes);
        self.changes.goes_on = true;
        if !goes_on {
            let mut all = Entries::default();
            let (mut slots, mut next) = (Vec::new(), 0..self.slots.len());
            while !next.is_empty() {
                slots.clear();
                slots.extend(next.by_ref().take(AT_ONCE));
                self.say_each(&slots, &mut all);
            }
            return Keyed { whole: true, changes: all, ..Keyed::default() };
        }
        self.changes.round = round;
        // A key that was forgotten and is there again comes behind its end.
        self.say_each(&slots, &mut gone);
        Keyed { changes: gone, ..Keyed::default() }
    }

    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed) {
        let (mut at, end) = self.changes.round.unwrap_or((0, self.slots.len()));
        // As large a share of the slots as of the keys: otherwise a store that has been large would be long on its way.
        let share = u64::from(self.slots.len()).saturating_mul(keys_max).div_ceil(self.len.max(1) as u64);
        let slots_max = u32::try_from(share.max(SLOTS_PASSED_MIN)).unwrap_or(u32::MAX);
        let (begin, passed_end, mut left) = (at, end.min(at.saturating_add(slots_max)), keys_max);
        while at < passed_end && (left > 0 || self.slots[at].is_free()) {
            if (at - begin) % AT_ONCE as u32 == 0 && left > 0 {
                self.slots.fetch(at..passed_end.min(at + AT_ONCE as u32));
            }
            left -= u64::from(self.say(at, &mut keyed.repeated));
            at += 1;
        }
        keyed.round_ends = at == end;
        self.changes.round = (!keyed.round_ends).then_some((at, end));
    }
}

#[cfg(test)]
mod tests;
