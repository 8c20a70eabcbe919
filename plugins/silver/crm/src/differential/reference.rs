//! The plugin's function once more: cells by regular expressions, the standard library and chrono. Slow, and written
//! from the contracts without a look at the readers.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate};
use regex::{Captures, Regex};
use tamis_sdk::output::{EmailPseudo, Pseudo};
use tamis_sdk::read::{Cell, Unreadable};
use tamis_sdk::transform::Outcome;
use tamis_sdk::value::{Cents, Date};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::{Client, Export};

/// Digits, in groups of three or without groups.
const WHOLE: &str = "[0-9]{1,3}(?:[ \u{a0}\u{202f}\u{2009}][0-9]{3})+|[0-9]+";

static INTEGER: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = format!(r"\A(?<sign>[+-]?)(?<whole>{WHOLE})(?:[.,]0+)?\z");
    Regex::new(&pattern).unwrap()
});

static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    let number = |n: u8| format!("(?<whole{n}>{WHOLE})(?:[.,](?<fraction{n}>[0-9]+))?");
    let currency = "(?:€|EUR)";
    let (behind, before, signed) = (number(1), number(2), number(3));
    let pattern = format!(
        r"\A(?:(?<sign1>[+-]?){behind}(?:\s*{currency})?|(?<sign2>[+-]?){currency}\s*{before}|{currency}\s*(?<sign3>[+-]){signed})\z"
    );
    Regex::new(&pattern).unwrap()
});

static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let forms = r"(?<y1>[0-9]{4})-(?<m1>[0-9]{2})-(?<d1>[0-9]{2})|(?<y2>[0-9]{4})/(?<m2>[0-9]{2})/(?<d2>[0-9]{2})|(?<y3>[0-9]{4})(?<m3>[0-9]{2})(?<d3>[0-9]{2})|(?<d4>[0-9]{2})/(?<m4>[0-9]{2})/(?<y4>[0-9]{4})|(?<d5>[0-9]{2})-(?<m5>[0-9]{2})-(?<y5>[0-9]{4})|(?<d6>[0-9]{2})\.(?<m6>[0-9]{2})\.(?<y6>[0-9]{4})";
    let hour = "(?:[01][0-9]|2[0-3])";
    let clock = format!(r"(?:(?:[0-9]|{hour}):[0-5][0-9](?::(?:[0-5][0-9]|60))?|{hour}[0-5][0-9](?:[0-5][0-9]|60)?)");
    let zone = r"(?:[ \t\n\f\r]*(?:Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?";
    Regex::new(&format!(r"\A(?:{forms})(?:(?:[Tt]|\s+){clock}(?:[.,][0-9]+)?{zone})?\z")).unwrap()
});

/// Codes by themselves, in capitals, and by names without accents and in small letters.
static COUNTRIES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let table = include_str!("../../../../../sdk/rust/data/pays.csv");
    let mut countries = HashMap::new();
    for line in table.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let names = cells[4].split('|').chain([cells[1]]).filter(|name| !name.is_empty()).map(folded);
        for name in names.chain([cells[0].to_owned()]) {
            assert_eq!(countries.insert(name, cells[0]), None, "{line}");
        }
    }
    countries
});

/// What a row becomes at the logical date `as_of`.
pub fn client<'a>(as_of: NaiveDate, row: &Export<'a>) -> Outcome<Client<'a>> {
    let Some(customer) = text(row.customer_id) else { return Outcome::Reject("no CUSTOMER_ID") };
    Outcome::Keep(Client {
        salesforce_id: text(row.salesforce_id).map(Pseudo),
        client_id: Pseudo(customer),
        civilite: text(row.civilite),
        email_hash: text(row.email).map(EmailPseudo),
        age: cell(row.date_naissance, |text| {
            let born = calendar_day(text)?;
            let birthday_is_to_come = (as_of.month(), as_of.day()) < (born.month(), born.day());
            Some(as_of.year() - born.year() - i32::from(birthday_is_to_come))
        }),
        ville: text(row.ville),
        code_postal: text(row.code_postal),
        pays: cell(row.pays, |text| {
            COUNTRIES.get(&text.to_ascii_uppercase()).or_else(|| COUNTRIES.get(&folded(text))).copied()
        }),
        statut: text(row.statut),
        segment_client: text(row.segment_client),
        lead_score: cell(row.lead_score, integer),
        canal_acquisition: text(row.canal_acquisition),
        categorie_preferee: text(row.categorie_preferee),
        nb_commandes: cell(row.nb_commandes, integer),
        lifetime_value_eur: cell(row.lifetime_value_eur, amount),
        kyc_requis: cell(row.kyc_requis, boolean),
        kyc_valide: cell(row.kyc_valide, boolean),
        newsletter_optin: cell(row.newsletter_optin, boolean),
        kyc_date_validation: cell(row.kyc_date_validation, date),
        date_creation_crm: cell(row.date_creation_crm, date),
        date_modification: cell(row.date_modification, date),
    })
}

fn cell<'a, T>(cell: Option<&'a str>, read: impl Fn(&'a str) -> Option<T>) -> Cell<T> {
    text(cell).map(|text| read(text).ok_or(Unreadable)).transpose()
}

fn text(cell: Option<&str>) -> Option<&str> {
    let text = cell?.trim();
    (!["", "NULL", "null", "N/A", "NA", "NaN", "None"].contains(&text)).then_some(text)
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "vrai" | "oui" | "yes" | "o" | "1" => Some(true),
        "false" | "faux" | "non" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i32> {
    let parts = INTEGER.captures(text)?;
    format!("{}{}", &parts["sign"], ascii_digits(&parts["whole"])).parse().ok()
}

/// Rounded by the first digit that is cut off: half and more away from zero.
fn amount(text: &str) -> Option<Cents> {
    let parts = AMOUNT.captures(text)?;
    let digits = ascii_digits(one_of(&parts, ["whole1", "whole2", "whole3"]));
    let fraction = format!("{}000", one_of(&parts, ["fraction1", "fraction2", "fraction3"]));
    let written = format!("{digits}{}", &fraction[..2]);
    let rounded = written.parse::<i128>().ok()? + i128::from(&fraction[2..3] >= "5");
    let is_negative = one_of(&parts, ["sign1", "sign2", "sign3"]) == "-";
    let cents = if is_negative { -rounded } else { rounded };
    (rounded < 10_i128.pow(18)).then_some(Cents(cents as i64))
}

fn date(text: &str) -> Option<Date> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    Some(Date((calendar_day(text)? - epoch).num_days() as i32))
}

fn calendar_day(text: &str) -> Option<NaiveDate> {
    let parts = DATE.captures(text)?;
    let number = |names| one_of(&parts, names).parse::<u32>().unwrap();
    let year = number(["y1", "y2", "y3", "y4", "y5", "y6"]);
    let mut month = number(["m1", "m2", "m3", "m4", "m5", "m6"]);
    let mut day = number(["d1", "d2", "d3", "d4", "d5", "d6"]);
    if parts.name("m1").is_some() && month > 12 {
        (month, day) = (day, month);
    }
    NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year > 0)
}

/// The text of the group that took part in the match; empty when none did.
fn one_of<'a, const N: usize>(parts: &Captures<'a>, names: [&str; N]) -> &'a str {
    names.iter().find_map(|name| parts.name(name)).map_or("", |part| part.as_str())
}

fn ascii_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn folded(text: &str) -> String {
    let plain: String = text.nfd().filter(|c| !is_combining_mark(*c)).collect();
    plain.to_lowercase().replace('’', "'")
}
