//! The values of a column as a check sees them.

use crate::bindings::types::{self, Column};
use crate::row::Validity;

/// The values of a column in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    values: &'a types::Values,
    validity: Validity<'a>,
    rows: usize,
}

/// What kind of numbers a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberType {
    /// Whole numbers.
    Integer,
    /// Numbers with two digits behind the point.
    Decimal,
    /// Floating-point numbers.
    Float,
}

impl<'a> Values<'a> {
    /// The values of a column of `rows` rows; nothing when it has not that many.
    pub fn of(column: &'a Column, rows: usize) -> Option<Self> {
        let length = match &column.values {
            types::Values::Text(texts) => texts.offsets.len().saturating_sub(1),
            types::Values::Int64(values) | types::Values::Timestamp(values) | types::Values::Decimal(values) => {
                values.len()
            }
            types::Values::Float64(values) => values.len(),
            types::Values::Boolean(values) => values.len(),
            types::Values::Date(values) => values.len(),
        };
        let validity = Validity::of(column, rows)?;
        (length == rows).then_some(Self { values: &column.values, validity, rows })
    }

    /// How many there are, nulls included.
    pub fn count(&self) -> u64 {
        self.rows as u64
    }

    /// How many are null.
    pub fn nulls(&self) -> u64 {
        (0..self.rows).filter(|&row| self.validity.is_null(row)).count() as u64
    }

    /// Gives every number that is not null to `take`, and tells what kind they are; nothing when the column holds none.
    /// Numbers beyond 2^53 lose their last digits.
    pub fn numbers(&self, mut take: impl FnMut(f64)) -> Option<NumberType> {
        match self.values {
            types::Values::Int64(values) => {
                self.valid(values).for_each(|value| take(value as f64));
                Some(NumberType::Integer)
            }
            types::Values::Decimal(hundredths) => {
                // The quotient is the double nearest to the decimal, just as a limit read from text is.
                self.valid(hundredths).for_each(|value| take(value as f64 / 100.0));
                Some(NumberType::Decimal)
            }
            types::Values::Float64(values) => {
                self.valid(values).for_each(take);
                Some(NumberType::Float)
            }
            _ => None,
        }
    }

    fn valid<T: Copy>(self, values: &'a [T]) -> impl Iterator<Item = T> + 'a {
        values.iter().enumerate().filter(move |(row, _)| !self.validity.is_null(*row)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: types::Values, validity: Option<Vec<u8>>, rows: usize) -> Option<(NumberType, Vec<f64>, u64)> {
        let column = Column { values, validity };
        let values = Values::of(&column, rows)?;
        let mut taken = Vec::new();
        let number_type = values.numbers(|number| taken.push(number))?;
        Some((number_type, taken, values.nulls()))
    }

    #[test]
    fn numbers_that_are_not_null() {
        let ints = types::Values::Int64(vec![1, 2, 3]);
        assert_eq!(numbers(ints.clone(), None, 3), Some((NumberType::Integer, vec![1.0, 2.0, 3.0], 0)));
        assert_eq!(numbers(ints, Some(vec![0b101]), 3), Some((NumberType::Integer, vec![1.0, 3.0], 1)));
        assert_eq!(
            numbers(types::Values::Decimal(vec![10, -1]), None, 2),
            Some((NumberType::Decimal, vec![0.1, -0.01], 0))
        );
        assert_eq!(numbers(types::Values::Float64(vec![0.5]), Some(vec![0]), 1), Some((NumberType::Float, vec![], 1)));
    }

    #[test]
    fn other_types_and_other_lengths_hold_no_numbers() {
        assert_eq!(numbers(types::Values::Date(vec![1]), None, 1), None);
        assert_eq!(numbers(types::Values::Boolean(vec![1]), None, 1), None);
        assert_eq!(numbers(types::Values::Int64(vec![1]), None, 2), None);
        assert_eq!(numbers(types::Values::Int64(vec![1; 9]), Some(vec![0xff]), 9), None);
    }
}
