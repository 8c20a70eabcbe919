//! The columns of a topic: those of the published schemas, and those that a configuration declares.

use serde::Deserialize;
use serde_json::Value as Json;

/// The published schemas, by topic.
const SCHEMAS: [(&str, &str); 3] = [
    ("payments", include_str!("../../../../schemas/topics/payments.schema.json")),
    ("orders", include_str!("../../../../schemas/topics/orders.schema.json")),
    ("kyc_decisions", include_str!("../../../../schemas/topics/kyc_decisions.schema.json")),
];

/// The types that columns of topics have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// An integer.
    Int64,
    /// An amount.
    Decimal,
    /// IEEE 754.
    Float64,
    /// True or false.
    Boolean,
}

impl ColumnType {
    /// Their names, as in the manifest.
    pub const NAMES: [&str; 5] = ["text", "int64", "decimal", "float64", "boolean"];

    /// Its name in the manifest.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type of its values; none when they are kept as they came and never become a column.
    pub column_type: Option<ColumnType>,
    /// Whether no event has a null there.
    pub required: bool,
    /// Whether it tells who a person is.
    pub personal: bool,
}

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl Topic {
    /// The topic `name` with the columns of its schema, if it is a published one.
    pub fn published(name: &str) -> Self {
        let schema = SCHEMAS.iter().find(|(topic, _)| *topic == name);
        Self { name: name.to_owned(), columns: schema.map(|(_, json)| columns(json)).unwrap_or_default() }
    }

    /// The topics whose schemas are known.
    pub fn known() -> String {
        SCHEMAS.map(|(topic, _)| topic).join(", ")
    }

    /// The column `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The members of a record, as the host reads them.
fn columns(json: &str) -> Vec<Column> {
    let schema: Json = serde_json::from_str(json).unwrap_or_default();
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let column = |(name, member): (&String, &Json)| Column {
        name: name.clone(),
        column_type: column_type(member),
        required: required.contains(&name.as_str()),
        personal: member["x-tamis-personal"] == true,
    };
    properties.map(column).collect()
}

fn column_type(member: &Json) -> Option<ColumnType> {
    let types: Vec<_> = match &member["type"] {
        Json::Array(types) => types.iter().filter_map(Json::as_str).filter(|name| *name != "null").collect(),
        one => one.as_str().into_iter().collect(),
    };
    match types.as_slice() {
        ["string"] => Some(ColumnType::Text),
        ["integer"] => Some(ColumnType::Int64),
        ["number"] if member["x-tamis-type"] == "amount" => Some(ColumnType::Decimal),
        ["number"] => Some(ColumnType::Float64),
        ["boolean"] => Some(ColumnType::Boolean),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_those_of_their_topics() {
        for (name, json) in SCHEMAS {
            let schema: Json = serde_json::from_str(json).unwrap();
            assert_eq!(schema["x-tamis-topic"], name);
            assert_eq!(columns(json).len(), schema["properties"].as_object().unwrap().len(), "{name}");
        }
    }

    #[test]
    fn columns_are_as_the_host_reads_them() {
        let check = |topic: &str, name: &str, column_type: Option<ColumnType>, required: bool, personal: bool| {
            let expected = Column { name: name.to_owned(), column_type, required, personal };
            assert_eq!(Topic::published(topic).column(name), Some(&expected));
        };
        check("payments", "payment_id", Some(ColumnType::Text), true, false);
        check("payments", "amount", Some(ColumnType::Decimal), true, false);
        check("payments", "risk_score", Some(ColumnType::Int64), false, false);
        check("payments", "fraud_flag", Some(ColumnType::Boolean), false, false);
        check("payments", "card_ref", Some(ColumnType::Text), false, true);
        check("payments", "created_at", None, false, false);
        check("orders", "items", None, false, false);
        check("kyc_decisions", "confidence_score", Some(ColumnType::Float64), false, false);
        assert!(Topic::published("clicks").columns.is_empty());
    }
}
