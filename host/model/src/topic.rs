//! The schema of a topic: what its records must look like, and which columns alerts name them by.
//!
//! Written as JSON Schema in `schemas/topics/`, with a few `x-tamis-` annotations for what JSON Schema
//! cannot say; parsed once. Only the keywords that are checked are understood: any other is refused by its name, so that
//! nobody writes a condition that nothing enforces, and so is a combination that the decoder would read otherwise.

pub mod compatibility;

use std::fmt::Display;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Context, Error, Result};
use crate::schema::ColumnType;

/// The schema of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSchema {
    /// The topic's name.
    pub name: String,
    /// The known members of a record; others are accepted and ignored.
    pub fields: Vec<Field>,
    /// The field that identifies a record: `payment_id`, `event_id`.
    pub id: String,
    /// The field that names its order, if it has one.
    pub order_id: Option<String>,
    /// The field that names its customer, if it has one.
    pub customer_id: Option<String>,
}

/// A member of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name, exactly.
    pub name: String,
    /// What fits it.
    pub kind: FieldKind,
    /// Whether it must be there and not null.
    pub required: bool,
    /// Whether it tells who a person is.
    pub personal: bool,
}

/// What fits a field. A string that is a null token fits every kind and reads as null.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldKind {
    /// A string.
    Text,
    /// One of these strings, exactly.
    Enum(Vec<String>),
    /// A number, rounded to hundredths half away from zero from its decimal text.
    Amount,
    /// An integer, written with or without a zero fraction, between two bounds, both included.
    Integer {
        /// The lowest.
        min: i64,
        /// The highest.
        max: i64,
    },
    /// A number between two bounds, both included.
    Number {
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// A string or an integer, kept in the archive and not decoded.
    TextOrInteger,
    /// An array of objects with these members; checked, not decoded into columns.
    Items(Vec<Field>),
}

impl TopicSchema {
    /// Parses a JSON Schema as in `schemas/topics/`.
    ///
    /// A required member may not be of type `null`, every other one must be. Number-valued members are
    /// `integer`, `number`, or `number` with `"x-tamis-type": "amount"`.
    pub fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).invalid("parse", "topic schema")?;
        let written: Written = read(value, "topic schema")?;
        let name = written.topic;
        if written.dialect != DIALECT {
            let object = format!("topic schema {name}");
            return Err(Error::invalid("parse", object, format!("$schema is not {DIALECT}")));
        }
        let fields = members(written.properties, &written.required, &name)?;
        let schema =
            Self { name, fields, id: written.id, order_id: written.order_id, customer_id: written.customer_id };
        schema.check_identities()?;
        Ok(schema)
    }

    /// The field `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Alerts and state carry these as text, and an event without an id could not be named.
    fn check_identities(&self) -> Result<()> {
        for name in [Some(&self.id), self.order_id.as_ref(), self.customer_id.as_ref()].into_iter().flatten() {
            if self.field(name).is_none_or(|field| field.kind != FieldKind::Text) {
                return Err(refuse(&self.name, name, "names the record, so it must be a text member"));
            }
        }
        if self.field(&self.id).is_some_and(|field| !field.required) {
            return Err(refuse(&self.name, &self.id, "identifies the record, so it must be required"));
        }
        Ok(())
    }
}

impl Field {
    /// The type of its column; none for members that are checked and not decoded into columns.
    pub fn column_type(&self) -> Option<ColumnType> {
        match self.kind {
            FieldKind::Text | FieldKind::Enum(_) => Some(ColumnType::Text),
            FieldKind::Amount => Some(ColumnType::Decimal),
            FieldKind::Integer { .. } => Some(ColumnType::Int64),
            FieldKind::Number { .. } => Some(ColumnType::Float64),
            FieldKind::Boolean => Some(ColumnType::Boolean),
            FieldKind::TextOrInteger | FieldKind::Items(_) => None,
        }
    }
}

/// A topic schema as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "$schema")]
    dialect: String,
    #[serde(rename = "$id")]
    _uri: String,
    #[serde(rename = "title", default)]
    _title: String,
    #[serde(rename = "description", default)]
    _description: String,
    #[serde(rename = "type")]
    _type: ObjectType,
    #[serde(rename = "x-tamis-topic")]
    topic: String,
    #[serde(rename = "x-tamis-id")]
    id: String,
    #[serde(rename = "x-tamis-order-id")]
    order_id: Option<String>,
    #[serde(rename = "x-tamis-customer-id")]
    customer_id: Option<String>,
    #[serde(default)]
    required: Vec<String>,
    properties: Map<String, Value>,
}

/// The only type of records and items.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ObjectType {
    Object,
}

/// A member as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMember {
    #[serde(rename = "description", default)]
    _description: String,
    #[serde(rename = "type")]
    types: Types,
    #[serde(rename = "enum")]
    values: Option<Vec<Option<String>>>,
    minimum: Option<Value>,
    maximum: Option<Value>,
    items: Option<WrittenItems>,
    #[serde(rename = "x-tamis-type")]
    special: Option<Special>,
    #[serde(rename = "x-tamis-personal", default)]
    personal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenItems {
    #[serde(rename = "type")]
    _type: ObjectType,
    #[serde(default)]
    required: Vec<String>,
    properties: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Special {
    Amount,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Types {
    One(JsonType),
    Several(Vec<JsonType>),
}

impl Types {
    fn has(&self, wanted: JsonType) -> bool {
        match self {
            Self::One(one) => *one == wanted,
            Self::Several(several) => several.contains(&wanted),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JsonType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Null,
}

const EMPTY_RANGE: &str = "minimum is above maximum";
/// The dialect whose keywords these are.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn read<T: DeserializeOwned>(value: Value, object: impl Display) -> Result<T> {
    serde_json::from_value(value).invalid("parse", object)
}

fn refuse(owner: &str, member: &str, reason: &str) -> Error {
    Error::invalid("parse", format!("topic schema {owner}, member {member}"), reason)
}

fn members(properties: Map<String, Value>, required: &[String], owner: &str) -> Result<Vec<Field>> {
    if let Some(unknown) = required.iter().find(|name| !properties.contains_key(*name)) {
        return Err(refuse(owner, unknown, "is required and not described"));
    }
    let member = |(name, value)| member(name, value, required, owner);
    properties.into_iter().map(member).collect()
}

fn member(name: String, value: Value, required: &[String], owner: &str) -> Result<Field> {
    let written: WrittenMember = read(value, format!("topic schema {owner}, member {name}"))?;
    let required = required.contains(&name);
    let mut types = match &written.types {
        Types::One(one) => vec![*one],
        Types::Several(several) => several.clone(),
    };
    let nullable = types.contains(&JsonType::Null);
    types.retain(|t| *t != JsonType::Null);
    if nullable == required {
        return Err(refuse(owner, &name, "is either required or of type null too"));
    }
    let personal = written.personal;
    let wrong = |reason: &str| refuse(owner, &name, reason);
    let kind = match check_keywords(&written, &types) {
        Ok(()) => kind(written, &types, &format!("{owner}.{name}"), &wrong)?,
        Err(reason) => return Err(wrong(reason)),
    };
    Ok(Field { name, kind, required, personal })
}

/// Each keyword stands only where something checks it.
fn check_keywords(written: &WrittenMember, types: &[JsonType]) -> Result<(), &'static str> {
    let bounded = written.minimum.is_some() || written.maximum.is_some();
    let numeric = matches!(types, [JsonType::Integer | JsonType::Number]);
    if bounded && (!numeric || written.special.is_some()) {
        return Err("minimum and maximum are for integers and numbers");
    }
    if written.special.is_some() && types != [JsonType::Number] {
        return Err("x-tamis-type amount is for numbers");
    }
    if written.values.is_some() && types != [JsonType::String] {
        return Err("enum is for strings");
    }
    if let Some(values) = &written.values {
        // A string that is a null token reads as null, whatever the enum says.
        if values.contains(&None) != written.types.has(JsonType::Null) {
            return Err("enum holds null when the type does, and only then");
        }
        if values.iter().flatten().next().is_none() {
            return Err("enum has no value");
        }
    }
    if written.items.is_some() != (types == [JsonType::Array]) {
        return Err("an array needs items, and nothing else has them");
    }
    Ok(())
}

fn kind(written: WrittenMember, types: &[JsonType], owner: &str, wrong: &dyn Fn(&str) -> Error) -> Result<FieldKind> {
    let integer = |bound: Option<Value>, default| match bound {
        None => Ok(default),
        Some(bound) => bound.as_i64().ok_or_else(|| wrong("the bounds of an integer are integers of 64 bits")),
    };
    let number = |bound: Option<Value>, default| match bound {
        None => Ok(default),
        Some(bound) => bound.as_f64().ok_or_else(|| wrong("bounds are numbers")),
    };
    match (types, written) {
        ([JsonType::String], WrittenMember { values: Some(values), .. }) => {
            Ok(FieldKind::Enum(values.into_iter().flatten().collect()))
        }
        ([JsonType::String], _) => Ok(FieldKind::Text),
        ([JsonType::Number], WrittenMember { special: Some(Special::Amount), .. }) => Ok(FieldKind::Amount),
        ([JsonType::Integer], WrittenMember { minimum, maximum, .. }) => {
            let (min, max) = (integer(minimum, i64::MIN)?, integer(maximum, i64::MAX)?);
            if min > max { Err(wrong(EMPTY_RANGE)) } else { Ok(FieldKind::Integer { min, max }) }
        }
        ([JsonType::Number], WrittenMember { minimum, maximum, .. }) => {
            let (min, max) = (number(minimum, f64::NEG_INFINITY)?, number(maximum, f64::INFINITY)?);
            if min > max { Err(wrong(EMPTY_RANGE)) } else { Ok(FieldKind::Number { min, max }) }
        }
        ([JsonType::Boolean], _) => Ok(FieldKind::Boolean),
        ([JsonType::String, JsonType::Integer], _) => Ok(FieldKind::TextOrInteger),
        ([JsonType::Array], WrittenMember { items: Some(items), .. }) => {
            Ok(FieldKind::Items(members(items.properties, &items.required, owner)?))
        }
        _ => Err(wrong("no field is of this type")),
    }
}

#[cfg(test)]
mod tests;
