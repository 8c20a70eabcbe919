//! A plugin at work as a check.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use tamis_model::error::Context;
use tamis_model::schema::{ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE};
use tamis_model::transform::{Check, CheckResult};
use tamis_model::{Error, Result};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::guest::{Configure, Export, Exports, Guest, Signature};
use crate::host::HostState;
use crate::lower::Lowering;
use crate::plugin::Plugin;
use crate::wire;

/// A check in the sandbox. There is nothing to isolate: a check that fails on a row has no result, and says so.
pub struct SandboxedCheck {
    guest: Guest<CheckExports>,
    lowering: Lowering,
    state: Vec<u8>,
}

struct Observe;

impl Signature for Observe {
    const NAME: &'static str = "observe";
    type Params<'a> = (wire::Batch<'a>, &'a [u8]);
    type Ok = Vec<u8>;
}

struct Finish;

impl Signature for Finish {
    const NAME: &'static str = "finish";
    type Params<'a> = (&'a [u8],);
    type Ok = Vec<wire::CheckResult>;
}

struct CheckExports {
    configure: Export<Configure>,
    observe: Export<Observe>,
    finish: Export<Finish>,
}

impl Exports for CheckExports {
    fn bind(instance: &Instance, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        Ok(Self {
            configure: Export::bind(instance, store)?,
            observe: Export::bind(instance, store)?,
            finish: Export::bind(instance, store)?,
        })
    }

    fn configure(&self) -> Export<Configure> {
        self.configure
    }
}

impl std::fmt::Debug for SandboxedCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SandboxedCheck({})", self.guest.plugin())
    }
}

impl SandboxedCheck {
    pub(crate) fn new(plugin: &Arc<Plugin>, config: &str) -> Result<Self> {
        Ok(Self { guest: Guest::new(plugin, config)?, lowering: Lowering::default(), state: Vec::new() })
    }
}

impl Check for SandboxedCheck {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.state.clear();
        self.guest.configure(config)
    }

    fn observe(&mut self, rows: &RecordBatch) -> Result<()> {
        let (types, columns) = at_the_boundary(rows)?;
        let count = u32::try_from(rows.num_rows()).invalid("hand to a plugin", format!("{} rows", rows.num_rows()))?;
        let columns = self.lowering.lower(rows.num_rows(), types.into_iter(), &columns)?;
        let batch = wire::Batch { rows: count, columns: &columns };
        self.state = self
            .guest
            .call(|exports| exports.observe, (batch, self.state.as_slice()))?
            .map_err(|failure| failure.into_error("observe a dataset with", self.guest.plugin()))?;
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<CheckResult>> {
        let state = std::mem::take(&mut self.state);
        let results = self
            .guest
            .call(|exports| exports.finish, (state.as_slice(),))?
            .map_err(|failure| failure.into_error("finish the check", self.guest.plugin()))?;
        Ok(results.into_iter().map(result).collect())
    }
}

fn result(result: wire::CheckResult) -> CheckResult {
    let wire::CheckResult { column, passed, observed, expected } = result;
    CheckResult { column, passed, observed, expected }
}

/// The columns in the forms that cross the boundary. Tables are read in more forms than plugins write: views of
/// text, narrower numbers, other time units.
fn at_the_boundary(rows: &RecordBatch) -> Result<(Vec<ColumnType>, Vec<ArrayRef>)> {
    let mut types = Vec::with_capacity(rows.num_columns());
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let object = || format!("column `{}`", field.name());
        let Some(column_type) = boundary_type(field.data_type()) else {
            return Err(Error::invalid("hand to a plugin", object(), format!("no plugin takes {}", field.data_type())));
        };
        types.push(column_type);
        columns.push(arrow_cast::cast(array, &column_type.arrow()).invalid("hand to a plugin", object())?);
    }
    Ok((types, columns))
}

/// The boundary's type that holds every value of `data_type`; none when there is none.
fn boundary_type(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => ColumnType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Float64,
        DataType::Boolean => ColumnType::Boolean,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _) => {
            ColumnType::Timestamp
        }
        DataType::Decimal128(precision, scale)
            if *scale >= 0 && *scale <= DECIMAL_SCALE && precision - scale.unsigned_abs() <= DECIMAL_PRECISION - 2 =>
        {
            ColumnType::Decimal
        }
        _ => return None,
    })
}
