//! Lists of structs, which come out of a guest as JSON: an array of arrays, each the values of a struct.

use std::sync::Arc;

use arrow_array::builder::{BooleanBufferBuilder, Decimal128Builder, Int32Builder, StringBuilder};
use arrow_array::{Array, ArrayRef, ListArray, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use serde_json::Value;
use tamis_model::schema::{Column, ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE};

use super::DECIMAL_BOUND;

/// The values of a field under construction.
enum Cells {
    Text(StringBuilder),
    Int32(Int32Builder),
    Decimal(Decimal128Builder),
}

/// The texts of a column as lists, or what is wrong with them.
pub(super) fn lift(texts: &StringArray, column: &Column) -> Result<ArrayRef, String> {
    let DataType::List(element) = column.arrow() else { return Err("it is no list".to_owned()) };
    let DataType::Struct(fields) = element.data_type() else { return Err("it is no list of structs".to_owned()) };
    let cells = column.fields.iter().map(|field| Cells::new(field.column_type));
    let mut cells = cells.collect::<Result<Vec<_>, _>>()?;
    let mut lengths = Vec::with_capacity(texts.len());
    let mut there = BooleanBufferBuilder::new(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let structs: Vec<Option<Vec<Value>>> = match text {
            Some(text) => serde_json::from_str(text).map_err(|error| format!("row {row} is no list: {error}"))?,
            None => Vec::new(),
        };
        lengths.push(structs.len());
        for values in structs {
            there.append(values.is_some());
            let values = values.unwrap_or_else(|| vec![Value::Null; cells.len()]);
            if values.len() != cells.len() {
                return Err(format!("a struct in row {row} has {} of {} fields", values.len(), cells.len()));
            }
            for (cell, value) in cells.iter_mut().zip(&values) {
                cell.push(value).ok_or_else(|| format!("{value} in row {row} is not of its field's type"))?;
            }
        }
    }
    let arrays = cells.into_iter().map(Cells::finish).collect();
    let there = NullBuffer::new(there.finish());
    let structs = StructArray::try_new(fields.clone(), arrays, Some(there)).map_err(|error| error.to_string())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let lists = ListArray::try_new(element, offsets, Arc::new(structs), texts.nulls().cloned());
    lists.map(|lists| Arc::new(lists) as ArrayRef).map_err(|error| error.to_string())
}

impl Cells {
    fn new(column_type: ColumnType) -> Result<Self, String> {
        match column_type {
            ColumnType::Text => Ok(Self::Text(StringBuilder::new())),
            ColumnType::Int32 => Ok(Self::Int32(Int32Builder::new())),
            ColumnType::Decimal => {
                let decimals = Decimal128Builder::new().with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE);
                Ok(Self::Decimal(decimals.map_err(|error| error.to_string())?))
            }
            other => Err(format!("a field of a struct cannot be {other:?}")),
        }
    }

    /// Adds a value; none when it is not of the type.
    fn push(&mut self, value: &Value) -> Option<()> {
        match (self, value) {
            (Self::Text(texts), Value::Null) => texts.append_null(),
            (Self::Int32(numbers), Value::Null) => numbers.append_null(),
            (Self::Decimal(decimals), Value::Null) => decimals.append_null(),
            (Self::Text(texts), Value::String(text)) => texts.append_value(text),
            (Self::Int32(numbers), number) => numbers.append_value(i32::try_from(number.as_i64()?).ok()?),
            (Self::Decimal(decimals), number) => {
                let hundredths = number.as_i64().filter(|number| number.unsigned_abs() < DECIMAL_BOUND)?;
                decimals.append_value(i128::from(hundredths));
            }
            _ => return None,
        }
        Some(())
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut texts) => Arc::new(texts.finish()),
            Self::Int32(mut numbers) => Arc::new(numbers.finish()),
            Self::Decimal(mut decimals) => Arc::new(decimals.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column() -> Column {
        let fields =
            json!([{"name": "a", "type": "text"}, {"name": "n", "type": "int32"}, {"name": "d", "type": "decimal"}]);
        serde_json::from_value(json!({"name": "items", "type": "text", "fields": fields})).unwrap()
    }

    #[test]
    fn lists_are_lifted() {
        let texts = StringArray::from(vec![Some(r#"[["x",1,250],[null,null,null],null]"#), None, Some("[]")]);
        let lists = lift(&texts, &column()).unwrap();
        assert_eq!(lists.data_type(), &column().arrow());
        let lists: &ListArray = lists.as_any().downcast_ref().unwrap();
        assert_eq!((0..3).map(|row| lists.value_length(row)).collect::<Vec<_>>(), [3, 0, 0]);
        assert_eq!((lists.null_count(), lists.is_null(1), lists.values().null_count()), (1, true, 1));
        let structs: &StructArray = lists.values().as_any().downcast_ref().unwrap();
        assert_eq!(structs.column(2).null_count(), 2);
    }

    #[test]
    fn what_is_none_is_refused() {
        let check = |text: &str, words: &str| {
            let error = lift(&StringArray::from(vec![text]), &column()).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        check("{}", "row 0 is no list");
        check("[[1]]", "has 1 of 3 fields");
        check("[[1,1,1]]", "1 in row 0 is not of its field's type");
        check(r#"[["x",3000000000,1]]"#, "3000000000 in row 0");
        check(r#"[["x",1,1000000000000000000]]"#, "1000000000000000000 in row 0");
    }
}
