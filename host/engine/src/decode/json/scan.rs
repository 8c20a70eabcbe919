//! The two questions that decoding asks of many bytes at once, with and without vector instructions.

use super::plan::Pattern;

/// How many bytes behind the position it is given a scan may read; records end in a line break and padding, so
/// they are always there.
pub(super) const WINDOW: usize = 32;

/// How to look at many bytes at once.
///
/// Contract: all implementations give the same answers. `bytes` must reach [`WINDOW`] bytes behind the answer (and
/// behind `at`), else they panic.
pub(super) trait Scan: Copy {
    /// The first position from `at` on of a quote, a backslash or a control character.
    fn string_end(self, bytes: &[u8], at: usize) -> usize;
    /// Whether the pattern stands at `at`.
    fn matches(self, bytes: &[u8], at: usize, pattern: &Pattern) -> bool;
}

/// Eight bytes at a time, on any machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Scan for Portable {
    /// "Determine if a word has a byte less than n", Sean Anderson, Bit Twiddling Hacks: only bytes above the
    /// first hit can be wrong, and the first is what is asked for.
    #[inline(always)]
    fn string_end(self, bytes: &[u8], mut at: usize) -> usize {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        const HIGHS: u64 = ONES << 7;
        loop {
            let word = load(bytes, at);
            let quotes = word ^ (ONES * b'"' as u64);
            let escapes = word ^ (ONES * b'\\' as u64);
            let hits = (quotes.wrapping_sub(ONES) & !quotes)
                | (escapes.wrapping_sub(ONES) & !escapes)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            if hits & HIGHS != 0 {
                return at + ((hits & HIGHS).trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
    }

    #[inline(always)]
    fn matches(self, bytes: &[u8], at: usize, pattern: &Pattern) -> bool {
        let bytes = &bytes[at..at + WINDOW];
        let differences = |i| (load(bytes, i) ^ load(&pattern.bytes, i)) & load(&pattern.mask, i);
        differences(0) | differences(8) | differences(16) | differences(24) == 0
    }
}

/// The eight bytes from `at` on, the first in the lowest bits.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("records are padded"))
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set1_epi8, _mm256_testz_si256, _mm256_xor_si256,
    };

    use super::{Pattern, Scan, WINDOW};

    /// Thirty-two bytes at a time. A value of this type is the proof that the processor can.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2(());

    impl Avx2 {
        /// Looks whether the processor has all that `RecordDecoder::records_avx2` is compiled for.
        pub(in super::super) fn detect() -> Option<Self> {
            let there = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            there.then_some(Self(()))
        }
    }

    #[inline(always)]
    fn load(window: &[u8; WINDOW]) -> __m256i {
        // SAFETY: `window` is 32 readable bytes, the load asks for no alignment, and only methods of `Avx2` call this.
        unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
    }

    impl Scan for Avx2 {
        #[inline(always)]
        fn string_end(self, bytes: &[u8], mut at: usize) -> usize {
            loop {
                let window = load(bytes[at..].first_chunk().expect("records are padded"));
                // SAFETY: an `Avx2` exists only where the processor has AVX2.
                let hits = unsafe {
                    let quotes = _mm256_cmpeq_epi8(window, _mm256_set1_epi8(b'"' as i8));
                    let escapes = _mm256_cmpeq_epi8(window, _mm256_set1_epi8(b'\\' as i8));
                    let controls = _mm256_cmpeq_epi8(_mm256_min_epu8(window, _mm256_set1_epi8(0x1f)), window);
                    _mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(quotes, escapes), controls))
                };
                if hits != 0 {
                    return at + hits.trailing_zeros() as usize;
                }
                at += WINDOW;
            }
        }

        #[inline(always)]
        fn matches(self, bytes: &[u8], at: usize, pattern: &Pattern) -> bool {
            let window = load(bytes[at..].first_chunk().expect("records are padded"));
            // SAFETY: an `Avx2` exists only where the processor has AVX2.
            unsafe {
                let differences = _mm256_xor_si256(window, load(&pattern.bytes));
                let differences = _mm256_and_si256(differences, load(&pattern.mask));
                _mm256_testz_si256(differences, differences) == 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn padded(text: &[u8]) -> Vec<u8> {
        [text, b"\n", &[0; 64]].concat()
    }

    /// What all scans must answer.
    fn expected_end(text: &[u8], at: usize) -> usize {
        at + text[at..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap()
    }

    fn check(text: &[u8], name: &str) {
        let bytes = padded(text);
        let pattern = Pattern::member(name);
        let quoted = format!("\"{name}\":").into_bytes();
        for at in 0..text.len() {
            let end = expected_end(&bytes, at);
            let found = bytes[at..].starts_with(&quoted);
            assert_eq!(Portable.string_end(&bytes, at), end);
            assert_eq!(Portable.matches(&bytes, at, &pattern), found);
            #[cfg(target_arch = "x86_64")]
            if let Some(avx2) = Avx2::detect() {
                assert_eq!(avx2.string_end(&bytes, at), end);
                assert_eq!(avx2.matches(&bytes, at, &pattern), found);
            }
        }
    }

    #[test]
    fn every_byte_value_and_every_distance() {
        for byte in 0..=255 {
            for distance in [0, 1, 7, 8, 9, 31, 32, 33, 70] {
                check(&[&vec![b'a'; distance][..], &[byte], b"bc"].concat(), "a");
            }
        }
    }

    proptest! {
        #[test]
        fn scans_agree(text in "[\"\\\\a-d:\u{1}é\t ]{0,120}", name in "[a-d]{1,29}") {
            check(text.as_bytes(), &name);
            check(format!("xx\"{name}\":1,\"{name}\"").as_bytes(), &name);
        }
    }
}
