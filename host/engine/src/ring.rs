//! The last things of a kind: so many at most, and kept by checkpoints.

use std::mem;

use crate::checkpoint::{Keyed, KeyedState};
use crate::entries::{Entries, Entry};

/// The last `MAX` things.
pub(crate) struct Ring<T, const MAX: usize> {
    /// Thing `n` since the beginning is at place `n` modulo `MAX`.
    places: Vec<T>,
    /// How many there were.
    pushed: u64,
    /// Of how many the last checkpoint knows; none = there is none to go on from.
    saved: Option<u64>,
    /// The place at which the round of what is repeated stands.
    repeated: usize,
}

impl<T, const MAX: usize> Default for Ring<T, MAX> {
    fn default() -> Self {
        Self { places: Vec::new(), pushed: 0, saved: None, repeated: 0 }
    }
}

impl<T, const MAX: usize> Ring<T, MAX> {
    /// Adds one. Returns the oldest when it has to go for it.
    pub fn push(&mut self, thing: T) -> Option<T> {
        let place = Self::place(self.pushed);
        self.pushed += 1;
        match self.places.get_mut(place) {
            Some(oldest) => Some(mem::replace(oldest, thing)),
            None => {
                self.places.push(thing);
                None
            }
        }
    }

    /// Which one the next will be.
    pub fn next(&self) -> u64 {
        self.pushed
    }

    /// The `n`-th since the beginning, which is still there.
    pub fn get(&self, n: u64) -> &T {
        &self.places[Self::place(n)]
    }

    /// All that are there, oldest first, each with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.oldest()..self.pushed).map(|n| (n, self.get(n)))
    }

    fn oldest(&self) -> u64 {
        self.pushed - self.places.len() as u64
    }

    fn place(n: u64) -> usize {
        (n % MAX as u64) as usize
    }
}

impl<T: AsRef<[u8]>, const MAX: usize> Ring<T, MAX> {
    /// The key is a place of the ring, the value which thing it is, and the thing.
    fn say(&self, n: u64, entries: &mut Entries) {
        let place = Self::place(n) as u32;
        entries.put(&place.to_be_bytes(), &[&n.to_be_bytes(), self.get(n).as_ref()]);
    }
}

impl<T: AsRef<[u8]> + Send, const MAX: usize> KeyedState for Ring<T, MAX> {
    fn take_changes(&mut self) -> Keyed {
        let saved = self.saved.replace(self.pushed);
        let mut changes = Entries::default();
        (saved.unwrap_or(0).max(self.oldest())..self.pushed).for_each(|n| self.say(n, &mut changes));
        Keyed { whole: saved.is_none(), changes, ..Keyed::default() }
    }

    fn keys(&self) -> usize {
        self.places.len()
    }

    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed) {
        let oldest = self.oldest();
        let end = self.places.len().min(self.repeated.saturating_add(keys_max as usize));
        for at in self.repeated..end {
            // The last thing at this place.
            let n = oldest + (at as u64 + MAX as u64 - Self::place(oldest) as u64) % MAX as u64;
            self.say(n, &mut keyed.repeated);
        }
        keyed.round_ends = end == self.places.len();
        self.repeated = if keyed.round_ends { 0 } else { end };
    }
}

/// A ring that comes back from a checkpoint.
pub(crate) struct Restoring<T, const MAX: usize> {
    /// By place: which thing it is, and the thing.
    places: Vec<Option<(u64, T)>>,
}

impl<T, const MAX: usize> Default for Restoring<T, MAX> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T: for<'a> TryFrom<&'a [u8]>, const MAX: usize> Restoring<T, MAX> {
    /// Takes an entry. None when its bytes are something else.
    pub fn take(&mut self, entry: Entry<'_>) -> Option<()> {
        let (n, thing) = entry.value?.split_first_chunk()?;
        let (n, thing) = (u64::from_be_bytes(*n), T::try_from(thing).ok()?);
        let at = Ring::<T, MAX>::place(n);
        if entry.key != (at as u32).to_be_bytes() {
            return None;
        }
        if at >= self.places.len() {
            self.places.resize_with(at + 1, || None);
        }
        self.places[at] = Some((n, thing));
        Some(())
    }

    /// The ring. None when some are missing.
    pub fn finish(self) -> Option<Ring<T, MAX>> {
        let places: Vec<(u64, T)> = self.places.into_iter().collect::<Option<_>>()?;
        let pushed = places.iter().map(|(n, _)| n + 1).max().unwrap_or(0);
        let oldest = pushed.checked_sub(places.len() as u64)?;
        let is_full = oldest == 0 || places.len() == MAX;
        if !is_full || places.iter().any(|(n, _)| *n < oldest) {
            return None;
        }
        let places = places.into_iter().map(|(_, thing)| thing).collect();
        // The checkpoint may be of a time at which there was no such ring.
        let saved = Some(pushed).filter(|pushed| *pushed > 0);
        Some(Ring { places, pushed, saved, repeated: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::read;

    const MAX: usize = 100;
    type Numbers = Ring<[u8; 8], MAX>;

    fn numbers(ring: &Numbers) -> Vec<(u64, u64)> {
        ring.iter().map(|(n, thing)| (n, u64::from_be_bytes(*thing))).collect()
    }

    /// What was said before the round that ended last is superfluous, and a checkpoint says little when little came.
    #[test]
    fn changes_and_rounds_make_up_the_whole() {
        let mut ring = Numbers::default();
        let (mut round, mut before, mut rounds) = (Vec::new(), Vec::new(), 0);
        for (checkpoint, count) in [0, 3, MAX - 10, 4, 0, 50, 90, 7, MAX, MAX + 7, 1].into_iter().enumerate() {
            for n in 0..count {
                let gone = ring.push(((checkpoint << 32 | n) as u64).to_be_bytes());
                assert_eq!(gone.is_some(), ring.next() > MAX as u64);
            }
            let mut keyed = ring.take_changes();
            assert_eq!(keyed.whole, checkpoint == 0);
            if !keyed.whole {
                ring.repeat(count as u64, &mut keyed);
            }
            assert!(keyed.changes.len() <= count as u64 && keyed.repeated.len() <= count as u64);
            round.push(keyed.changes);
            round.push(keyed.repeated);
            if keyed.round_ends {
                (before, rounds) = (mem::take(&mut round), rounds + 1);
            }
            let mut restoring = Restoring::default();
            for block in before.iter().chain(&round).flat_map(|entries: &Entries| entries.blocks()) {
                read("test", &block.bytes).for_each(|entry| restoring.take(entry.unwrap()).unwrap());
            }
            assert_eq!(numbers(&restoring.finish().unwrap()), numbers(&ring));
        }
        assert!(rounds > 3);
    }

    #[test]
    fn what_is_not_a_ring_is_refused() {
        let value = |n: u64| [n.to_be_bytes(), [7; 8]].concat();
        let check = |entries: &[(u32, u64)], whole: bool| {
            let mut restoring = Restoring::<[u8; 8], MAX>::default();
            let mut take = |(place, n): &(u32, u64)| {
                restoring.take(Entry { key: &place.to_be_bytes(), value: Some(&value(*n)) }).is_some()
            };
            assert_eq!(entries.iter().all(&mut take) && restoring.finish().is_some(), whole, "{entries:?}");
        };
        check(&[], true);
        check(&[(1, 1), (0, 0)], true);
        check(&[(1, 1)], false);
        check(&[(0, 0), (1, 1 + MAX as u64)], false);
        check(&[(1, 0)], false);
        let mut restoring = Restoring::<[u8; 8], MAX>::default();
        assert_eq!(restoring.take(Entry { key: &[0; 4], value: None }), None);
        assert_eq!(restoring.take(Entry { key: &[0; 4], value: Some(&[0; 15]) }), None);
    }
}
