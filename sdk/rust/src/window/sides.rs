//! The two inputs of a rule over two topics.

use crate::bindings::types::Keyed;
use crate::row::{Membership, Row};

/// Which input an event is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left = 0,
    Right = 1,
}

/// The columns of a batch of both inputs.
pub(super) struct Sides<'a, A: Row, B: Row> {
    pub left: A::Columns<'a>,
    pub right: B::Columns<'a>,
    input: &'a [u8],
}

impl<'a, A: Row, B: Row> Sides<'a, A, B> {
    pub fn of(keyed: &'a Keyed) -> Result<Self, String> {
        let (rows, columns) = (keyed.batch.rows as usize, &keyed.batch.columns);
        let input = keyed.input.as_deref().ok_or("the host does not say which inputs the rows are from")?;
        if input.len() != rows {
            return Err(format!("{rows} rows are from {} inputs", input.len()));
        }
        let (left, right) = columns.split_at(A::INPUT.columns.len().min(columns.len()));
        Ok(Self {
            left: A::columns(left, Membership { rows, input, index: Side::Left as u8 })?,
            right: B::columns(right, Membership { rows, input, index: Side::Right as u8 })?,
            input,
        })
    }

    /// The input that `row` is from.
    pub fn of_row(&self, row: usize) -> Side {
        if self.input[row] == Side::Left as u8 { Side::Left } else { Side::Right }
    }
}
