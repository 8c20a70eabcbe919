//! Damaged files, for the tests of what reads them.

/// Bytes that mean something in files, or break UTF-8.
const BYTES: &[u8] = b"\"\\ ,;[](){}-+:/.%09aZ_\t\r\n\0\x7f\xc3\xff";

/// Everything that `bytes` become when one of them is lost, doubled, changed by a bit or replaced, or when they are torn off there.
pub fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    bytes.iter().enumerate().flat_map(move |(at, byte)| {
        let (before, behind) = (&bytes[..at], &bytes[at + 1..]);
        let with = |middle: &[u8]| [before, middle, behind].concat();
        let other = BYTES[at * 11 % BYTES.len()];
        [with(&[]), with(&[*byte, *byte]), with(&[byte ^ (1 << (at % 8))]), with(&[other]), before.to_vec()]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_damaged_in_every_way() {
        let all: Vec<_> = damaged(b"ab").collect();
        assert_eq!(all, [&b"b"[..], b"aab", b"`b", b"\"b", b"", b"a", b"abb", b"a`", b"a-", b"a"]);
    }
}
