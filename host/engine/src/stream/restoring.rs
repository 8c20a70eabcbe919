//! Taking keyed state back from the last checkpoint: block by block, never the whole twice.

use std::collections::BTreeMap;

use hashbrown::DefaultHashBuilder;
use tamis_model::error::Context as _;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use super::checkpointing::{ANSWERS, RECENT_ALERTS, RULE_STATE, rule_keys};
use crate::checkpoint::{Checkpoint, Restored};
use crate::clock::Clock;
use crate::committer::Committer;
use crate::decisions::{self, Known};
use crate::entries;
use crate::kept::Kept;
use crate::recent::{self, RecentAlerts};

/// How much clock time lies between two words on how far it is.
const SAID_EVERY_MS: Millis = 1_000;

/// What the last checkpoint has.
pub(super) struct Last {
    pub checkpoint: Checkpoint,
    /// Whether it knows every sink.
    pub complete: bool,
    /// What versions had when it was taken.
    pub kept: Vec<Kept>,
    pub recent: RecentAlerts,
    /// What came of requests with keys.
    pub answers: Known,
}

impl Last {
    /// Commits its output again and takes the keyed state back; none when there is no checkpoint.
    pub fn restore(
        committer: &mut Committer,
        clock: &dyn Clock,
        shards: usize,
        hasher: &DefaultHashBuilder,
    ) -> Result<Option<Self>> {
        let Committer { sinks, checkpoints } = committer;
        let Some(checkpoint) = checkpoints.latest()? else { return Ok(None) };
        let complete = sinks.commit(&checkpoint.staged)?;
        let mut versions = BTreeMap::new();
        for (owner, bytes) in checkpoint.state.iter().filter(|(owner, _)| owner.starts_with(RULE_STATE)) {
            let (kept, keys) = Kept::decode(owner, bytes, shards)?;
            versions.insert(rule_keys(&kept), (kept, keys));
        }
        let mut recent = recent::Restoring::default();
        let mut answers = decisions::Restoring::default();
        let mut progress = Said { at: clock.now(), clock };
        checkpoints.restore(&mut |part| {
            let mut version = versions.get_mut(part.owner);
            for entry in entries::read(part.owner, part.block) {
                let entry = entry?;
                let taken = match &mut version {
                    Some((kept, _)) => kept.states.restore(entry, hasher),
                    None if part.owner == RECENT_ALERTS => recent.take(entry),
                    None if part.owner == ANSWERS => answers.take(entry),
                    None => None,
                };
                taken.ok_or("an entry is not what was saved").corrupt("restore", part.owner)?;
            }
            progress.go_on(&part);
            Ok(())
        })?;
        let recent = RecentAlerts::restored(recent).ok_or("some are missing").corrupt("restore", RECENT_ALERTS)?;
        let answers = Known::restored(answers).ok_or("some are missing, or are none").corrupt("restore", ANSWERS)?;
        for (owner, (kept, keys)) in &versions {
            if kept.states.keys() != *keys {
                let reason = format!("it has {} keys where {keys} were saved", kept.states.keys());
                return Err(Error::new(Kind::Corrupt, "restore", owner).because(reason));
            }
        }
        let kept = versions.into_values().map(|(kept, _)| kept).collect();
        Ok(Some(Self { checkpoint, complete, kept, recent, answers }))
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
