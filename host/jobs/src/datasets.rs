//! The datasets of the lake that gold is made of: names, columns and keys by contracts 2 and 4, in one place.
//!
//! A dataset that does not exist yet reads as an empty table with these columns, so that queries are whole
//! before all sources are.

use arrow_schema::{DataType, Schema, SchemaRef};
use tamis_model::schema::ColumnType::{self, Boolean, Date, Decimal, Float64, Int32, Int64, Text, Timestamp};
use tamis_model::schema::{Column, arrow_schema};

/// A table of the lake.
#[derive(Debug)]
pub struct Dataset {
    /// Its name with its layer: `silver.crm`.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [(&'static str, ColumnType)],
    /// The columns that tell its rows apart; never null. Empty where equal rows are distinct.
    pub key: &'static [&'static str],
}

impl Dataset {
    /// Its Arrow schema; only key columns refuse nulls.
    pub fn schema(&self) -> SchemaRef {
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: (*name).to_owned(),
            column_type: *column_type,
            required: self.key.contains(name),
            personal: false,
            pseudonym: false,
            json: false,
            fields: Vec::new(),
        };
        arrow_schema(&self.columns.iter().map(column).collect::<Vec<_>>())
    }

    /// Its name without the layer, as it is called in the warehouse.
    pub fn table(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, table)| table)
    }
}

/// Whether a schema has the columns `expected`, by name and type, in any order; text may have any physical form.
pub fn has_columns(schema: &Schema, expected: &Dataset) -> bool {
    let is = |found: &DataType, column_type: ColumnType| match found {
        DataType::Utf8View | DataType::LargeUtf8 => column_type == Text,
        DataType::Dictionary(_, values) => **values == column_type.arrow(),
        other => *other == column_type.arrow(),
    };
    let column = |(name, column_type): &(&str, ColumnType)| {
        schema.field_with_name(name).is_ok_and(|field| is(field.data_type(), *column_type))
    };
    expected.columns.iter().all(column)
}

/// Contracts 2.1.
pub static SILVER_CRM: Dataset = Dataset {
    name: "silver.crm",
    columns: &[
        ("salesforce_id", Text),
        ("client_id", Text),
        ("civilite", Text),
        ("email_hash", Text),
        ("age", Int32),
        ("ville", Text),
        ("code_postal", Text),
        ("pays", Text),
        ("statut", Text),
        ("segment_client", Text),
        ("lead_score", Int32),
        ("canal_acquisition", Text),
        ("categorie_preferee", Text),
        ("nb_commandes", Int32),
        ("lifetime_value_eur", Decimal),
        ("kyc_requis", Boolean),
        ("kyc_valide", Boolean),
        ("newsletter_optin", Boolean),
        ("kyc_date_validation", Date),
        ("date_creation_crm", Date),
        ("date_modification", Date),
    ],
    key: &["client_id"],
};

/// Contracts 2.5.
pub static SILVER_NGINX: Dataset = Dataset {
    name: "silver.nginx",
    columns: &[
        ("ip_tronquee", Text),
        ("client_id", Text),
        ("ts", Timestamp),
        ("method", Text),
        ("path", Text),
        ("query_present", Boolean),
        ("protocol", Text),
        ("status_code", Int32),
        ("status_famille", Text),
        ("response_size_bytes", Int64),
        ("referer", Text),
        ("user_agent", Text),
        ("is_bot", Boolean),
        ("response_time_ms", Int32),
        ("log_date", Date),
    ],
    key: &[],
};

/// All silver datasets that gold reads.
pub static SILVER: [&Dataset; 2] = [&SILVER_CRM, &SILVER_NGINX];

/// Contracts 4, as are all that follow.
pub static DIM_CLIENT: Dataset = Dataset {
    name: "gold.dim_client",
    columns: &[
        ("client_id", Text),
        ("pays_id", Text),
        ("ville", Text),
        ("age", Int32),
        ("segment_client", Text),
        ("statut", Text),
        ("canal_id", Text),
        ("kyc_statut", Text),
        ("newsletter_optin", Boolean),
        ("date_creation_crm", Date),
        ("segment_rfm", Text),
    ],
    key: &["client_id"],
};

/// Countries.
pub static DIM_PAYS: Dataset = Dataset {
    name: "gold.dim_pays",
    columns: &[("pays_id", Text), ("nom", Text), ("zone", Text), ("ue", Boolean)],
    key: &["pays_id"],
};

/// Days.
pub static DIM_DATE: Dataset = Dataset {
    name: "gold.dim_date",
    columns: &[
        ("date_id", Int32),
        ("date", Date),
        ("jour", Int32),
        ("jour_semaine", Int32),
        ("semaine_iso", Int32),
        ("mois", Text),
        ("trimestre", Int32),
        ("annee", Int32),
        ("est_jour_ouvre", Boolean),
        ("est_ferie", Boolean),
    ],
    key: &["date_id"],
};

/// Orders, one row each.
pub static FACT_COMMANDE: Dataset = Dataset {
    name: "gold.fact_commande",
    columns: &[
        ("commande_id", Text),
        ("client_id", Text),
        ("date_id", Int32),
        ("pays_id", Text),
        ("canal_id", Text),
        ("montant_total", Decimal),
        ("nb_articles", Int32),
        ("remise", Decimal),
        ("frais_livraison", Decimal),
        ("mode_livraison", Text),
        ("statut", Text),
    ],
    key: &["commande_id"],
};

/// Payment attempts.
pub static FACT_PAIEMENT: Dataset = Dataset {
    name: "gold.fact_paiement",
    columns: &[
        ("paiement_id", Text),
        ("commande_id", Text),
        ("client_id", Text),
        ("date_id", Int32),
        ("montant", Decimal),
        ("devise", Text),
        ("statut", Text),
        ("score_risque", Int32),
        ("methode", Text),
        ("psp", Text),
        ("indicateur_fraude", Boolean),
    ],
    key: &["paiement_id"],
};

/// Deliveries.
pub static FACT_LIVRAISON: Dataset = Dataset {
    name: "gold.fact_livraison",
    columns: &[
        ("livraison_id", Text),
        ("commande_id", Text),
        ("client_id", Text),
        ("transporteur_id", Text),
        ("pays_id", Text),
        ("date_id", Int32),
        ("delai_jours_ouvres", Int32),
        ("retard_jours", Int32),
        ("frais", Decimal),
        ("nb_tentatives", Int32),
        ("tentatives_suspectes", Boolean),
        ("statut", Text),
    ],
    key: &["livraison_id"],
};

/// Web requests by day, method and path.
pub static FACT_EVENEMENT_WEB: Dataset = Dataset {
    name: "gold.fact_evenement_web",
    columns: &[
        ("evenement_id", Text),
        ("date_id", Int32),
        ("method", Text),
        ("path", Text),
        ("nb_requetes", Int64),
        ("taux_erreur", Float64),
        ("latence_moyenne_ms", Float64),
    ],
    key: &["evenement_id"],
};

/// Events of the mobile application.
pub static FACT_EVENEMENT_MOBILE: Dataset = Dataset {
    name: "gold.fact_evenement_mobile",
    columns: &[
        ("evenement_id", Text),
        ("date_id", Int32),
        ("pays_id", Text),
        ("client_id", Text),
        ("produit_id", Text),
        ("type_evenement", Text),
        ("session_id", Text),
        ("duree_session_ms", Int64),
        ("prix_eur", Decimal),
    ],
    key: &["evenement_id"],
};

/// Identity checks, without any detail of the document.
pub static FACT_KYC: Dataset = Dataset {
    name: "gold.fact_kyc",
    columns: &[
        ("kyc_id", Text),
        ("client_id", Text),
        ("date_id", Int32),
        ("statut", Text),
        ("delai_traitement_jours", Int32),
        ("sla_depasse", Boolean),
        ("nb_tentatives", Int32),
    ],
    key: &["kyc_id"],
};

/// Value and scores of each client.
pub static KPI_CLIENT_360: Dataset = Dataset {
    name: "gold.kpi_client_360",
    columns: &[
        ("client_id", Text),
        ("nb_commandes", Int64),
        ("montant_total", Decimal),
        ("panier_moyen", Decimal),
        ("date_derniere_commande", Date),
        ("recence_jours", Int32),
        ("r_score", Int32),
        ("f_score", Int32),
        ("m_score", Int32),
        ("segment_rfm", Text),
        ("lifetime_value_eur", Decimal),
        ("risque_churn", Boolean),
        ("completude_profil", Float64),
    ],
    key: &["client_id"],
};

/// Availability and latency of each day.
pub static KPI_WEB_JOUR: Dataset = Dataset {
    name: "gold.kpi_web_jour",
    columns: &[
        ("date", Date),
        ("nb_requetes", Int64),
        ("disponibilite", Float64),
        ("taux_2xx", Float64),
        ("taux_3xx", Float64),
        ("taux_4xx", Float64),
        ("taux_5xx", Float64),
        ("latence_p95_ms", Float64),
    ],
    key: &["date"],
};

/// Gold datasets whose sources come with later issues: declared and read, but not computed.
pub static AWAITED: [&Dataset; 5] =
    [&FACT_COMMANDE, &FACT_PAIEMENT, &FACT_LIVRAISON, &FACT_EVENEMENT_MOBILE, &FACT_KYC];
