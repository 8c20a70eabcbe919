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
/// Free slots that a checkpoint passes on its round at most.
const SLOTS_PASSED_MAX: u64 = 1 << 14;
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
        let Self { index, slots, free, timers, len, bytes, changes: _ } = self;
        let (index, slots, free, timers) = (index.clone(), slots.clone(), free.clone(), timers.clone());
        Self { index, slots, free, timers, len: *len, bytes: *bytes, changes: Changes::default() }
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
            slots.push(self.find(keys.get(i), *hash).unwrap_or(NO_SLOT));
        }
        for slot in slots {
            states.push(if *slot == NO_SLOT { &[] } else { self.slots[*slot].state() });
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
                    let entry = &self.slots[slot];
                    if entry.saved {
                        self.changes.gone.put_gone(entry.key());
                    }
                    self.remove(slot);
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

    /// Takes the keys out of their timers whose wake `watermark` has reached. Each must be written back.
    pub fn due(&mut self, watermark: Millis, due: &mut Vec<u32>) {
        due.clear();
        for (time, slot) in self.timers.take_due(watermark) {
            let entry = &mut self.slots[slot];
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
        let entry = &mut self.slots[slot];
        if wake < entry.timer {
            entry.timer = wake;
            self.timers.set(wake, slot);
        }
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
            (0..self.slots.len()).for_each(|slot| _ = self.say(slot, &mut all));
            return Keyed { whole: true, changes: all, ..Keyed::default() };
        }
        self.changes.round = round;
        // A key that was forgotten and is there again comes behind its end.
        slots.iter().for_each(|slot| _ = self.say(*slot, &mut gone));
        Keyed { changes: gone, ..Keyed::default() }
    }

    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed) {
        let (mut at, end) = self.changes.round.unwrap_or((0, self.slots.len()));
        let slots_max = u32::try_from(SLOTS_PASSED_MAX.saturating_add(keys_max)).unwrap_or(u32::MAX);
        let (passed_end, mut left) = (end.min(at.saturating_add(slots_max)), keys_max);
        while at < passed_end && (left > 0 || self.slots[at].is_free()) {
            left -= u64::from(self.say(at, &mut keyed.repeated));
            at += 1;
        }
        keyed.round_ends = at == end;
        self.changes.round = (!keyed.round_ends).then_some((at, end));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    use hashbrown::DefaultHashBuilder;
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
            2 => (0..20_i64, state, wake).prop_map(|(by, state, wake)| Do::Advance(by, state, wake)),
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
            for step in steps {
                match step {
                    Do::WriteBack(batch) => write_back(&mut store, &mut model, &hasher, watermark, &batch)?,
                    Do::Advance(by, state, wake) => {
                        watermark += by;
                        advance(&mut store, &mut model, watermark, &state, wake)?;
                    }
                    Do::Checkpoint | Do::Restore => {
                        log.save(&mut store, std::mem::take(&mut is_new))?;
                        let restored = log.restore(&hasher);
                        prop_assert_eq!(content(&restored), model.clone());
                        if matches!(step, Do::Restore) {
                            store = restored;
                        }
                    }
                    Do::Copy => (store, is_new) = (store.copied(), true),
                }
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
            write_back(&mut store, &mut model, &hasher, 0, &keys(n..n + 5, if n % 7 == 0 { b"" } else { b"b" }))
                .unwrap();
            log.save(&mut store, false).unwrap();
            assert_eq!(content(&log.restore(&hasher)), model);
        }
        assert!((3..8).contains(&log.rounds), "5 of 100 keys a checkpoint: {}", log.rounds);
        let said: u64 = log.before.iter().chain(&log.round).map(Entries::len).sum();
        assert!(said < 500, "{said} entries for {} keys", model.len());
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
    fn foreign_bytes_are_no_state() {
        let check = |value: &[u8]| {
            let entry = Entry { key: b"k", value: Some(value) };
            assert!(StateStore::restoring().restore(entry, &DefaultHashBuilder::default()).is_none());
        };
        check(&[1]);
        check(&[0; 8]);
    }
}
