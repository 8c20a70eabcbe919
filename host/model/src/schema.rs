//! Column types, their Arrow form, and the columns that plugins and datasets declare.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

/// Digits of a decimal column.
pub const DECIMAL_PRECISION: u8 = 18;
/// Digits behind the point of a decimal column.
pub const DECIMAL_SCALE: i8 = 2;

/// The types that cross the plugin boundary and stand in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// 32-bit in tables; crosses the plugin boundary as 64-bit.
    Int32,
    /// 64-bit.
    Int64,
    /// IEEE 754 double.
    Float64,
    /// True or false.
    Boolean,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Days since the Unix epoch.
    Date,
    /// An amount: 18 digits, two of them behind the point.
    Decimal,
}

impl ColumnType {
    /// The one Arrow form of the type, in batches and in tables.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
            Self::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
        }
    }
}

/// A column of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name, in the language of its source.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether no row may be null.
    #[serde(default)]
    pub required: bool,
    /// Whether it tells who a person is. Such a column may not stand in an output.
    #[serde(default)]
    pub personal: bool,
    /// Outputs: whether its values are pseudonyms. Only such a column may bear the name of a personal input.
    #[serde(default)]
    pub pseudonym: bool,
    /// Outputs of rules: whether its texts are JSON and stand in records as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub json: bool,
    /// Outputs of transforms: of a column of lists of structs the fields of these. It crosses the plugin boundary as text: a JSON array of
    /// arrays, each the values of a struct as they would cross it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<StructField>,
}

/// A field of the structs in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StructField {
    /// Its name.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

impl Column {
    /// The Arrow field.
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.arrow(), !self.required)
    }

    /// The Arrow form of its values.
    pub fn arrow(&self) -> DataType {
        if self.fields.is_empty() {
            return self.column_type.arrow();
        }
        let fields = self.fields.iter().map(|field| Field::new(&field.name, field.column_type.arrow(), true));
        // Readers of Parquet call the elements so.
        DataType::List(Arc::new(Field::new("element", DataType::Struct(fields.collect()), true)))
    }
}

/// The Arrow schema of `columns`, in their order.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}
