//! Batches on their way into a table: a stream of rows in the columns that the table declares.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use futures::stream::BoxStream;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

/// Rows for a table, batch by batch, so that a table of any size passes through bounded memory.
pub type Rows = BoxStream<'static, Result<RecordBatch>>;

/// The batch in the columns of `schema`, which it must have in that order. Only the physical form of text is
/// changed (`Utf8View`, dictionaries: query engines return them); every other difference is an error.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, table: &str) -> Result<RecordBatch> {
    let found = batch.schema();
    let same_names =
        found.fields().iter().map(|field| field.name()).eq(schema.fields().iter().map(|field| field.name()));
    if !same_names {
        let names =
            |schema: &SchemaRef| schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
        let reason = format!("the columns are {} instead of {}", names(&found), names(schema));
        return Err(Error::invalid("write table", table, reason));
    }
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        conform_column(column, field.data_type()).ok_or_else(|| {
            let reason = format!("it is {} instead of {}", column.data_type(), field.data_type());
            Error::invalid("write column", format!("{table}.{}", field.name()), reason)
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns).invalid("write table", table)
}

fn conform_column(column: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    match (column.data_type(), wanted) {
        (found, wanted) if found == wanted => Some(Arc::clone(column)),
        (DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..), DataType::Utf8) => {
            arrow_cast::cast(column, wanted).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, Int64Array, StringArray, StringViewArray};
    use arrow_schema::{Field, Schema};

    use super::*;

    fn batch(name: &str, column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([(name, column)]).unwrap()
    }

    #[test]
    fn only_the_form_of_text_may_differ() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("pays", DataType::Utf8, true)]));
        let view = batch("pays", Arc::new(StringViewArray::from(vec![Some("FR"), None])));
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("FR"), None]));
        assert_eq!(conform(&view, &schema, "silver.crm").unwrap().column(0), &text);
        let number = batch("pays", Arc::new(Int32Array::from(vec![1])));
        let error = conform(&number, &schema, "silver.crm").unwrap_err().chain();
        assert_eq!(error, "cannot write column silver.crm.pays: it is Int32 instead of Utf8");
        let other = batch("ville", text);
        let error = conform(&other, &schema, "silver.crm").unwrap_err().chain();
        assert_eq!(error, "cannot write table silver.crm: the columns are ville instead of pays");
    }

    #[test]
    fn a_null_where_none_may_be_is_refused() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let null = batch("n", Arc::new(Int64Array::from(vec![None])));
        assert!(conform(&null, &schema, "gold.x").is_err());
    }
}
