//! What a plugin may ask of its host: to log, and to make pseudonyms.
//!
//! In a unit test there is no host. There `log` prints, and `pseudonymize` gives stand-ins: deterministic, different
//! for different values and of the right length, but not what a host makes of them.

pub use crate::bindings::host::{Level, Pseudonym};
use crate::bindings::types::Strings;

/// Writes a line into the host's log, with the plugin's name. The host limits how many.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::host::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::io::Write;
        // A test has nobody to tell that its standard error is gone.
        let _ = writeln!(std::io::stderr(), "{level:?}: {message}");
    }
}

/// Lets the host's log say why a plugin panics; the trap that follows cannot.
#[doc(hidden)]
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
}

/// The pseudonyms of trimmed values; empty stays empty. One call for a whole column.
pub fn pseudonymize(values: &Strings, form: Pseudonym) -> Strings {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::host::pseudonymize(values, form);
    #[cfg(not(target_arch = "wasm32"))]
    stand_in::pseudonymize(values, form)
}

#[cfg(not(target_arch = "wasm32"))]
mod stand_in {
    use super::{Pseudonym, Strings};

    pub fn pseudonymize(values: &Strings, form: Pseudonym) -> Strings {
        let mut pseudonyms = Strings { offsets: vec![0], data: Vec::new() };
        for bounds in values.offsets.windows(2) {
            let value = String::from_utf8_lossy(&values.data[bounds[0] as usize..bounds[1] as usize]);
            let (value, digits) = match form {
                Pseudonym::Short => (value.trim().to_owned(), 32),
                Pseudonym::Email => (value.trim().to_lowercase(), 64),
            };
            if !value.is_empty() {
                let digest = format!("{:016x}", fnv1a(value.as_bytes()));
                pseudonyms.data.extend(digest.bytes().cycle().take(digits));
            }
            pseudonyms
                .offsets
                .push(u32::try_from(pseudonyms.data.len()).expect("a batch holds less than 4 GiB of text"));
        }
        pseudonyms
    }

    /// FNV-1a, 64 bit: <https://datatracker.ietf.org/doc/draft-eastlake-fnv/>.
    fn fnv1a(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn stand_ins_have_the_right_form() {
            let values =
                Strings { offsets: vec![0, 3, 4, 8], data: b"a@B a@b".to_vec().into_iter().chain([b' ']).collect() };
            let email = pseudonymize(&values, Pseudonym::Email);
            assert_eq!(email.offsets, [0, 64, 64, 128]);
            assert_eq!(email.data[..64], email.data[64..]);
            let short = pseudonymize(&values, Pseudonym::Short);
            assert_eq!(short.offsets, [0, 32, 32, 64]);
            assert_ne!(short.data[..32], short.data[32..]);
        }
    }
}
