//! Sets of rows, a bit each.

/// Rows of a batch. Bits behind the last row are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    rows: usize,
}

/// With fewer rows in a word than this they are looked at one by one.
const FEW: u32 = 16;

impl Bits {
    /// No row.
    pub fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], rows }
    }

    /// Every row.
    pub fn all(rows: usize) -> Self {
        Self::from_words(rows, |_| u64::MAX)
    }

    /// A bitmap, least significant bit first, that is long enough; what stands in it behind the last row is ignored.
    pub fn from_bitmap(bitmap: &[u8], rows: usize) -> Self {
        Self::from_words(rows, |word| {
            let bytes = bitmap[word * 8..].iter().take(8);
            bytes.rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
        })
    }

    fn from_words(rows: usize, word: impl FnMut(usize) -> u64) -> Self {
        let mut words: Vec<u64> = (0..rows.div_ceil(64)).map(word).collect();
        if let (Some(last), used @ 1..) = (words.last_mut(), rows % 64) {
            *last &= u64::MAX >> (64 - used);
        }
        Self { words, rows }
    }

    /// The rows of these for which `holds`.
    #[inline]
    pub fn filter(&self, mut holds: impl FnMut(usize) -> bool) -> Self {
        let word = |(index, &among): (usize, &u64)| {
            let first = index * 64;
            if among.count_ones() < FEW || first + 64 > self.rows {
                return ones(among).filter(|bit| holds(first + bit)).fold(0, |bits, bit| bits | 1 << bit);
            }
            let mut bits = 0;
            for bit in 0..64 {
                bits |= u64::from(holds(first + bit)) << bit;
            }
            bits & among
        };
        Self { words: self.words.iter().enumerate().map(word).collect(), rows: self.rows }
    }

    /// How many rows the batch has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether `row` is among them.
    #[inline]
    pub fn contains(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Adds a row.
    pub fn insert(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: usize) {
        self.words[row / 64] &= !(1 << (row % 64));
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| ones(*word).map(move |bit| index * 64 + bit))
    }

    /// Those of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Those of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// These without the other ones.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Those that are in one of both and not in the other.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    fn zip(&self, other: &Self, word: impl Fn(u64, u64) -> u64) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| word(*a, *b)).collect();
        Self { words, rows: self.rows }
    }
}

/// The positions of the bits that are set, ascending.
fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits_of(rows: &[bool]) -> Bits {
        let mut bits = Bits::none(rows.len());
        (0..rows.len()).filter(|row| rows[*row]).for_each(|row| bits.insert(row));
        bits
    }

    proptest! {
        #[test]
        fn they_are_sets(pairs: Vec<(bool, bool)>) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
            let (x, y) = (bits_of(&a), bits_of(&b));
            let check = |bits: Bits, expected: fn(bool, bool) -> bool| {
                for row in 0..a.len() {
                    assert_eq!(bits.contains(row), expected(a[row], b[row]), "row {row}");
                }
                let rows: Vec<_> = (0..a.len()).filter(|row| expected(a[*row], b[*row])).collect();
                assert_eq!(bits.iter().collect::<Vec<_>>(), rows);
                assert_eq!(bits.is_empty(), rows.is_empty());
            };
            check(x.and(&y), |a, b| a && b);
            check(x.or(&y), |a, b| a || b);
            check(x.without(&y), |a, b| a && !b);
            check(x.xor(&y), |a, b| a != b);
            check(x.filter(|row| b[row]), |a, b| a && b);
            check(Bits::all(a.len()), |_, _| true);
            let bitmap: Vec<u8> = a.chunks(8).map(|byte| byte.iter().rev().fold(0, |bits, bit| bits << 1 | u8::from(*bit))).collect();
            assert_eq!(Bits::from_bitmap(&bitmap, a.len()), x);
            let mut rest = x.clone();
            y.iter().for_each(|row| rest.remove(row));
            assert_eq!(rest, x.without(&y));
        }
    }

    #[test]
    fn bits_behind_the_last_row_are_ignored() {
        assert_eq!(Bits::from_bitmap(&[0xff, 0xff], 9).iter().count(), 9);
        assert_eq!(Bits::all(65).iter().count(), 65);
        assert_eq!(Bits::all(0).iter().count(), 0);
    }
}
