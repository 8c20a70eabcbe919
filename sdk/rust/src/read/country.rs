//! Countries: ISO 3166-1 alpha-2 codes, from themselves or from usual French names.
//!
//! `data/pays.csv` holds the 249 assigned codes and the French names that the Unicode CLDR (48) gives them: the usual
//! one, and as aliases its short and variant forms and those of Canadian French.

use std::sync::LazyLock;

use super::fold::folded;
use super::{Cell, Unreadable, text};

const COUNTRIES: &str = include_str!("../../data/pays.csv");

/// More bytes than any folded name has.
const NAME_BYTES_MAX: usize = 64;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(COUNTRIES));

/// The code of a country, from an assigned code in any case or a usual French name: any case, accents optional,
/// `'` or `’`, hyphens as written.
pub fn country<'a>(cell: impl Into<Option<&'a str>>) -> Cell<&'static str> {
    text(cell).map(|text| parse_country(text).ok_or(Unreadable)).transpose()
}

fn parse_country(text: &str) -> Option<&'static str> {
    match *text.as_bytes() {
        [a, b] => TABLE.code([a, b]),
        _ => TABLE.named(text),
    }
}

/// Both halves are sorted for binary search.
struct Table {
    codes: Vec<&'static str>,
    /// Folded names, which are all ASCII, with the index of their code.
    names: Vec<(Vec<u8>, usize)>,
}

impl Table {
    /// The columns are `code,nom,zone,ue,alias`, the aliases between `|`; no cell is quoted.
    fn parse(csv: &'static str) -> Self {
        let mut table = Self { codes: Vec::new(), names: Vec::new() };
        for line in csv.lines().skip(1) {
            let mut cells = line.split(',');
            let (Some(code), Some(name), Some(aliases)) = (cells.next(), cells.next(), cells.nth(2)) else { continue };
            let names = aliases.split('|').chain([name]).filter(|name| !name.is_empty());
            table.names.extend(names.map(|name| (fold_name(name).collect(), table.codes.len())));
            table.codes.push(code);
        }
        table.names.sort_unstable();
        table
    }

    fn code(&self, code: [u8; 2]) -> Option<&'static str> {
        let code = code.map(|byte| byte.to_ascii_uppercase());
        self.codes.binary_search_by(|known| known.as_bytes().cmp(&code)).ok().map(|i| self.codes[i])
    }

    fn named(&self, name: &str) -> Option<&'static str> {
        let mut room = [0; NAME_BYTES_MAX];
        let mut length = 0;
        for byte in fold_name(name) {
            *room.get_mut(length)? = byte;
            length += 1;
        }
        let found = self.names.binary_search_by(|(known, _)| known.as_slice().cmp(&room[..length]));
        found.ok().map(|i| self.codes[self.names[i].1])
    }
}

/// The bytes by which names are compared. What no folded name holds becomes a byte that none holds either.
fn fold_name(name: &str) -> impl Iterator<Item = u8> {
    folded(name).map(|c| match c {
        '’' => b'\'',
        _ => u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_with_or_without_accents() {
        for (code, names) in [
            ("FR", &["France", "FRANCE", "france", " France\u{a0}"][..]),
            (
                "CI",
                &[
                    "Côte d’Ivoire",
                    "Côte d'Ivoire",
                    "cote d'ivoire",
                    "CÔTE D'IVOIRE",
                    "République de Côte d’Ivoire",
                    "Co\u{302}te d'Ivoire",
                ],
            ),
            ("GB", &["Royaume-Uni", "royaume-uni", "R.-U."]),
            ("US", &["États-Unis", "Etats-Unis", "ÉTATS-UNIS", "etats-unis", "É.-U."]),
            ("CD", &["Congo-Kinshasa", "Congo (RDC)"]),
            ("CG", &["Congo-Brazzaville", "République du Congo"]),
            ("CZ", &["Tchéquie", "République tchèque", "republique tcheque"]),
            ("DE", &["Allemagne"]),
            ("NA", &["Namibie", "na", "Na"]),
            ("NL", &["Pays-Bas"]),
            ("VN", &["Viêt Nam", "Vietnam"]),
            ("MM", &["Myanmar (Birmanie)", "Myanmar"]),
            ("HK", &["Hong Kong", "R.A.S. chinoise de Hong Kong"]),
            ("PS", &["Palestine", "Territoires palestiniens"]),
            ("TR", &["Turquie", "Türkiye"]),
            ("SZ", &["Eswatini", "Swaziland"]),
            ("AX", &["Îles Åland", "iles aland"]),
            ("RE", &["La Réunion", "la reunion"]),
            ("KR", &["Corée du Sud"]),
        ] {
            for name in names {
                assert_eq!(country(*name), Ok(Some(code)), "{name:?}");
            }
        }
    }

    #[test]
    fn codes_are_read_in_any_case_when_they_are_assigned() {
        for (text, code) in [("FR", "FR"), ("fr", "FR"), ("Fr", "FR"), (" gb ", "GB"), ("na", "NA"), ("ci", "CI")] {
            assert_eq!(country(text), Ok(Some(code)), "{text:?}");
        }
        assert_eq!(country("NA"), Ok(None));
    }

    #[test]
    fn anything_else_is_unreadable() {
        for text in [
            "UK",
            "EL",
            "EU",
            "XK",
            "ZZ",
            "AN",
            "FX",
            "FRA",
            "250",
            "F",
            "Kosovo",
            "Germany",
            "Royaume Uni",
            "Royaume‑Uni",
            "Pays Bas",
            "Angleterre",
            "Frances",
            "Fran ce",
            "日本",
            "é",
            "Côte d`Ivoire",
            "Corée",
            "Congo",
            &"a".repeat(200),
        ] {
            assert_eq!(country(text), Err(Unreadable), "{text:?}");
        }
    }

    #[test]
    fn the_data_is_whole() {
        assert_eq!(TABLE.codes.len(), 249);
        assert!(TABLE.codes.is_sorted_by(|a, b| a < b));
        assert!(TABLE.names.is_sorted_by(|a, b| a.0 < b.0), "no name stands for two countries");
        let mut zones = std::collections::BTreeMap::new();
        for line in COUNTRIES.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let [code, name, zone, eu, aliases] = cells[..] else { panic!("{line}") };
            assert_eq!(eu == "true", zone == "ue" || zone == "france", "{line}");
            *zones.entry(zone).or_insert(0) += 1;
            if code != "NA" {
                assert_eq!(country(code), Ok(Some(code)));
            }
            for name in aliases.split('|').chain([name]).filter(|name| !name.is_empty()) {
                assert_eq!(country(name), Ok(Some(code)), "{name}");
                assert_eq!(country(name.to_uppercase().as_str()), Ok(Some(code)), "{name}");
                assert!(fold_name(name).all(|byte| byte != 0) && name.len() < NAME_BYTES_MAX, "{name}");
            }
        }
        // The Union has 27 members; 25 more lie in the Europe of UN M49 with the Åland Islands.
        assert_eq!(Vec::from_iter(zones), [("europe", 25), ("france", 1), ("monde", 197), ("ue", 26)]);
    }
}
