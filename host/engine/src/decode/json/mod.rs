//! Record lines of topics.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use tamis_model::schema::ColumnType;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};

use super::{Decoded, Decoder, Origin, Refused};
use crate::source::Chunk;

mod number;
mod parts;
#[path = "../../../tests/decode/reference.rs"]
mod reference;
mod text;

pub use parts::{RecordParts, record_parts};
use reference::{Cell, Outcome};
pub(super) use text::is_null_token;

/// Decodes the record lines of one topic.
#[derive(Clone, Debug)]
pub struct RecordDecoder {
    schema: TopicSchema,
    columns: Vec<usize>,
    arrow: Arc<Schema>,
}

impl RecordDecoder {
    /// Decodes the named columns, in that order.
    pub fn new(schema: &TopicSchema, columns: &[&str]) -> Result<Self> {
        let find = |name: &&str| {
            schema.fields.iter().position(|f| f.name == **name && f.column_type().is_some()).ok_or_else(|| {
                Error::invalid("decode", format!("column {name} of topic {}", schema.name), "there is no such column")
            })
        };
        let columns = columns.iter().map(find).collect::<Result<Vec<_>>>()?;
        let fields: Vec<_> = columns
            .iter()
            .map(|&c| {
                let field = &schema.fields[c];
                Field::new(&field.name, field.column_type().expect("checked").arrow(), true)
            })
            .collect();
        Ok(Self { schema: schema.clone(), columns, arrow: Arc::new(Schema::new(fields)) })
    }
}

impl Decoder for RecordDecoder {
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded {
        let bytes = chunk.records();
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        let (mut origins, mut times, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = from;
        while at < bytes.len() && rows.len() + refused.len() < rows_max {
            let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            let origin = |offset| Origin { offset, start: at as u32, end: end as u32 };
            match reference::decode_line(&self.schema, &bytes[at..end]) {
                Outcome::Blank => {}
                Outcome::Row { offset, time, values } => {
                    origins.push(origin(offset));
                    times.push(time);
                    rows.push(values);
                }
                Outcome::Refused { offset, time, reason, field } => refused.push(Refused {
                    origin: origin(offset.unwrap_or(-1)),
                    after_row: rows.len() as u32,
                    time,
                    reason,
                    message: field,
                }),
            }
            at = (end + 1).min(bytes.len());
        }
        let arrays = self.columns.iter().map(|&c| array(&self.schema, c, &rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let rows = RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options).expect("columns fit");
        Decoded { rows, origins, times, refused, consumed: at - from }
    }
}

fn array(schema: &TopicSchema, column: usize, rows: &[Vec<Cell>]) -> ArrayRef {
    let cells = rows.iter().map(|row| &row[column]);
    macro_rules! build {
        ($builder:expr, $variant:ident) => {{
            let mut builder = $builder;
            cells.for_each(|cell| match cell {
                Cell::$variant(value) => builder.append_value(value.clone()),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }};
    }
    match schema.fields[column].column_type().expect("checked") {
        ColumnType::Text => build!(StringBuilder::new(), Text),
        ColumnType::Int64 => build!(Int64Builder::new(), Integer),
        ColumnType::Float64 => build!(Float64Builder::new(), Number),
        ColumnType::Boolean => build!(BooleanBuilder::new(), Boolean),
        _ => build!(Decimal128Builder::new().with_data_type(ColumnType::Decimal.arrow()), Amount),
    }
}
