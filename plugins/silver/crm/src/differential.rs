//! The plugin's function against a reference: on a corpus of known rows and on each of them damaged.

use std::sync::LazyLock;

use chrono::NaiveDate;
use csv::{ReaderBuilder, StringRecord, Terminator};
use tamis_sdk::config::Config as _;
use tamis_sdk::testing::damaged;
use tamis_sdk::transform::Outcome;

use crate::{Export, Settings, crm};

mod reference;

/// Records, and whether they are kept. A cell that cannot be read does not make a row unreadable.
const CORPUS: [(&[u8], bool); 2] =
    [(include_bytes!("../corpus/kept.csv"), true), (include_bytes!("../corpus/rejected.csv"), false)];

/// The header of the export.
const HEADER: &str = include_str!("../corpus/header.csv");

const AS_OF: NaiveDate = NaiveDate::from_ymd_opt(2026, 3, 20).unwrap();

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings::parse(r#"{"as_of": "2026-03-20"}"#).unwrap());

static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| HEADER.trim_end().split(',').collect());

/// The records of a file without a header, as their bytes.
fn records(file: &[u8]) -> Vec<&[u8]> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let starts: Vec<_> =
        reader.byte_records().map(|record| record.unwrap().position().unwrap().byte() as usize).collect();
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).map(|(start, end)| &file[*start..end]).collect()
}

/// Whether a row is kept, by function and reference alike.
fn check(cells: &StringRecord) -> bool {
    let cell = |name| cells.get(NAMES.iter().position(|known| *known == name).unwrap());
    let row = Export {
        salesforce_id: cell("SALESFORCE_ID"),
        customer_id: cell("CUSTOMER_ID"),
        civilite: cell("CIVILITE"),
        email: cell("EMAIL"),
        date_naissance: cell("DATE_NAISSANCE"),
        ville: cell("VILLE"),
        code_postal: cell("CODE_POSTAL"),
        pays: cell("PAYS"),
        statut: cell("STATUT"),
        segment_client: cell("SEGMENT_CLIENT"),
        lead_score: cell("LEAD_SCORE"),
        canal_acquisition: cell("CANAL_ACQUISITION"),
        categorie_preferee: cell("CATEGORIE_PREFEREE"),
        nb_commandes: cell("NB_COMMANDES"),
        lifetime_value_eur: cell("LIFETIME_VALUE_EUR"),
        kyc_requis: cell("KYC_REQUIS"),
        kyc_valide: cell("KYC_VALIDE"),
        kyc_date_validation: cell("KYC_DATE_VALIDATION"),
        newsletter_optin: cell("NEWSLETTER_OPTIN"),
        date_creation_crm: cell("DATE_CREATION_CRM"),
        date_modification: cell("DATE_MODIFICATION"),
    };
    let client = crm(&SETTINGS, &row);
    assert_eq!(client, reference::client(AS_OF, &row), "{cells:?}");
    matches!(client, Outcome::Keep(_))
}

/// How many rows of a file are kept and how many are not.
fn check_all(file: &[u8]) -> (usize, usize) {
    // A host ends records at LF alone, as this reader then does, and replaces invalid UTF-8.
    let terminator = Terminator::Any(b'\n');
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).terminator(terminator).from_reader(file);
    let (mut kept, mut rejected) = (0, 0);
    for record in reader.byte_records() {
        match check(&StringRecord::from_byte_record_lossy(record.unwrap())) {
            true => kept += 1,
            false => rejected += 1,
        }
    }
    (kept, rejected)
}

#[test]
fn each_record_of_the_corpus_is_kept_or_not_as_its_file_says() {
    let mut count = 0;
    for (file, is_kept) in CORPUS {
        for record in records(file) {
            let text = String::from_utf8_lossy(record);
            assert_eq!(check_all(record), (usize::from(is_kept), usize::from(!is_kept)), "{text:?}");
            count += 1;
        }
    }
    assert!(count >= 150, "{count}");
}

#[test]
fn each_record_of_the_corpus_is_read_alike_when_a_byte_is_damaged() {
    for (file, _) in CORPUS {
        for record in records(file) {
            for damaged in damaged(record) {
                check_all(&damaged);
            }
        }
    }
}
