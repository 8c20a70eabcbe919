//! The CRM's weekly export, as clerks and two software versions left it: mixed date forms, amounts with commas,
//! duplicates, rows without a key.

use std::io::{Result, Write};

use super::company::{Customer, Dice, customer};
use super::{AS_OF_DAY, Scale};

const HEADER: &str = "SALESFORCE_ID,CUSTOMER_ID,CIVILITE,PRENOM,NOM,EMAIL,TELEPHONE,DATE_NAISSANCE,ADRESSE_RUE,VILLE,CODE_POSTAL,PAYS,STATUT,\
SEGMENT_CLIENT,LEAD_SCORE,CANAL_ACQUISITION,CATEGORIE_PREFEREE,NB_COMMANDES,LIFETIME_VALUE_EUR,KYC_REQUIS,KYC_VALIDE,KYC_DATE_VALIDATION,\
NEWSLETTER_OPTIN,DATE_CREATION_CRM,DATE_MODIFICATION,PROPRIETAIRE_SF";

/// Writes an export: a byte-order mark, the header, one row a customer and the odd duplicate.
pub fn write(seed: u64, scale: Scale, out: &mut impl Write) -> Result<()> {
    let mut dice = Dice::new(seed, "crm");
    write!(out, "\u{feff}{HEADER}\r\n")?;
    for number in 1..=scale.of(5_000) {
        let client = customer(seed, number);
        row(&mut dice, &client, number, out)?;
        if dice.percent(3.0) {
            row(&mut dice, &client, number, out)?;
        }
        if dice.percent(0.2) {
            write!(out, "003-sans-clef,,M,Jean,Perdu,jean@perdu.example,,,,,,,,,,,,,,,,,,,,\r\n")?;
        }
        if dice.percent(0.1) {
            write!(out, "003-trop,{},une,cellule,de,trop,,,,,,,,,,,,,,,,,,,,,,surplus\r\n", client.id)?;
        }
    }
    Ok(())
}

fn row(dice: &mut Dice, client: &Customer, number: u64, out: &mut impl Write) -> Result<()> {
    let born = date(dice, 1945, 2007);
    let created = date(dice, 2018, 2025);
    let modified = format!("{AS_OF_DAY_PREFIX}{:02}", dice.between(1, 19));
    let kyc_required = dice.percent(20.0);
    let cells = [
        format!("003{number:015}"),
        client.id.clone(),
        dice.pick(&["M", "Mme", "", "N/A"]).to_string(),
        client.first_name.to_owned(),
        client.last_name.to_owned(),
        format!("{}.{}{number}@Exemple.FR", client.first_name.to_lowercase(), number % 97),
        format!("+33 6 {:02} {:02} {:02} {:02}", number % 97, number % 89, number % 83, number % 79),
        born,
        format!("{} rue de la République, \"bât. {}\"", dice.between(1, 180), dice.pick(&["A", "B", "C"])),
        client.city.to_owned(),
        client.postal_code.to_owned(),
        if dice.percent(0.5) { "Atlantide".to_owned() } else { client.country_written.to_owned() },
        dice.pick(&["actif", "actif", "actif", "inactif", "prospect"]).to_string(),
        dice.pick(&["standard", "premium", "vip", "NULL"]).to_string(),
        if dice.percent(1.0) { "élevé".to_owned() } else { dice.between(0, 100).to_string() },
        dice.pick(&["SEO", "Google Ads", "Parrainage", "E-mailing", "Boutique", "Réseaux sociaux"]).to_string(),
        dice.pick(&["chaussures", "maison", "jardin", "high-tech", ""]).to_string(),
        dice.pick(&["0", "1", "2", "3.0", "12", "1 024"]).to_string(),
        lifetime_value(dice),
        yes_or_no(dice, kyc_required),
        if kyc_required { yes_or_no(dice, true) } else { String::new() },
        if kyc_required { date(dice, 2024, 2025) } else { String::new() },
        if dice.percent(50.0) { "oui".to_owned() } else { "0".to_owned() },
        created,
        modified,
        "Service client".to_owned(),
    ];
    let line: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    write!(out, "{}\r\n", line.join(","))
}

const AS_OF_DAY_PREFIX: &str = AS_OF_DAY.split_at(8).0;

/// RFC 4180: cells with commas, quotes or line breaks stand in quotes.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

/// A date in one of the forms that the export mixes, one in two hundred impossible.
fn date(dice: &mut Dice, from_year: i64, to_year: i64) -> String {
    let (y, m, d) = (dice.between(from_year, to_year), dice.between(1, 12), dice.between(1, 28));
    match dice.between(0, 199) {
        0 => "31/02/2020".to_owned(),
        1..=99 => format!("{y}-{m:02}-{d:02}"),
        100..=149 => format!("{d:02}/{m:02}/{y}"),
        150..=169 => format!("{d:02}.{m:02}.{y}"),
        170..=184 => format!("{y}{m:02}{d:02}"),
        _ => format!("{y}-{m:02}-{d:02}T08:30:00"),
    }
}

fn lifetime_value(dice: &mut Dice) -> String {
    let cents = dice.amount() * dice.between(-1, 9);
    let (sign, euros, rest) = (if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
    match dice.between(0, 4) {
        0 => format!("{sign}{euros},{rest:02}"),
        1 => format!("{sign}{euros}.{rest:02} €"),
        2 if euros >= 1_000 => format!("{sign}{}\u{202f}{:03},{rest:02}", euros / 1_000, euros % 1_000),
        _ => format!("{sign}{euros}.{rest:02}"),
    }
}

fn yes_or_no(dice: &mut Dice, yes: bool) -> String {
    dice.pick(if yes { &["oui", "VRAI", "1", "True"] } else { &["non", "FAUX", "0", "False"] }).to_string()
}
