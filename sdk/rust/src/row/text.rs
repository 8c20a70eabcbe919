//! Text columns and validity bitmaps.

use crate::bindings::types::{Column, Strings, Values};

/// Which rows are not null: a bitmap, least significant bit first; none = no row is null.
#[derive(Clone, Copy, Debug)]
pub struct Validity<'a>(Option<&'a [u8]>);

impl<'a> Validity<'a> {
    /// The validity of a column of `rows` rows, or nothing when the bitmap is too short.
    pub fn of(column: &'a Column, rows: usize) -> Option<Self> {
        match &column.validity {
            Some(bits) if bits.len() * 8 < rows => None,
            bits => Some(Self(bits.as_deref())),
        }
    }

    /// Whether `row` is null.
    #[inline]
    pub fn is_null(self, row: usize) -> bool {
        self.0.is_some_and(|bits| bits[row / 8] >> (row % 8) & 1 == 0)
    }
}

/// The bytes of a text column or of keys and states, without a look at their encoding.
#[derive(Clone, Copy, Debug)]
pub struct BytesColumn<'a> {
    offsets: &'a [u32],
    data: &'a [u8],
}

impl<'a> BytesColumn<'a> {
    /// The values of `strings`, or nothing when there are not `rows` of them. No offsets at all are no values.
    pub fn of(strings: &'a Strings, rows: usize) -> Option<Self> {
        let len = strings.offsets.len();
        let fits = len == rows + 1 || (len == 0 && rows == 0);
        fits.then_some(Self { offsets: &strings.offsets, data: &strings.data })
    }

    /// The bytes of all values.
    pub fn data(self) -> &'a [u8] {
        self.data
    }

    /// Value `row`. Panics when the offsets are not those of the data.
    #[inline]
    pub fn get(self, row: usize) -> &'a [u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

/// A text column.
#[derive(Clone, Copy, Debug)]
pub struct TextColumn<'a> {
    bytes: BytesColumn<'a>,
    /// The same as text; none when all of it is ASCII, which may be cut anywhere.
    text: Option<&'a str>,
}

impl<'a> TextColumn<'a> {
    /// A text column of `rows` rows, or nothing when it is none.
    pub fn of(column: &'a Column, rows: usize) -> Option<Self> {
        let Values::Text(strings) = &column.values else { return None };
        let bytes = BytesColumn::of(strings, rows)?;
        let text = if strings.data.is_ascii() { None } else { Some(std::str::from_utf8(&strings.data).ok()?) };
        Some(Self { bytes, text })
    }

    /// Value `row`. Panics when the offsets are not those of the data.
    #[inline(always)]
    pub fn get(self, row: usize) -> &'a str {
        match self.text {
            // SAFETY: ASCII is UTF-8.
            None => unsafe { std::str::from_utf8_unchecked(self.bytes.get(row)) },
            Some(text) => &text[self.bytes.offsets[row] as usize..self.bytes.offsets[row + 1] as usize],
        }
    }
}
