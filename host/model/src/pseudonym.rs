//! Pseudonyms: the same value gives the same pseudonym in every source, so joins work without the value.
//!
//! `pseudo(x) = lowercase hex of HMAC-SHA-256(key = pepper, message = trimmed x)` (RFC 2104, FIPS 180-4).

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Which part of the digest is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The first 32 hex digits.
    Short,
    /// All 64 hex digits of the lower-cased value.
    Email,
}

impl Form {
    /// Hex digits of a pseudonym.
    pub const fn digits(self) -> usize {
        match self {
            Self::Short => 32,
            Self::Email => 64,
        }
    }
}

/// The secret key of all pseudonyms. Its text never appears in output, `Debug` included.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

impl Pepper {
    /// Any bytes are a key; the configuration refuses an empty one.
    pub fn new(key: &[u8]) -> Self {
        Self(<Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The pseudonym of `value`.
    pub fn pseudo(&self, value: &str, form: Form) -> String {
        let mut out = Vec::with_capacity(form.digits());
        self.append(value, form, &mut out);
        String::from_utf8(out).expect("hex digits are ASCII")
    }

    /// Writes the pseudonym of `value` behind `out`.
    pub fn append(&self, value: &str, form: Form, out: &mut Vec<u8>) {
        let mut mac = self.0.clone();
        match form {
            Form::Short => mac.update(value.trim().as_bytes()),
            Form::Email => mac.update(value.trim().to_lowercase().as_bytes()),
        }
        let digest = mac.finalize().into_bytes();
        append_hex(&digest[..form.digits() / 2], out);
    }
}

/// Lower-case hex digits, two a byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    append_hex(bytes, &mut out);
    String::from_utf8(out).expect("hex digits are ASCII")
}

fn append_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf %s c1 | openssl dgst -sha256 -hmac pepper`.
    #[test]
    fn agrees_with_openssl() {
        let pepper = Pepper::new(b"pepper");
        let whole = pepper.pseudo("C1", Form::Email);
        assert_eq!(whole.len(), 64);
        assert_eq!(pepper.pseudo(" c1\u{a0}", Form::Short), whole[..32]);
        assert_eq!(whole, "b22e7cea6a8cc1e859b140bac436e5a7f2d3239d70829bf40a073a5c95c4c64e");
    }
}
