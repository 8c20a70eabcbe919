//! The alerts raised last: an alert is unique by its id, and the first content stands.
//!
//! The memory is bounded. A repeat that comes after it has been forgotten is met by the unique key of the warehouse.

use hashbrown::HashSet;

use crate::checkpoint::KeyedState;
use crate::ring::{self, Ring};

/// How many ids are remembered.
const IDS_MAX: usize = 1 << 19;

/// An id, as its bytes.
type Id = [u8; 16];

/// The ids that come back from a checkpoint.
pub(crate) type Restoring = ring::Restoring<Id, IDS_MAX>;

/// The ids of the alerts raised last.
#[derive(Default)]
pub(crate) struct RecentAlerts {
    known: HashSet<Id>,
    ring: Ring<Id, IDS_MAX>,
}

impl RecentAlerts {
    /// Those that came back. None when some are missing.
    pub fn restored(restoring: Restoring) -> Option<Self> {
        let ring = restoring.finish()?;
        Some(Self { known: ring.iter().map(|(_, id)| *id).collect(), ring })
    }

    /// Remembers an `alert_id`. False when it is known.
    pub fn insert(&mut self, alert_id: &str) -> bool {
        let id = read(alert_id).expect("an alert id is 32 hex digits");
        if !self.known.insert(id) {
            return false;
        }
        if let Some(oldest) = self.ring.push(id) {
            self.known.remove(&oldest);
        }
        true
    }

    /// Whether an `alert_id` is known.
    pub fn has(&self, alert_id: &str) -> bool {
        read(alert_id).is_some_and(|id| self.known.contains(&id))
    }

    /// What checkpoints keep.
    pub fn state(&mut self) -> &mut dyn KeyedState {
        &mut self.ring
    }
}

fn read(alert_id: &str) -> Option<Id> {
    u128::from_str_radix(alert_id, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries;

    fn id(n: usize) -> String {
        format!("{n:032x}")
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
        for block in recent.state().take_changes().changes.blocks() {
            entries::read("test", &block.bytes).for_each(|entry| restoring.take(entry.unwrap()).unwrap());
        }
        let mut restored = RecentAlerts::restored(restoring).unwrap();
        assert!(!restored.insert(&id(0)), "the memory is full, nothing is forgotten yet");
        assert!(restored.insert(&id(IDS_MAX)));
        assert!(restored.insert(&id(0)), "the oldest was forgotten");
        assert!(!restored.insert(&id(2)));
        assert_eq!(restored.known.len(), IDS_MAX);
    }
}
