//! The CRM's weekly export: one row a customer, without what tells who it is.
//!
//! First and last name, phone, street and the sales representative are not even read.

use tamis_sdk::prelude::*;

/// What the host sets for each run.
#[derive(Config)]
pub struct Settings {
    /// The logical date of the run, at which ages are counted; without it they are unknown.
    as_of: Option<Date>,
}

/// A row of the export.
#[derive(Clone, Copy, Default, Row)]
#[row(source = "crm", format = "csv")]
pub struct Export<'a> {
    #[row(name = "SALESFORCE_ID", personal)]
    salesforce_id: Option<&'a str>,
    #[row(name = "CUSTOMER_ID", personal)]
    customer_id: Option<&'a str>,
    #[row(name = "CIVILITE")]
    civilite: Option<&'a str>,
    #[row(name = "EMAIL", personal)]
    email: Option<&'a str>,
    #[row(name = "DATE_NAISSANCE", personal)]
    date_naissance: Option<&'a str>,
    #[row(name = "VILLE")]
    ville: Option<&'a str>,
    #[row(name = "CODE_POSTAL")]
    code_postal: Option<&'a str>,
    #[row(name = "PAYS")]
    pays: Option<&'a str>,
    #[row(name = "STATUT")]
    statut: Option<&'a str>,
    #[row(name = "SEGMENT_CLIENT")]
    segment_client: Option<&'a str>,
    #[row(name = "LEAD_SCORE")]
    lead_score: Option<&'a str>,
    #[row(name = "CANAL_ACQUISITION")]
    canal_acquisition: Option<&'a str>,
    #[row(name = "CATEGORIE_PREFEREE")]
    categorie_preferee: Option<&'a str>,
    #[row(name = "NB_COMMANDES")]
    nb_commandes: Option<&'a str>,
    #[row(name = "LIFETIME_VALUE_EUR")]
    lifetime_value_eur: Option<&'a str>,
    #[row(name = "KYC_REQUIS")]
    kyc_requis: Option<&'a str>,
    #[row(name = "KYC_VALIDE")]
    kyc_valide: Option<&'a str>,
    #[row(name = "KYC_DATE_VALIDATION")]
    kyc_date_validation: Option<&'a str>,
    #[row(name = "NEWSLETTER_OPTIN")]
    newsletter_optin: Option<&'a str>,
    #[row(name = "DATE_CREATION_CRM")]
    date_creation_crm: Option<&'a str>,
    #[row(name = "DATE_MODIFICATION")]
    date_modification: Option<&'a str>,
}

/// A customer.
#[derive(Debug, PartialEq, Output)]
#[output(dataset = "silver.crm", partition_by = "pays", key = "client_id", keep_latest = "date_modification")]
pub struct Client<'a> {
    salesforce_id: Option<Pseudo<'a>>,
    client_id: Pseudo<'a>,
    civilite: Option<&'a str>,
    email_hash: Option<EmailPseudo<'a>>,
    age: Cell<i32>,
    ville: Option<&'a str>,
    code_postal: Option<&'a str>,
    pays: Cell<&'static str>,
    statut: Option<&'a str>,
    segment_client: Option<&'a str>,
    lead_score: Cell<i32>,
    canal_acquisition: Option<&'a str>,
    categorie_preferee: Option<&'a str>,
    nb_commandes: Cell<i32>,
    lifetime_value_eur: Cell<Cents>,
    kyc_requis: Cell<bool>,
    kyc_valide: Cell<bool>,
    newsletter_optin: Cell<bool>,
    kyc_date_validation: Cell<Date>,
    date_creation_crm: Cell<Date>,
    date_modification: Cell<Date>,
}

/// Makes a customer of a row; one without CUSTOMER_ID goes to quarantine.
#[transform(title = "Customers of the CRM", owner = "data")]
pub fn crm<'a>(settings: &Settings, row: &Export<'a>) -> Outcome<Client<'a>> {
    let Some(customer) = read::text(row.customer_id) else { return Outcome::Reject("no CUSTOMER_ID") };
    let age_of = |born: Date| settings.as_of.map(|as_of| born.full_years_until(as_of));
    Outcome::Keep(Client {
        salesforce_id: read::text(row.salesforce_id).map(Pseudo),
        client_id: Pseudo(customer),
        civilite: read::text(row.civilite),
        email_hash: read::text(row.email).map(EmailPseudo),
        age: read::date(row.date_naissance).map(|born| born.and_then(age_of)),
        ville: read::text(row.ville),
        code_postal: read::text(row.code_postal),
        pays: read::country(row.pays),
        statut: read::text(row.statut),
        segment_client: read::text(row.segment_client),
        lead_score: read::int32(row.lead_score),
        canal_acquisition: read::text(row.canal_acquisition),
        categorie_preferee: read::text(row.categorie_preferee),
        nb_commandes: read::int32(row.nb_commandes),
        lifetime_value_eur: read::amount(row.lifetime_value_eur),
        kyc_requis: read::boolean(row.kyc_requis),
        kyc_valide: read::boolean(row.kyc_valide),
        newsletter_optin: read::boolean(row.newsletter_optin),
        kyc_date_validation: read::date(row.kyc_date_validation),
        date_creation_crm: read::date(row.date_creation_crm),
        date_modification: read::date(row.date_modification),
    })
}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests {
    use tamis_sdk::config::Config as _;
    use tamis_sdk::json::json;
    use tamis_sdk::read::Unreadable;
    use tamis_sdk::transform::TransformPlugin;

    use super::*;

    fn customer() -> Export<'static> {
        Export { customer_id: Some("C1"), ..Export::default() }
    }

    fn client(row: Export<'_>) -> Client<'_> {
        let settings = Settings::parse(r#"{"as_of": "2026-03-20"}"#).unwrap();
        match crm(&settings, &row) {
            Outcome::Keep(client) => client,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_without_a_customer_is_rejected() {
        for customer_id in [None, Some(""), Some(" "), Some("NULL"), Some("NA")] {
            let row = Export { customer_id, ..Export::default() };
            assert_eq!(crm(&Settings::default(), &row), Outcome::Reject("no CUSTOMER_ID"));
        }
    }

    #[test]
    fn ages_are_full_years_at_the_logical_date() {
        let age = |text| client(Export { date_naissance: Some(text), ..customer() }).age;
        assert_eq!(age("20/03/1990"), Ok(Some(36)));
        assert_eq!(age("1990-03-21"), Ok(Some(35)));
        assert_eq!(age("29.02.2004 00:00:00"), Ok(Some(22)));
        assert_eq!(age("N/A"), Ok(None));
        assert_eq!(age("1990"), Err(Unreadable));
        let unset = crm(&Settings::default(), &Export { date_naissance: Some("1990"), ..customer() });
        assert!(matches!(unset, Outcome::Keep(Client { age: Err(Unreadable), .. })));
    }

    #[test]
    fn cells_are_read_or_null() {
        let row = Export {
            email: Some(" A@B.fr "),
            ville: Some(" Saint-Malo "),
            code_postal: Some("01000"),
            pays: Some("Côte d'Ivoire"),
            lead_score: Some("45.0"),
            nb_commandes: Some("many"),
            lifetime_value_eur: Some("-1 234,565 €"),
            kyc_requis: Some("OUI"),
            kyc_valide: Some("maybe"),
            date_modification: Some("03/18/2026"),
            ..customer()
        };
        let client = client(row);
        assert_eq!(client.email_hash, Some(EmailPseudo("A@B.fr")));
        assert_eq!((client.ville, client.code_postal), (Some("Saint-Malo"), Some("01000")));
        assert_eq!((client.pays, client.lead_score), (Ok(Some("CI")), Ok(Some(45))));
        assert_eq!((client.nb_commandes, client.lifetime_value_eur), (Err(Unreadable), Ok(Some(Cents(-123_457)))));
        assert_eq!((client.kyc_requis, client.kyc_valide), (Ok(Some(true)), Err(Unreadable)));
        assert_eq!((client.newsletter_optin, client.date_modification), (Ok(None), Err(Unreadable)));
    }

    #[test]
    fn only_pseudonyms_bear_the_name_of_what_tells_who_somebody_is() {
        let manifest: tamis_sdk::json::Value = tamis_sdk::json::from_str(&Plugin::manifest()).unwrap();
        let columns = |list: &tamis_sdk::json::Value| list.as_array().unwrap().clone();
        let personal = columns(&manifest["inputs"][0]["columns"]);
        let personal: Vec<_> = personal.iter().filter(|c| c["personal"] == json!(true)).map(|c| &c["name"]).collect();
        assert_eq!(personal, ["SALESFORCE_ID", "CUSTOMER_ID", "EMAIL", "DATE_NAISSANCE"]);
        let output = columns(&manifest["output"]["columns"]);
        let pseudonyms: Vec<_> = output.iter().filter(|c| c["pseudonym"] == json!(true)).map(|c| &c["name"]).collect();
        assert_eq!(pseudonyms, ["salesforce_id", "client_id", "email_hash"]);
        assert_eq!(manifest["output"]["keep"], json!({ "which": "latest", "by": "date_modification" }));
    }
}
