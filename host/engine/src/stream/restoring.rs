//! Taking keyed state back from the last checkpoint: block by block, never the whole twice.

use std::collections::BTreeMap;

use tamis_model::error::Context as _;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use super::Stream;
use super::checkpointing::{RECENT_ALERTS, RULE_STATE, rule_keys};
use crate::checkpoint::Restored;
use crate::clock::Clock;
use crate::entries;
use crate::kept::Kept;
use crate::recent;

/// How much clock time lies between two words on how far it is.
const SAID_EVERY_MS: Millis = 1_000;

impl Stream {
    /// What versions had when the checkpoint was taken whose small state is `state`, and the recent alerts.
    pub(super) fn restore_keys(&mut self, state: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Kept>> {
        let mut versions = BTreeMap::new();
        for (owner, bytes) in state.iter().filter(|(owner, _)| owner.starts_with(RULE_STATE)) {
            let (kept, keys) = Kept::decode(owner, bytes, self.settings.shards)?;
            versions.insert(rule_keys(&kept), (kept, keys));
        }
        let mut recent_alerts = recent::Restoring::default();
        let Self { checkpoints, clock, hasher, .. } = self;
        let mut progress = Said { at: clock.now(), clock: &**clock };
        checkpoints.restore(&mut |part| {
            let mut version = versions.get_mut(part.owner);
            for entry in entries::read(part.owner, part.block) {
                let entry = entry?;
                let taken = match &mut version {
                    Some((kept, _)) => kept.states.restore(entry, hasher),
                    None if part.owner == RECENT_ALERTS => recent_alerts.take(entry),
                    None => None,
                };
                taken.ok_or("an entry is not what was saved").corrupt("restore", part.owner)?;
            }
            progress.go_on(&part);
            Ok(())
        })?;
        let recent_alerts = recent_alerts.finish();
        self.outbox.recent = recent_alerts.ok_or("some are missing").corrupt("restore", RECENT_ALERTS)?;
        for (owner, (kept, keys)) in &versions {
            if kept.states.keys() != *keys {
                let reason = format!("it has {} keys where {keys} were saved", kept.states.keys());
                return Err(Error::new(Kind::Corrupt, "restore", owner).because(reason));
            }
        }
        Ok(versions.into_values().map(|(kept, _)| kept).collect())
    }
}

/// When it was last said how far it is.
struct Said<'a> {
    at: Millis,
    clock: &'a dyn Clock,
}

impl Said<'_> {
    fn go_on(&mut self, part: &Restored<'_>) {
        let now = self.clock.now();
        if now.saturating_sub(self.at) >= SAID_EVERY_MS {
            self.at = now;
            tracing::info!(entries = part.read, of = part.of, "restoring the state of the rules");
        }
    }
}
