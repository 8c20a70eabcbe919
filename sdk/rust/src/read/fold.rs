//! Text compared without accents and case.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The characters of `text` without accents, in lower case: canonical decomposition (Unicode, NFD) without its marks.
pub(super) fn folded(text: &str) -> impl Iterator<Item = char> {
    text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_takes_case_and_accents_off() {
        let check = |text: &str, expected: &str| assert_eq!(folded(text).collect::<String>(), expected, "{text}");
        check("CÔTE D’IVOIRE", "cote d’ivoire");
        check("Ço\u{302}té", "cote");
    }
}
