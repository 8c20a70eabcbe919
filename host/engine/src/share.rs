//! Which keys' alerts count, where a version runs as a canary beside the active one.

use sha2::{Digest, Sha256};

use crate::rules::{Role, RulePlan};

/// The keys whose alerts count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All.
    All,
    /// Those of the canary: `percent` of a hundred slots.
    Canary(u8),
    /// Those that are not the canary's.
    Rest(u8),
}

impl Share {
    /// The share of a version; `beside` is the other version of its rule that runs.
    pub fn of(plan: &RulePlan, beside: Option<&RulePlan>) -> Self {
        match (plan.role, beside.map(|other| other.role)) {
            (Role::Canary { percent, .. }, _) => Self::Canary(percent),
            (Role::Active, Some(Role::Canary { percent, .. })) => Self::Rest(percent),
            _ => Self::All,
        }
    }

    /// Whether the alerts of a key count.
    pub fn has(self, rule: &str, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Canary(percent) => slot(rule, key) < percent,
            Self::Rest(percent) => slot(rule, key) >= percent,
        }
    }
}

/// One of a hundred slots: by a hash, so that a key stays on its side, and by rule, so that not always the same customers try
/// what is new.
fn slot(rule: &str, key: &str) -> u8 {
    let hash = Sha256::new().chain_update(rule).chain_update("|").chain_update(key).finalize();
    let (head, _) = hash.split_first_chunk::<8>().expect("a hash has 32 bytes");
    (u64::from_be_bytes(*head) % 100) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_on_exactly_one_side_and_the_shares_are_as_large_as_they_say() {
        for percent in [1, 10, 50, 99] {
            let canary: Vec<bool> = (0..20_000)
                .map(|key| {
                    let key = format!("c{key}");
                    let canary = Share::Canary(percent).has("r", &key);
                    assert_ne!(canary, Share::Rest(percent).has("r", &key));
                    canary
                })
                .collect();
            let share = canary.iter().filter(|is| **is).count() as f64 / 200.0;
            assert!((share - f64::from(percent)).abs() < 1.5, "{share} instead of {percent} %");
        }
    }

    #[test]
    fn a_larger_share_keeps_the_keys_of_a_smaller_one() {
        let has =
            |percent| (0..1000).filter(|key| Share::Canary(percent).has("r", &key.to_string())).collect::<Vec<_>>();
        let large = has(30);
        assert!(has(10).iter().all(|key| large.contains(key)));
    }
}
