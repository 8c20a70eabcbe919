//! A plugin at work as a rule.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, new_empty_array};
use tamis_model::manifest::Manifest;
use tamis_model::rule::{Judged, Keyed, Poisoned, PoisonedSubject, Rule};
use tamis_model::schema::ColumnType;
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::{Error, Result};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bisect::isolate;
use crate::guest::{Configure, Export, Exports, Failure, Guest, Signature};
use crate::host::HostState;
use crate::lower::Lowering;
use crate::outcome;
use crate::part::{Assembly, Cut};
use crate::plugin::Plugin;
use crate::wire;

/// A rule in the sandbox. Keeps one instance and reuses it; `Send`, one for each thread that judges.
pub struct SandboxedRule {
    guest: Guest<RuleExports>,
    columns: Vec<ColumnType>,
    no_rows: Vec<ArrayRef>,
    no_events: [ArrayRef; 3],
    lowering: Lowering,
    identities: Lowering,
}

struct Apply;

impl Signature for Apply {
    const NAME: &'static str = "apply";
    type Params<'a> = (wire::Keyed<'a>,);
    type Ok = wire::RuleOutcome;
}

struct Advance;

impl Signature for Advance {
    const NAME: &'static str = "advance";
    type Params<'a> = (wire::Keyed<'a>,);
    type Ok = wire::RuleOutcome;
}

struct Migrate;

impl Signature for Migrate {
    const NAME: &'static str = "migrate";
    type Params<'a> = (wire::Strings<'a>, u32);
    type Ok = wire::StringsBuf;
}

struct RuleExports {
    configure: Export<Configure>,
    migrate: Export<Migrate>,
    apply: Export<Apply>,
    advance: Export<Advance>,
}

impl Exports for RuleExports {
    fn bind(instance: &Instance, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        Ok(Self {
            configure: Export::bind(instance, store)?,
            migrate: Export::bind(instance, store)?,
            apply: Export::bind(instance, store)?,
            advance: Export::bind(instance, store)?,
        })
    }

    fn configure(&self) -> Export<Configure> {
        self.configure
    }
}

impl std::fmt::Debug for SandboxedRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SandboxedRule({})", self.guest.plugin())
    }
}

impl SandboxedRule {
    pub(crate) fn new(plugin: &Arc<Plugin>, config: &str) -> Result<Self> {
        check_described(plugin, config)?;
        let columns: Vec<_> = plugin.manifest().columns().map(|column| column.column_type).collect();
        Ok(Self {
            guest: Guest::new(plugin, config)?,
            no_rows: columns.iter().map(|column_type| new_empty_array(&column_type.arrow())).collect(),
            no_events: [(); 3].map(|()| new_empty_array(&ColumnType::Text.arrow())),
            columns,
            lowering: Lowering::default(),
            identities: Lowering::default(),
        })
    }

    /// Judges the whole; when the plugin fails on it, finds out on what.
    fn judge(&mut self, cut: Cut, given: &Keyed<'_>) -> Result<Judged> {
        check_shape(given, self.guest.plugin().manifest(), cut)
            .map_err(|why| Error::invalid("hand a batch to", self.guest.plugin(), why))?;
        let len = match cut {
            Cut::Rows => given.rows,
            Cut::Keys => given.keys.len(),
        };
        if len == 0 {
            return Assembly::new(given, cut).finish(&self.emitted_nothing());
        }
        let failure = match self.call(cut, given)? {
            Ok(judged) => return Ok(judged),
            Err(failure) => failure,
        };
        let deadline = Duration::from_millis(u64::from(self.guest.plugin().manifest().limits.deadline_ms));
        let mut assembly = Assembly::new(given, cut);
        let isolated = isolate(len, failure, deadline, |range| {
            let part = assembly.part(range);
            let result = self.call(cut, &part.keyed(given))?;
            Ok(result.map(|judged| assembly.add(&part, judged)))
        })?;
        let mut judged = assembly.finish(&self.emitted_nothing())?;
        judged.exhausted = isolated.exhausted;
        judged.poisoned = isolated.poisoned.into_iter().map(|(i, failure)| poison(cut, i, failure)).collect();
        Ok(judged)
    }

    fn call(&mut self, cut: Cut, given: &Keyed<'_>) -> Result<Result<Judged, Failure>> {
        // Due keys come without rows, not without columns: a guest finds the same ones in every call.
        let (columns, events) = match cut {
            Cut::Rows => (given.columns, given.identities),
            Cut::Keys => (self.no_rows.as_slice(), Some(&self.no_events)),
        };
        let manifest = self.guest.plugin().manifest();
        let (keyed, several, remembers) = (manifest.keyed(), manifest.inputs.len() > 1, manifest.remembers);
        let columns = self.lowering.lower(given.rows, self.columns.iter().copied(), columns)?;
        let identities = match events.filter(|_| remembers) {
            Some(events) => {
                Some(identities(self.identities.lower(given.rows, [ColumnType::Text; 3].into_iter(), events)?))
            }
            None => None,
        };
        let batch = wire::Keyed {
            batch: wire::Batch {
                rows: u32::try_from(given.rows).expect("a batch has less than 2^32 rows"),
                columns: &columns,
            },
            input: several.then_some(given.input),
            times: given.times,
            groups: keyed.then(|| wire::Groups {
                members: given.groups,
                keys: given.keys.into(),
                states: given.states.into(),
            }),
            identities,
            watermark: given.watermark,
        };
        let outcome = match cut {
            Cut::Rows => self.guest.call(|exports| exports.apply, (batch,))?,
            Cut::Keys => self.guest.call(|exports| exports.advance, (batch,))?,
        };
        let judged = outcome.and_then(|outcome| {
            outcome::checked(outcome, given, self.guest.plugin().manifest()).map_err(Failure::contract)
        });
        if judged.is_err() {
            self.guest.discard();
        }
        Ok(judged)
    }

    /// The arrays of no emitted rows: none without a declared output.
    fn emitted_nothing(&self) -> Vec<ArrayRef> {
        let output = self.guest.plugin().manifest().output.iter();
        output.flat_map(|output| &output.columns).map(|column| new_empty_array(&column.column_type.arrow())).collect()
    }
}

impl Rule for SandboxedRule {
    fn configure(&mut self, config: &str) -> Result<()> {
        check_described(self.guest.plugin(), config)?;
        self.guest.configure(config)
    }

    fn migrate(&mut self, states: Strings<'_>, from_version: u32) -> Result<StringsBuf> {
        let object = format!("states of version {from_version} by plugin {}", self.guest.plugin());
        if !self.guest.plugin().manifest().migrates_from.contains(&from_version) {
            return Err(Error::invalid("migrate", object, "its manifest does not name that version"));
        }
        let migrated = self.guest.call(|exports| exports.migrate, (states.into(), from_version))?;
        let migrated = migrated.and_then(|migrated| outcome::states(migrated, states.len()).map_err(Failure::contract));
        if migrated.is_err() {
            self.guest.discard();
        }
        migrated.map_err(|failure| failure.into_error("migrate", object))
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        self.judge(Cut::Rows, rows)
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        self.judge(Cut::Keys, due)
    }
}

/// Whether the manifest is that of `config`: it says which columns are handed over.
fn check_described(plugin: &Arc<Plugin>, config: &str) -> Result<()> {
    if plugin.configured(config)?.manifest() == plugin.manifest() {
        return Ok(());
    }
    let why = "under this configuration it describes itself in another way; `Plugin::configured` is the plugin for it";
    Err(Error::invalid("configure plugin", plugin, why))
}

fn identities(columns: Vec<wire::Column<'_>>) -> wire::Identities<'_> {
    let [id, order_id, customer_id] = columns.try_into().ok().expect("three columns were lowered");
    wire::Identities { id, order_id, customer_id }
}

fn poison(cut: Cut, i: usize, failure: Failure) -> Poisoned {
    let i = u32::try_from(i).expect("rows and keys are numbered in 32 bits");
    let subject = match cut {
        Cut::Rows => PoisonedSubject::Row(i),
        Cut::Keys => PoisonedSubject::Group(i),
    };
    Poisoned { subject, reason: failure.reason, message: failure.message }
}

/// Whether the lengths fit each other, so that parts can be cut: what the engine must keep.
fn check_shape(given: &Keyed<'_>, manifest: &Manifest, cut: Cut) -> Result<(), String> {
    let rows = given.rows;
    let lengths = [
        ("inputs", given.input.len(), rows, manifest.inputs.len() == 1),
        ("times", given.times.len(), rows, false),
        ("groups", given.groups.len(), rows, !manifest.keyed()),
        ("states", given.states.len(), given.keys.len(), false),
    ];
    for (name, len, wanted, may_be_absent) in lengths {
        if len != wanted && !(may_be_absent && len == 0) {
            return Err(format!("{len} {name} instead of {wanted}"));
        }
    }
    let keys = given.keys.len();
    if given.groups.iter().any(|group| *group as usize >= keys && *group != tamis_model::rule::NOT_JUDGED) {
        return Err(format!("a row of a group beyond the {keys} keys"));
    }
    if cut == Cut::Rows && manifest.remembers && given.identities.is_none() {
        return Err("the identities of events are missing".to_owned());
    }
    Ok(())
}
