//! Where keys and states lie: in chunks, so that no step waits until all of it was moved to a larger place.

use std::hint::black_box;
use std::ops;

use tamis_model::rule::NEVER;
use tamis_model::time::Millis;

/// Slots of a chunk.
const CHUNK: usize = 1 << 12;
/// Room of a forgotten key that is kept for the next one.
const ROOM_KEPT_BYTES_MAX: usize = 256;

/// Slots, which never move.
#[derive(Clone, Default)]
pub(super) struct Slots(Vec<Vec<Slot>>);

/// The place of a key.
#[derive(Clone)]
pub(super) struct Slot {
    pub hash: u64,
    pub wake: Millis,
    /// The earliest timer that was set for it.
    pub timer: Millis,
    key_length: u32,
    /// Whether it has changed since the last checkpoint.
    pub changed: bool,
    /// Whether the last checkpoint has its key.
    pub saved: bool,
    /// The key, then its state.
    bytes: Vec<u8>,
}

impl Slots {
    /// How many there are, free ones too.
    pub fn len(&self) -> u32 {
        let slots = self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len());
        u32::try_from(slots).expect("a host has memory for less than 2^32 keys")
    }

    /// Brings some slots and what they hold into the cache, side by side: whoever goes through them then waits for none.
    pub fn fetch(&self, slots: impl Iterator<Item = u32>) {
        let first = |slot| self[slot].bytes.first().map_or(0, |byte| u32::from(*byte));
        black_box(slots.map(first).sum::<u32>());
    }

    /// Adds a free slot.
    pub fn push(&mut self) -> u32 {
        let slot = self.len();
        if self.0.last().is_none_or(|last| last.len() == CHUNK) {
            // The first grows as it must: most rules have few keys.
            self.0.push(Vec::with_capacity(if self.0.is_empty() { 0 } else { CHUNK }));
        }
        let free =
            Slot { hash: 0, wake: NEVER, timer: NEVER, key_length: 0, changed: false, saved: false, bytes: Vec::new() };
        self.0.last_mut().expect("one was just pushed").push(free);
        slot
    }
}

impl ops::Index<u32> for Slots {
    type Output = Slot;

    fn index(&self, slot: u32) -> &Slot {
        &self.0[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl ops::IndexMut<u32> for Slots {
    fn index_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.0[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl Slot {
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key_length as usize]
    }

    /// Whether it has no key.
    pub fn is_free(&self) -> bool {
        self.state().is_empty()
    }

    pub fn state(&self) -> &[u8] {
        &self.bytes[self.key_length as usize..]
    }

    /// Its key and its state.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.key_length as usize)
    }

    /// Takes a key, with room for its state.
    pub fn begin(&mut self, key: &[u8], hash: u64, state: &[u8]) {
        self.hash = hash;
        self.key_length = key.len() as u32;
        self.bytes.reserve_exact(key.len() + state.len());
        self.bytes.extend_from_slice(key);
    }

    pub fn set_state(&mut self, state: &[u8]) {
        self.bytes.truncate(self.key_length as usize);
        self.bytes.extend_from_slice(state);
    }

    /// Forgets its key. A timer that is still set finds another time here and is dropped when it is due.
    pub fn clear(&mut self) {
        self.key_length = 0;
        self.bytes.clear();
        self.bytes.shrink_to(ROOM_KEPT_BYTES_MAX);
        (self.wake, self.timer, self.saved) = (NEVER, NEVER, false);
    }
}
