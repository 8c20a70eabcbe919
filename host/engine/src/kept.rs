//! What outlives the code of a rule: its state and its time, with the name of the version that wrote it.

use tamis_model::rule::Rule;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::codec::{Reader, write_bytes, write_number, write_signed};
use crate::rules::{OnStateChange, RulePlan};
use crate::states::States;
use crate::watermark::BEGINNING;

/// The first byte of what is encoded; changes when the encoding does.
const ENCODING: u64 = 3;

/// What outlives the code of a rule.
pub(crate) struct Kept {
    pub author: Author,
    pub states: States,
    /// Under what number of the rule's checkpoints have its keys, whichever version they pass to; none = they have not yet.
    pub line: Option<u32>,
    /// The lowest of its topics'; never goes back.
    pub watermark: Millis,
    /// Why the host has stopped the version.
    pub tripped: Option<String>,
}

/// The version of a rule that wrote a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Author {
    pub rule: String,
    pub version: u32,
    pub trial: bool,
    plugin: String,
    plugin_version: String,
    state_version: u32,
    state_shape: String,
}

/// What a version begins with.
pub(crate) enum Inheritance {
    /// The state as it is.
    Same,
    /// The states of the shards as its plugin migrated them.
    Migrated(States),
    /// Nothing.
    Nothing,
}

impl Author {
    pub fn of(plan: &RulePlan) -> Self {
        Self {
            rule: plan.name.clone(),
            version: plan.version,
            trial: plan.role.is_trial(),
            plugin: plan.plugin.name.clone(),
            plugin_version: plan.plugin.version.clone(),
            state_version: plan.manifest.state_version,
            state_shape: plan.manifest.state_shape.clone(),
        }
    }

    /// The rule and the number of the version.
    pub fn place(&self) -> (String, u32) {
        (self.rule.clone(), self.version)
    }

    /// What tells whether one can read the state of the other.
    fn language(&self) -> (&str, u32, &str) {
        (&self.plugin, self.state_version, &self.state_shape)
    }
}

impl Kept {
    /// Nothing yet.
    pub fn new(plan: &RulePlan, shards: usize) -> Self {
        let states = States::new(shards);
        Self { author: Author::of(plan), states, line: None, watermark: BEGINNING, tripped: None }
    }

    /// The same for another version beside this one.
    pub fn copied(&self) -> Self {
        let Self { author, states, line: _, watermark, tripped } = self;
        let (author, states, tripped) = (author.clone(), states.copied(), tripped.clone());
        Self { author, states, line: None, watermark: *watermark, tripped }
    }

    /// What `plan`, whose code is `code`, makes of this. What is on trial begins with nothing where it cannot read the state; an
    /// active version does so only when it may.
    pub fn inherited_by(&self, plan: &RulePlan, code: &mut dyn Rule) -> Result<Inheritance> {
        let heir = Author::of(plan);
        if self.states.keys() == 0 || self.author.language() == heir.language() {
            return Ok(Inheritance::Same);
        }
        let migrates =
            self.author.plugin == heir.plugin && plan.manifest.migrates_from.contains(&self.author.state_version);
        match (plan.on_state_change, plan.role.is_trial()) {
            (OnStateChange::Migrate, _) | (OnStateChange::Keep, true) if migrates => {
                Ok(Inheritance::Migrated(self.states.migrated(code, self.author.state_version)?))
            }
            (OnStateChange::Reset, _) | (_, true) => Ok(Inheritance::Nothing),
            (OnStateChange::Keep | OnStateChange::Migrate, false) => Err(self.foreign_to(plan, &heir)),
        }
    }

    fn foreign_to(&self, plan: &RulePlan, heir: &Author) -> Error {
        let Author { plugin, plugin_version, state_version, state_shape, .. } = &self.author;
        let shape = if self.author.state_version == heir.state_version && *plugin == heir.plugin {
            format!(", and it is written otherwise: `{state_shape}`, not `{}`", heir.state_shape)
        } else {
            String::new()
        };
        let reason = format!(
            "{} keys have state version {state_version} of {plugin} {plugin_version}, and {} {} wants state version {}{shape}",
            self.states.keys(),
            heir.plugin,
            heir.plugin_version,
            heir.state_version
        );
        Error::invalid("go on with the state of", format!("rule {}", plan.name), reason)
    }

    /// As bytes: everything but the keys, of which it has the number.
    pub fn encode(&self) -> Vec<u8> {
        let Author { rule, version, trial, plugin, plugin_version, state_version, state_shape } = &self.author;
        let mut out = Vec::new();
        write_number(&mut out, ENCODING);
        write_bytes(&mut out, rule.as_bytes());
        write_number(&mut out, u64::from(*version));
        write_number(&mut out, u64::from(*trial));
        write_bytes(&mut out, plugin.as_bytes());
        write_bytes(&mut out, plugin_version.as_bytes());
        write_number(&mut out, u64::from(*state_version));
        write_bytes(&mut out, state_shape.as_bytes());
        // Why it was stopped; a reason is never empty.
        write_bytes(&mut out, self.tripped.as_deref().unwrap_or_default().as_bytes());
        write_signed(&mut out, self.watermark);
        write_number(&mut out, u64::from(self.line.unwrap_or_default()));
        write_number(&mut out, self.states.keys() as u64);
        out
    }

    /// Reads what [`Kept::encode`] wrote; `owner` names it in checkpoints. The keys are yet to come: returns how many.
    pub fn decode(owner: &str, bytes: &[u8], shards: usize) -> Result<(Self, usize)> {
        let corrupt = || Error::new(Kind::Corrupt, "restore", format!("the state {owner}"));
        let mut reader = Reader(bytes);
        if reader.number().ok_or_else(corrupt)? != ENCODING {
            return Err(corrupt().because("it is of another encoding"));
        }
        let kept = Self::read(&mut reader, shards);
        kept.filter(|_| reader.0.is_empty()).ok_or_else(corrupt)
    }

    fn read(reader: &mut Reader<'_>, shards: usize) -> Option<(Self, usize)> {
        let author = Author {
            rule: text(reader)?,
            version: small(reader)?,
            trial: small(reader)? != 0,
            plugin: text(reader)?,
            plugin_version: text(reader)?,
            state_version: small(reader)?,
            state_shape: text(reader)?,
        };
        let tripped = Some(text(reader)?).filter(|reason| !reason.is_empty());
        let (watermark, line) = (reader.signed()?, Some(small(reader)?));
        let keys = usize::try_from(reader.number()?).ok()?;
        Some((Self { author, states: States::restoring(shards), line, watermark, tripped }, keys))
    }
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    String::from_utf8(reader.bytes()?.to_vec()).ok()
}

fn small(reader: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(reader.number()?).ok()
}
