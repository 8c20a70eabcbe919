//! The columns of a batch in the making: values are written where the next row goes, and count once it is accepted.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::SchemaRef;
use tamis_model::schema::{ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE};

use super::scan::WINDOW;

/// All columns of a batch, by type; a refused row is overwritten by the next one, so it needs no undoing.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) texts: Vec<TextColumn>,
    pub(super) integers: Vec<FixedColumn<i64>>,
    pub(super) numbers: Vec<FixedColumn<f64>>,
    pub(super) amounts: Vec<FixedColumn<i128>>,
    /// Where each column that was asked for is kept, in the order asked for.
    places: Vec<Place>,
    /// For each accepted row the set of members that are there and not null,
    present: Vec<u64>,
    /// and the set of those that are `true`.
    truths: Vec<u64>,
    /// How many rows there is room for.
    room: usize,
}

/// Where a column is kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    column_type: ColumnType,
    /// Among the columns of its type.
    index: usize,
    /// The member's bit.
    bit: u64,
}

/// A column of values of one size.
#[derive(Clone, Debug, Default)]
pub(super) struct FixedColumn<T>(Vec<T>);

impl<T: Copy + Default> FixedColumn<T> {
    /// The value of the row in the making; the last one counts.
    #[inline(always)]
    pub(super) fn write(&mut self, row: usize, value: T) {
        self.0[row] = value;
    }
}

/// A column of texts.
#[derive(Clone, Debug, Default)]
pub(super) struct TextColumn {
    bit: u64,
    /// The texts of accepted rows; the text of the row in the making stands behind its length.
    bytes: Vec<u8>,
    pending: usize,
    offsets: Vec<i32>,
    /// How many bytes the last batch took, and for how many rows.
    last: (usize, usize),
}

impl TextColumn {
    /// The text of the row in the making: `source[start..end]`, UTF-8 cut between characters; the last one counts.
    /// `source` reaches [`WINDOW`] bytes behind `start`.
    #[inline(always)]
    pub(super) fn write(&mut self, source: &[u8], start: usize, end: usize) {
        let length = end - start;
        if self.bytes.capacity() - self.bytes.len() < length + WINDOW {
            self.bytes.reserve(length.max(self.bytes.len()) + WINDOW);
        }
        // Most texts are short: copying a whole window whatever their length costs two instructions.
        let copied = if length <= WINDOW { &source[start..start + WINDOW] } else { &source[start..end] };
        // SAFETY: there is room for `length + WINDOW` bytes behind the vector's length, and what is copied is no more
        // than that. The vector is borrowed mutably, so `source` does not lie in it.
        unsafe {
            let tail = self.bytes.as_mut_ptr().add(self.bytes.len());
            std::ptr::copy_nonoverlapping(copied.as_ptr(), tail, copied.len());
        }
        self.pending = length;
    }

    /// Ends the row in the making.
    #[inline(always)]
    fn accept(&mut self, present: u64) {
        let length = if present & self.bit != 0 { self.pending } else { 0 };
        // SAFETY: the last `write` put `pending` bytes behind the vector's length, and nothing has touched it since.
        unsafe { self.bytes.set_len(self.bytes.len() + length) };
        self.pending = 0;
        self.offsets.push(self.bytes.len() as i32);
    }

    /// Makes room for as many bytes as that many rows usually take, and some more, as they would have to be moved; `bytes_max` at most.
    fn begin(&mut self, rows: usize, bytes_max: usize) {
        let (bytes, of_rows) = self.last;
        let usual = bytes * rows / of_rows.max(1);
        self.bytes.reserve((usual + usual / 8).min(bytes_max) + WINDOW);
        self.offsets.reserve(rows + 1);
        self.offsets.push(0);
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let length = self.offsets.len();
        if length > 1 {
            self.last = (self.bytes.len(), length - 1);
        }
        self.pending = 0;
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(length));
        // SAFETY: the offsets begin with 0 and are lengths of a growing vector.
        let offsets = unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) };
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        debug_assert!(StringArray::try_new(offsets.clone(), bytes.clone(), nulls.clone()).is_ok());
        // SAFETY: each text is a JSON string of a line that was checked to be UTF-8, cut at its quotes, or made of
        // such a string by `unescape`; offsets lie within the bytes, and there is one null bit a row.
        unsafe { StringArray::new_unchecked(offsets, bytes, nulls) }
    }
}

impl Columns {
    /// Adds the next column that was asked for, and returns its index among those of its type.
    pub(super) fn add(&mut self, column_type: ColumnType, bit: u64) -> usize {
        let index = match column_type {
            ColumnType::Text => {
                self.texts.push(TextColumn { bit, ..Default::default() });
                self.texts.len() - 1
            }
            ColumnType::Float64 => {
                self.numbers.push(FixedColumn::default());
                self.numbers.len() - 1
            }
            ColumnType::Decimal => {
                self.amounts.push(FixedColumn::default());
                self.amounts.len() - 1
            }
            ColumnType::Boolean => 0,
            ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp | ColumnType::Date => {
                self.integers.push(FixedColumn::default());
                self.integers.len() - 1
            }
        };
        self.places.push(Place { column_type, index, bit });
        index
    }

    /// How many rows were accepted.
    #[inline(always)]
    pub(super) fn rows(&self) -> usize {
        self.present.len()
    }

    /// Makes room for `rows` rows, at least one, of `bytes` bytes in all, before the first one.
    pub(super) fn begin(&mut self, rows: usize, bytes: usize) {
        self.texts.iter_mut().for_each(|text| text.begin(rows, bytes));
        self.grow(rows);
    }

    /// Makes room for `rows` rows in all.
    fn grow(&mut self, rows: usize) {
        self.room = rows;
        self.present.reserve(rows - self.present.len());
        self.truths.reserve(rows - self.truths.len());
        self.integers.iter_mut().for_each(|column| column.0.resize(rows, 0));
        self.numbers.iter_mut().for_each(|column| column.0.resize(rows, 0.0));
        self.amounts.iter_mut().for_each(|column| column.0.resize(rows, 0));
    }

    /// Accepts the row in the making; the next one has room.
    #[inline(always)]
    pub(super) fn accept(&mut self, present: u64, truths: u64) {
        self.texts.iter_mut().for_each(|column| column.accept(present));
        self.present.push(present);
        self.truths.push(truths);
        if self.present.len() == self.room {
            self.grow(2 * self.room);
        }
    }

    /// The accepted rows; the columns are empty again.
    pub(super) fn finish(&mut self, schema: &SchemaRef) -> RecordBatch {
        let rows = self.rows();
        let everywhere = self.present.iter().fold(u64::MAX, |all, present| all & present);
        let places = std::mem::take(&mut self.places);
        let arrays = places.iter().map(|place| self.array(place, everywhere & place.bit == 0)).collect();
        self.places = places;
        self.present.clear();
        self.truths.clear();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
            .expect("the schema was made of the same columns")
    }

    fn array(&mut self, place: &Place, has_nulls: bool) -> ArrayRef {
        let bits = |sets: &[u64]| BooleanBuffer::new(bitmap(sets, place.bit), 0, sets.len());
        let nulls = has_nulls.then(|| NullBuffer::new(bits(&self.present)));
        match place.column_type {
            ColumnType::Text => Arc::new(self.texts[place.index].finish(nulls)),
            ColumnType::Boolean => Arc::new(BooleanArray::new(bits(&self.truths), nulls)),
            ColumnType::Float64 => {
                let values = fixed(&mut self.numbers[place.index], &self.present, place.bit, has_nulls);
                Arc::new(Float64Array::new(values, nulls))
            }
            ColumnType::Decimal => {
                let values = fixed(&mut self.amounts[place.index], &self.present, place.bit, has_nulls);
                let amounts = Decimal128Array::new(values, nulls);
                Arc::new(
                    amounts.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE).expect("18 digits, 2 behind"),
                )
            }
            ColumnType::Int32 | ColumnType::Int64 | ColumnType::Timestamp | ColumnType::Date => {
                let values = fixed(&mut self.integers[place.index], &self.present, place.bit, has_nulls);
                Arc::new(Int64Array::new(values, nulls))
            }
        }
    }
}

/// The values of the accepted rows. Null rows hold 0, not what an earlier record left there.
fn fixed<T>(column: &mut FixedColumn<T>, present: &[u64], bit: u64, has_nulls: bool) -> ScalarBuffer<T>
where
    T: ArrowNativeType + Default,
{
    let mut values = std::mem::take(&mut column.0);
    values.truncate(present.len());
    if has_nulls {
        for (value, present) in values.iter_mut().zip(present) {
            if present & bit == 0 {
                *value = T::default();
            }
        }
    }
    ScalarBuffer::from(values)
}

/// One bit a set, the least significant first: whether it holds `bit`.
fn bitmap(sets: &[u64], bit: u64) -> Buffer {
    let shift = bit.trailing_zeros();
    let word = |sets: &[u64]| sets.iter().rev().fold(0, |word, set| word << 1 | (set >> shift & 1));
    Buffer::from_vec(sets.chunks(64).map(|sets| word(sets).to_le()).collect::<Vec<u64>>())
}
