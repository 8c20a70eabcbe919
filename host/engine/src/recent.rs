//! The alerts raised last: an alert is unique by its id, and the first content stands.
//!
//! The memory is bounded. A repeat that comes after it has been forgotten is met by the unique key of the warehouse.

use hashbrown::HashSet;

use crate::checkpoint::{Keyed, KeyedState};
use crate::entries::{Entries, Entry};

/// How many ids are remembered.
const IDS_MAX: usize = 1 << 19;

/// The ids of the alerts raised last.
#[derive(Default)]
pub(crate) struct RecentAlerts {
    known: HashSet<u128>,
    /// Alert `n` since the beginning is at place `n` modulo [`IDS_MAX`].
    ring: Vec<u128>,
    /// How many there were.
    raised: u64,
    /// Of how many the last checkpoint knows; none = there is none to go on from.
    saved: Option<u64>,
    /// The place at which the round of what is repeated stands.
    repeated: usize,
}

impl RecentAlerts {
    /// Remembers an `alert_id`. False when it is known.
    pub fn insert(&mut self, alert_id: &str) -> bool {
        let id = u128::from_str_radix(alert_id, 16).expect("an alert id is 32 hex digits");
        if !self.known.insert(id) {
            return false;
        }
        let place = place(self.raised);
        match self.ring.get_mut(place) {
            Some(oldest) => {
                self.known.remove(oldest);
                *oldest = id;
            }
            None => self.ring.push(id),
        }
        self.raised += 1;
        true
    }

    /// Whether an `alert_id` is known.
    pub fn has(&self, alert_id: &str) -> bool {
        u128::from_str_radix(alert_id, 16).is_ok_and(|id| self.known.contains(&id))
    }

    /// The key is a place of the ring, the value which alert it was, and its id.
    fn say(&self, n: u64, entries: &mut Entries) {
        let place = place(n);
        entries.put(&(place as u32).to_be_bytes(), &[&n.to_be_bytes(), &self.ring[place].to_be_bytes()]);
    }
}

impl KeyedState for RecentAlerts {
    fn take_changes(&mut self) -> Keyed {
        let oldest = self.raised - self.ring.len() as u64;
        let saved = self.saved.replace(self.raised);
        let mut changes = Entries::default();
        (saved.unwrap_or(0).max(oldest)..self.raised).for_each(|n| self.say(n, &mut changes));
        Keyed { whole: saved.is_none(), changes, ..Keyed::default() }
    }

    fn keys(&self) -> usize {
        self.ring.len()
    }

    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed) {
        let oldest = self.raised - self.ring.len() as u64;
        let end = self.ring.len().min(self.repeated.saturating_add(keys_max as usize));
        for at in self.repeated..end {
            // The last alert at this place.
            let n = oldest + (at as u64 + IDS_MAX as u64 - place(oldest) as u64) % IDS_MAX as u64;
            self.say(n, &mut keyed.repeated);
        }
        keyed.round_ends = end == self.ring.len();
        self.repeated = if keyed.round_ends { 0 } else { end };
    }
}

/// Ids that come back from a checkpoint.
#[derive(Default)]
pub(crate) struct Restoring {
    /// By place: which alert it was, and its id.
    ring: Vec<Option<(u64, u128)>>,
}

impl Restoring {
    /// Takes an entry. None when its bytes are something else.
    pub fn take(&mut self, entry: Entry<'_>) -> Option<()> {
        let (n, id) = entry.value?.split_first_chunk()?;
        let (n, id) = (u64::from_be_bytes(*n), u128::from_be_bytes(id.try_into().ok()?));
        let at = place(n);
        if entry.key != (at as u32).to_be_bytes() {
            return None;
        }
        self.ring.resize(self.ring.len().max(at + 1), None);
        self.ring[at] = Some((n, id));
        Some(())
    }

    /// The ids. None when some are missing.
    pub fn finish(self) -> Option<RecentAlerts> {
        let ring: Vec<(u64, u128)> = self.ring.into_iter().collect::<Option<_>>()?;
        let raised = ring.iter().map(|(n, _)| n + 1).max().unwrap_or(0);
        let oldest = raised.checked_sub(ring.len() as u64)?;
        let is_full = oldest == 0 || ring.len() == IDS_MAX;
        if !is_full || ring.iter().any(|(n, _)| *n < oldest) {
            return None;
        }
        let ring: Vec<u128> = ring.into_iter().map(|(_, id)| id).collect();
        Some(RecentAlerts { known: ring.iter().copied().collect(), ring, raised, saved: Some(raised), repeated: 0 })
    }
}

fn place(n: u64) -> usize {
    (n % IDS_MAX as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::read;

    fn id(n: usize) -> String {
        format!("{n:032x}")
    }

    fn take(restoring: &mut Restoring, entries: &Entries) {
        for block in entries.blocks() {
            read("test", &block.bytes).for_each(|entry| restoring.take(entry.unwrap()).unwrap());
        }
    }

    #[test]
    fn the_first_stands_until_it_is_forgotten() {
        let mut recent = RecentAlerts::default();
        assert!(recent.insert(&id(0)));
        assert!(!recent.insert(&id(0)));
        for n in 1..IDS_MAX {
            recent.insert(&id(n));
        }
        let mut restoring = Restoring::default();
        take(&mut restoring, &recent.take_changes().changes);
        let mut restored = restoring.finish().unwrap();
        assert!(!restored.insert(&id(0)), "the memory is full, nothing is forgotten yet");
        assert!(restored.insert(&id(IDS_MAX)));
        assert!(restored.insert(&id(0)), "the oldest was forgotten");
        assert!(!restored.insert(&id(2)));
        assert_eq!(restored.known.len(), IDS_MAX);
    }

    /// What was said before the round that ended last is superfluous, and a checkpoint says little when little was raised.
    #[test]
    fn changes_and_rounds_make_up_the_whole() {
        let mut recent = RecentAlerts::default();
        let (mut round, mut before, mut rounds) = (Vec::new(), Vec::new(), 0);
        for (checkpoint, alerts) in
            [0, 3, IDS_MAX - 10, 4, 0, 50_000, 90_000, 30, IDS_MAX, IDS_MAX + 7, 1].into_iter().enumerate()
        {
            (0..alerts).for_each(|n| _ = recent.insert(&id(checkpoint << 32 | n)));
            let mut keyed = recent.take_changes();
            assert_eq!(keyed.whole, checkpoint == 0);
            if !keyed.whole {
                recent.repeat(alerts as u64, &mut keyed);
            }
            assert!(keyed.changes.len() <= alerts as u64 && keyed.repeated.len() <= alerts as u64);
            round.push(keyed.changes);
            round.push(keyed.repeated);
            if keyed.round_ends {
                (before, rounds) = (std::mem::take(&mut round), rounds + 1);
            }
            let mut restoring = Restoring::default();
            before.iter().chain(&round).for_each(|entries| take(&mut restoring, entries));
            let restored = restoring.finish().unwrap();
            assert_eq!((&restored.ring, restored.raised), (&recent.ring, recent.raised));
            assert_eq!(restored.known, recent.known);
        }
        assert!(rounds > 3);
    }

    #[test]
    fn what_is_not_a_ring_is_refused() {
        let value = |n: u64| [&n.to_be_bytes()[..], &[7; 16]].concat();
        let check = |entries: &[(u32, u64)], whole: bool| {
            let mut restoring = Restoring::default();
            let mut take = |(place, n): &(u32, u64)| {
                restoring.take(Entry { key: &place.to_be_bytes(), value: Some(&value(*n)) }).is_some()
            };
            assert_eq!(entries.iter().all(&mut take) && restoring.finish().is_some(), whole, "{entries:?}");
        };
        check(&[], true);
        check(&[(1, 1), (0, 0)], true);
        check(&[(1, 1)], false);
        check(&[(0, 0), (1, 1 + IDS_MAX as u64)], false);
        check(&[(1, 0)], false);
        assert_eq!(Restoring::default().take(Entry { key: &[0; 4], value: None }), None);
        assert_eq!(Restoring::default().take(Entry { key: &[0; 4], value: Some(&[0; 23]) }), None);
    }
}
