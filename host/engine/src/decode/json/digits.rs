//! Digits, eight at a time.

#[inline(always)]
pub(super) fn ends_value(byte: u8) -> bool {
    byte == b',' || byte == b'}'
}

/// How many of the eight bytes, from the lowest on, are digits before the first that is none.
#[inline(always)]
pub(super) fn leading_digits(word: u64) -> u32 {
    let word = word ^ 0x3030_3030_3030_3030;
    // A byte above 9 gets its high bit; what carries over changes only bytes behind it.
    let others = (word.wrapping_add(0x7676_7676_7676_7676) | word) & 0x8080_8080_8080_8080;
    others.trailing_zeros() / 8
}

/// The number that the first `count` (1 to 8) bytes spell: pairs, then fours, then eights by multiplication.
/// After Johnny Lee, "Fast numeric string to int".
#[inline(always)]
pub(super) fn digits_value(word: u64, count: u32) -> i64 {
    let word = (word & 0x0f0f_0f0f_0f0f_0f0f) << (64 - 8 * count);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let upper = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000F_4240_0000_0064);
    let lower = (pairs >> 16 & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (upper.wrapping_add(lower) >> 32) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_are_read_at_once() {
        for text in ["0", "7", "42", "1234567", "12345678", "99999999", "00000000"] {
            for behind in ["", ",", "}", ".5", ":", "/", "e", "\u{e9}", "\u{ff}"] {
                let bytes = [text.as_bytes(), behind.as_bytes(), b"\n       "].concat();
                let word = u64::from_le_bytes(*bytes.first_chunk().unwrap());
                assert_eq!(leading_digits(word), text.len() as u32, "{text}{behind}");
                assert_eq!(digits_value(word, text.len() as u32), text.parse::<i64>().unwrap(), "{text}{behind}");
            }
        }
        assert_eq!(leading_digits(u64::from_le_bytes(*b"-1234567")), 0);
    }
}
