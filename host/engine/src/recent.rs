//! The alerts raised last: an alert is unique by its id, and the first content stands.
//!
//! The memory is bounded. A repeat that comes after it has been forgotten is met by the unique key of the warehouse.

use std::collections::VecDeque;

use hashbrown::HashSet;
use tamis_model::{Error, Kind, Result};

/// How many ids are remembered.
const IDS_MAX: usize = 1 << 17;

/// The ids of the alerts raised last.
#[derive(Default)]
pub(crate) struct RecentAlerts {
    known: HashSet<u128>,
    order: VecDeque<u128>,
}

impl RecentAlerts {
    /// Remembers an `alert_id`. False when it is known.
    pub fn insert(&mut self, alert_id: &str) -> bool {
        let id = u128::from_str_radix(alert_id, 16).expect("an alert id is 32 hex digits");
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// The ids, oldest first, 16 bytes each.
    pub fn encode(&self) -> Vec<u8> {
        self.order.iter().flat_map(|id| id.to_be_bytes()).collect()
    }

    /// Reads what [`RecentAlerts::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (ids, rest) = bytes.as_chunks::<16>();
        if !rest.is_empty() || ids.len() > IDS_MAX {
            return Err(Error::new(Kind::Corrupt, "restore", "the ids of recent alerts"));
        }
        let order: VecDeque<u128> = ids.iter().map(|id| u128::from_be_bytes(*id)).collect();
        Ok(Self { known: order.iter().copied().collect(), order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stands_until_it_is_forgotten() {
        let id = |n: usize| format!("{n:032x}");
        let mut recent = RecentAlerts::default();
        assert!(recent.insert(&id(0)));
        assert!(!recent.insert(&id(0)));
        for n in 1..IDS_MAX {
            recent.insert(&id(n));
        }
        let mut restored = RecentAlerts::decode(&recent.encode()).unwrap();
        assert!(!restored.insert(&id(0)), "the memory is full, nothing is forgotten yet");
        assert!(restored.insert(&id(IDS_MAX)));
        assert!(restored.insert(&id(0)), "the oldest was forgotten");
        assert!(!restored.insert(&id(2)));
        assert_eq!(restored.known.len(), IDS_MAX);
        assert!(RecentAlerts::decode(&[1; 17]).is_err());
    }
}
