//! Arrow columns on their way into a guest: borrowed where the layouts agree, converted where they do not.
//!
//! Text, 64-bit integers, numbers, timestamps and dates lie in Arrow as the boundary wants them. Booleans
//! (bits there, bytes here), 32-bit integers and decimals are widened or narrowed into buffers that are reused.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_buffer::NullBuffer;
use tamis_model::schema::ColumnType;
use tamis_model::{Error, Result};

use crate::wire::{Column, Strings, Values};

/// The buffers of one batch's conversions.
#[derive(Debug, Default)]
pub(crate) struct Lowering {
    columns: Vec<Scratch>,
}

#[derive(Debug, Default)]
struct Scratch {
    integers: Vec<i64>,
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    validity: Vec<u8>,
}

impl Lowering {
    /// `columns`, of these types and of `rows` rows each, as they cross the boundary. A column that is not what the
    /// manifest declares is the caller's error.
    pub fn lower<'a>(
        &'a mut self,
        rows: usize,
        types: impl ExactSizeIterator<Item = ColumnType>,
        columns: &'a [ArrayRef],
    ) -> Result<Vec<Column<'a>>> {
        let object = || format!("{} columns of {rows} rows", columns.len());
        if types.len() != columns.len() {
            let why = format!("{} columns are declared", types.len());
            return Err(Error::invalid("hand to a plugin", object(), why));
        }
        self.columns.resize_with(columns.len(), Scratch::default);
        let mut lowered = Vec::with_capacity(columns.len());
        for (i, ((array, column_type), scratch)) in columns.iter().zip(types).zip(&mut self.columns).enumerate() {
            if array.data_type() != &column_type.arrow() || array.len() != rows {
                let why =
                    format!("column {i} is {} rows of {}, not of {column_type:?}", array.len(), array.data_type());
                return Err(Error::invalid("hand to a plugin", object(), why));
            }
            lowered.push(scratch.lower(column_type, array)?);
        }
        Ok(lowered)
    }
}

impl Scratch {
    fn lower<'a>(&'a mut self, column_type: ColumnType, array: &'a ArrayRef) -> Result<Column<'a>> {
        let values = match column_type {
            ColumnType::Text => Values::Text(text(array.as_string(), &mut self.offsets)),
            ColumnType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            ColumnType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values()),
            ColumnType::Timestamp => Values::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values()),
            ColumnType::Date => Values::Date(array.as_primitive::<Date32Type>().values()),
            ColumnType::Int32 => {
                self.integers.clear();
                self.integers.extend(array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)));
                Values::Int64(&self.integers)
            }
            ColumnType::Decimal => {
                hundredths(array, &mut self.integers)?;
                Values::Decimal(&self.integers)
            }
            ColumnType::Boolean => Values::Boolean(booleans(array.as_boolean(), &mut self.bytes)),
        };
        Ok(Column { values, validity: validity(array.nulls(), &mut self.validity) })
    }
}

/// Offsets begin at 0: those of a slice, which do not, are rebased.
fn text<'a>(array: &'a StringArray, rebased: &'a mut Vec<u32>) -> Strings<'a> {
    // The same bits: Arrow's offsets are never negative.
    let offsets: &[u32] = array.offsets().inner().inner().typed_data();
    let (first, last) = (offsets[0], offsets[array.len()]);
    let data = &array.value_data()[first as usize..last as usize];
    if first == 0 {
        return Strings { offsets, data };
    }
    rebased.clear();
    rebased.extend(offsets.iter().map(|offset| offset - first));
    Strings { offsets: rebased, data }
}

fn hundredths(array: &ArrayRef, integers: &mut Vec<i64>) -> Result<()> {
    integers.clear();
    for value in array.as_primitive::<Decimal128Type>().values() {
        // 18 digits always fit.
        integers.push(i64::try_from(*value).map_err(|_| {
            Error::invalid("hand to a plugin", "a decimal column", format!("{value} has more than 18 digits"))
        })?);
    }
    Ok(())
}

fn booleans<'a>(array: &BooleanArray, bytes: &'a mut Vec<u8>) -> &'a [u8] {
    let bits = array.values();
    bytes.clear();
    if bits.offset().is_multiple_of(8) {
        let packed = &bits.values()[bits.offset() / 8..];
        let packed = &packed[..array.len().div_ceil(8)];
        bytes.resize(packed.len() * 8, 0);
        for (eight, byte) in bytes.chunks_exact_mut(8).zip(packed) {
            for (i, out) in eight.iter_mut().enumerate() {
                *out = (byte >> i) & 1;
            }
        }
        bytes.truncate(array.len());
    } else {
        bytes.extend(bits.iter().map(u8::from));
    }
    bytes
}

/// None when no row is null. Bits past the last row are whatever lies there.
fn validity<'a>(nulls: Option<&'a NullBuffer>, shifted: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
    let bits = nulls.inner();
    if bits.offset().is_multiple_of(8) {
        return Some(&bits.values()[bits.offset() / 8..][..bits.len().div_ceil(8)]);
    }
    shifted.clear();
    shifted.extend_from_slice(&bits.sliced().as_slice()[..bits.len().div_ceil(8)]);
    Some(shifted)
}
