//! A plugin at work as a transform.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tamis_model::error::Context;
use tamis_model::manifest::Output;
use tamis_model::schema::{ColumnType, arrow_schema};
use tamis_model::transform::{Transform, Transformed};
use tamis_model::{Error, Result};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bisect::isolate;
use crate::guest::{Configure, Export, Exports, Failure, Guest, Signature};
use crate::host::HostState;
use crate::lift::lift;
use crate::lower::Lowering;
use crate::plugin::Plugin;
use crate::wire;

/// A transform in the sandbox. Keeps one instance and reuses it.
pub struct SandboxedTransform {
    guest: Guest<TransformExports>,
    columns: Vec<ColumnType>,
    output: Output,
    schema: SchemaRef,
    lowering: Lowering,
}

struct Apply;

impl Signature for Apply {
    const NAME: &'static str = "apply";
    type Params<'a> = (wire::Batch<'a>,);
    type Ok = wire::TransformOutcome;
}

struct TransformExports {
    configure: Export<Configure>,
    apply: Export<Apply>,
}

impl Exports for TransformExports {
    fn bind(instance: &Instance, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        Ok(Self { configure: Export::bind(instance, store)?, apply: Export::bind(instance, store)? })
    }

    fn configure(&self) -> Export<Configure> {
        self.configure
    }
}

impl std::fmt::Debug for SandboxedTransform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SandboxedTransform({})", self.guest.plugin())
    }
}

impl SandboxedTransform {
    pub(crate) fn new(plugin: &Arc<Plugin>, config: &str) -> Result<Self> {
        let manifest = plugin.manifest();
        let output = manifest.output.clone();
        let output = output.ok_or_else(|| Error::invalid("put to work", plugin, "a transform without an output"))?;
        Ok(Self {
            guest: Guest::new(plugin, config)?,
            columns: manifest.columns().map(|column| column.column_type).collect(),
            schema: arrow_schema(&output.columns),
            output,
            lowering: Lowering::default(),
        })
    }

    fn call(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Result<Transformed, Failure>> {
        let columns = self.lowering.lower(rows, self.columns.iter().copied(), columns)?;
        let rows_given = u32::try_from(rows).invalid("hand to a plugin", format!("{rows} rows"))?;
        let batch = wire::Batch { rows: rows_given, columns: &columns };
        let outcome = self.guest.call(|exports| exports.apply, (batch,))?;
        let transformed =
            outcome.and_then(|outcome| checked(outcome, rows, &self.output, &self.schema).map_err(Failure::contract));
        if transformed.is_err() {
            self.guest.discard();
        }
        Ok(transformed)
    }

    fn nothing(&self) -> Transformed {
        Transformed {
            rows: RecordBatch::new_empty(self.schema.clone()),
            kept: Vec::new(),
            rejected: Vec::new(),
            filtered: Vec::new(),
            nullified: vec![0; self.output.columns.len()],
            poisoned: Vec::new(),
        }
    }

    fn join(&self, parts: Vec<(usize, Transformed)>) -> Result<Transformed> {
        let batches = parts.iter().map(|(_, part)| &part.rows);
        let rows = concat_batches(&self.schema, batches).invalid("join", "the parts of a batch")?;
        let mut whole = Transformed { rows, ..self.nothing() };
        for (first, part) in parts {
            let first = u32::try_from(first).expect("rows are numbered in 32 bits");
            whole.kept.extend(part.kept.into_iter().map(|row| row + first));
            whole.rejected.extend(part.rejected.into_iter().map(|(row, reason)| (row + first, reason)));
            whole.filtered.extend(part.filtered.into_iter().map(|row| row + first));
            whole.nullified.iter_mut().zip(part.nullified).for_each(|(sum, count)| *sum += count);
        }
        Ok(whole)
    }
}

impl Transform for SandboxedTransform {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.guest.configure(config)
    }

    fn apply(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Transformed> {
        if rows == 0 {
            return Ok(self.nothing());
        }
        let failure = match self.call(rows, columns)? {
            Ok(transformed) => return Ok(transformed),
            Err(failure) => failure,
        };
        let deadline = Duration::from_millis(u64::from(self.guest.plugin().manifest().limits.deadline_ms));
        let mut parts = Vec::new();
        let isolated = isolate(rows, failure, deadline, |range: Range<usize>| {
            let slices: Vec<_> = columns.iter().map(|column| column.slice(range.start, range.len())).collect();
            let result = self.call(range.len(), &slices)?;
            Ok(result.map(|part| parts.push((range.start, part))))
        })?;
        let mut whole = self.join(parts)?;
        let row = |row| u32::try_from(row).expect("rows are numbered in 32 bits");
        whole.poisoned = isolated.poisoned.into_iter().map(|(i, f)| (row(i), f.reason, f.message)).collect();
        Ok(whole)
    }
}

/// The outcome as the caller takes it, or the breach of contract in words.
fn checked(
    outcome: wire::TransformOutcome,
    rows: usize,
    output: &Output,
    schema: &SchemaRef,
) -> Result<Transformed, String> {
    let (made, kept) = (outcome.rows.rows as usize, outcome.kept.len());
    if made != kept {
        return Err(format!("{made} output rows, made from {kept}"));
    }
    if let Some(pair) = outcome.kept.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("kept row {} after {}", pair[1], pair[0]));
    }
    let rejected: Vec<_> = outcome.rejected.into_iter().map(|rejection| (rejection.row, rejection.reason)).collect();
    check_accounting(rows, &outcome.kept, rejected.iter().map(|(row, _)| *row), &outcome.filtered)?;
    check_nullified(&outcome.nullified, kept, output)?;
    let arrays = lift(outcome.rows, &output.columns)?;
    Ok(Transformed {
        rows: RecordBatch::try_new(schema.clone(), arrays).map_err(|e| e.to_string())?,
        kept: outcome.kept,
        rejected,
        filtered: outcome.filtered,
        nullified: outcome.nullified,
        poisoned: Vec::new(),
    })
}

/// Whether every row is in exactly one of `kept`, `rejected` and `filtered`.
fn check_accounting(
    rows: usize,
    kept: &[u32],
    rejected: impl Iterator<Item = u32>,
    filtered: &[u32],
) -> Result<(), String> {
    let mut seen = vec![false; rows];
    for row in kept.iter().chain(filtered).copied().chain(rejected) {
        match seen.get_mut(row as usize) {
            None => return Err(format!("row {row} of {rows}")),
            Some(true) => return Err(format!("row {row} twice among kept, rejected and filtered")),
            Some(seen) => *seen = true,
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(row) => Err(format!("row {row} neither kept nor rejected nor filtered")),
        None => Ok(()),
    }
}

fn check_nullified(nullified: &[u64], kept: usize, output: &Output) -> Result<(), String> {
    if nullified.len() != output.columns.len() {
        return Err(format!("{} counts of nullified cells for {} columns", nullified.len(), output.columns.len()));
    }
    match nullified.iter().zip(&output.columns).find(|(count, _)| **count > kept as u64) {
        Some((count, column)) => Err(format!("{count} nullified cells of `{}` in {kept} rows", column.name)),
        None => Ok(()),
    }
}
