//! Exact sums of amounts.

use std::ops::AddAssign;

use crate::bindings::types::Value;
use crate::encoding::{self, Reader};
use crate::state::StateField;
use crate::value::Cents;

/// An exact sum of amounts. It does not overflow: 2^64 of the highest amounts fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Total(i128);

/// The first number of cents with more digits than an amount has.
const BOUND: u128 = 10_u128.pow(18);

impl Total {
    /// The sum as an amount; nothing when it has more than the 18 digits of one.
    pub fn cents(self) -> Option<Cents> {
        (self.0.unsigned_abs() < BOUND).then_some(Cents(self.0 as i64))
    }

    /// The mean of the `count` amounts that it is the sum of, in euros; nothing when there are none. It is the double next to
    /// the exact quotient as long as the sum is below 2^53 cents.
    pub fn mean(self, count: impl Into<i128>) -> Option<f64> {
        let count = count.into();
        (count != 0).then(|| self.0 as f64 / (count as f64 * 100.0))
    }
}

impl From<Cents> for Total {
    fn from(amount: Cents) -> Self {
        Self(amount.0.into())
    }
}

impl AddAssign<Cents> for Total {
    fn add_assign(&mut self, amount: Cents) {
        self.0 += i128::from(amount.0);
    }
}

/// Nulls are left out of a sum.
impl AddAssign<Option<Cents>> for Total {
    fn add_assign(&mut self, amount: Option<Cents>) {
        self.0 += amount.map_or(0, |amount| amount.0.into());
    }
}

/// Kept as its lower half and its upper one, which is mostly 0; shown as the amount, or as null when it is none.
impl StateField for Total {
    fn shape() -> String {
        "total".to_owned()
    }

    fn value(&self) -> Value {
        self.cents().map_or(Value::Null, |amount| Value::Decimal(amount.0))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encoding::unsigned(out, self.0 as u64);
        encoding::signed(out, (self.0 >> 64) as i64);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let lower = i128::from(reader.unsigned()?);
        Some(Self(i128::from(reader.signed()?) << 64 | lower))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sum_beyond_an_amount_is_none_and_still_exact() {
        const HIGHEST: i64 = 999_999_999_999_999_999;
        let check = |amounts: &[i64], cents: Option<i64>, mean: Option<f64>| {
            let mut total = Total::default();
            amounts.iter().for_each(|amount| total += Cents(*amount));
            assert_eq!((total.cents(), total.mean(amounts.len() as i64)), (cents.map(Cents), mean), "{amounts:?}");
        };
        check(&[], Some(0), None);
        check(&[100, 2, -1], Some(101), Some(101.0 / 300.0));
        check(&[10, 20], Some(30), Some(0.15));
        check(&[HIGHEST], Some(HIGHEST), Some(9_999_999_999_999_999.99));
        check(&[HIGHEST, 1], None, Some(5e15));
        check(&[-HIGHEST, -1], None, Some(-5e15));
        check(&[HIGHEST, 1, -1], Some(HIGHEST), Some(HIGHEST as f64 / 300.0));
        check(&[i64::MAX, i64::MAX], None, Some(i64::MAX as f64 / 100.0));
    }

    #[test]
    fn nulls_are_left_out() {
        let mut total = Total::from(Cents(5));
        total += None;
        total += Some(Cents(2));
        assert_eq!((total.cents(), total.value()), (Some(Cents(7)), Value::Decimal(7)));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(sum: i128, small: i8) {
            for total in [Total(sum), Total(small.into())] {
                let mut out = Vec::new();
                total.encode(&mut out);
                let mut reader = Reader::new(&out);
                prop_assert_eq!((Total::decode(&mut reader), reader.is_at_end()), (Some(total), true));
            }
        }
    }
}
