//! What is kept of an event: which counts it is in, and, while it can still fire, what is known of it and the columns of the condition,
//! from which another condition over the same columns can tell what it has to know.

use tamis_sdk::bindings::types::{Batch, Column as Wire, Strings, Value, Values};
use tamis_sdk::encoding::{self, Reader};

use crate::columns::{Column, ColumnType};
use crate::counts::{Figure, Known, Own};
use crate::evaluate::{Bits, Rows};
use crate::place::Place;

/// How many bytes are left of an event that cannot fire any more: the counts it is in, a bit each.
pub const SETTLED_BYTES: u32 = 1;

/// The bytes before what is known of an event: the counts it is in, the fingerprint; and the length of what is known.
const HEAD: usize = 1 + size_of::<u32>();
const LENGTH: usize = size_of::<u16>();
/// The mark of what cannot be evaluated.
const FAILED: u8 = 2;

/// How events are kept.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The columns of the condition, which are the first of the rule's.
    columns: Vec<Column>,
    /// They in the order of their names, in which they are kept.
    order: Vec<usize>,
    /// Of what is known of an event, whether it is an integer or a double; none for tests.
    figures: Vec<Option<Figure>>,
    /// Changes with what is known of an event. What another condition knew of one is not what this one has to know.
    fingerprint: u32,
}

impl Layout {
    /// That of a condition with these columns and parts.
    pub fn new(columns: &[Column], own: &[Own]) -> Self {
        let figure = |own: &Own| match own {
            Own::Test(_) => None,
            Own::Integer(_) => Some(Figure::Integer(0)),
            Own::Double(_) => Some(Figure::Double(0.0)),
        };
        let fingerprint = fingerprint(&format!("{columns:?} {own:?}"));
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by(|a, b| columns[*a].name.cmp(&columns[*b].name));
        Self { columns: columns.to_vec(), order, figures: own.iter().map(figure).collect(), fingerprint }
    }

    /// The columns as they are kept: states of the same ones can be read.
    pub fn shape(&self) -> String {
        let column = |index: &usize| {
            let Column { name, column_type, .. } = &self.columns[*index];
            format!("{name} {}", column_type.map_or("", ColumnType::name))
        };
        self.order.iter().map(column).collect::<Vec<_>>().join(",")
    }

    /// The columns of the condition.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Appends what is kept of an event that can fire.
    pub fn encode(
        &self,
        members: u8,
        known: impl Iterator<Item = Known>,
        rows: &Rows<'_>,
        row: usize,
        out: &mut Vec<u8>,
    ) {
        out.push(members);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH]);
        for known in known {
            match known {
                Known::Truth(holds) => out.push(u8::from(holds)),
                Known::Figure(None) => out.push(0),
                Known::Figure(Some(Figure::Integer(number))) => {
                    out.push(1);
                    encoding::signed(out, number);
                }
                Known::Figure(Some(Figure::Double(number))) => {
                    out.push(1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
                Known::Failed(Place { line, column }) => {
                    out.push(FAILED);
                    encoding::unsigned(out, line.into());
                    encoding::unsigned(out, column.into());
                }
            }
        }
        // A condition has at most 4096 parts, of which 11 bytes are known.
        let length = (out.len() - start - LENGTH) as u16;
        out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes());
        for &index in &self.order {
            cell(rows, index, &self.columns[index], row, out);
        }
    }

    /// Whether an event that can fire was kept under the same condition.
    pub fn is_of(&self, kept: &[u8]) -> bool {
        kept.get(1..5).is_some_and(|fingerprint| fingerprint == self.fingerprint.to_le_bytes())
    }

    /// What is known of an event that can fire, and where its columns begin; nothing when the bytes are none of this layout.
    pub fn known<'k>(&self, kept: &'k [u8], known: &mut Vec<Known>) -> Option<Reader<'k>> {
        known.clear();
        let mut reader = Reader::new(kept);
        reader.take(HEAD + LENGTH)?;
        for figure in &self.figures {
            known.push(match (reader.byte()?, figure) {
                (holds @ 0..=1, None) => Known::Truth(holds == 1),
                (0, Some(_)) => Known::Figure(None),
                (1, Some(Figure::Integer(_))) => Known::Figure(Some(Figure::Integer(reader.signed()?))),
                (1, Some(Figure::Double(_))) => Known::Figure(Some(Figure::Double(double(&mut reader)?))),
                (FAILED, _) => {
                    let mut number = || u32::try_from(reader.unsigned()?).ok();
                    Known::Failed(Place { line: number()?, column: number()? })
                }
                _ => return None,
            });
        }
        Some(reader)
    }

    /// The columns of an event that was kept under another condition, as a batch of one row; nothing when the bytes are none of this layout.
    pub fn batch(&self, kept: &[u8]) -> Option<Batch> {
        let mut reader = Reader::new(kept);
        reader.take(HEAD)?;
        let length = u16::from_le_bytes(reader.take(LENGTH)?.try_into().ok()?);
        reader.take(length.into())?;
        let cells = self.cells(reader)?.into_iter().zip(&self.columns);
        let columns = cells.map(|(cell, column)| one_row(cell, column.column_type)).collect::<Option<_>>()?;
        Some(Batch { rows: 1, columns })
    }

    /// The columns of an event, for its context; nothing when the bytes are none of this layout.
    pub fn cells(&self, mut reader: Reader<'_>) -> Option<Vec<Value>> {
        let reader = &mut reader;
        let mut cells = vec![Value::Null; self.columns.len()];
        for &index in &self.order {
            cells[index] = match (reader.byte()?, self.columns[index].column_type?) {
                (0, _) => Value::Null,
                (1, ColumnType::Text) => Value::Text(std::str::from_utf8(reader.bytes()?).ok()?.to_owned()),
                (1, ColumnType::Int64) => Value::Int64(reader.signed()?),
                (1, ColumnType::Decimal) => Value::Decimal(reader.signed()?),
                (1, ColumnType::Float64) => Value::Float64(double(reader)?),
                (flag @ 1..=2, ColumnType::Boolean) => Value::Boolean(flag == 2),
                _ => return None,
            };
        }
        reader.is_at_end().then_some(cells)
    }
}

/// A cell as a column of one row.
fn one_row(cell: Value, column_type: Option<ColumnType>) -> Option<Wire> {
    let validity = matches!(cell, Value::Null).then(|| vec![0]);
    let text = |text: String| Values::Text(Strings { offsets: vec![0, text.len() as u32], data: text.into_bytes() });
    let values = match (column_type?, cell) {
        (ColumnType::Text, Value::Text(value)) => text(value),
        (ColumnType::Text, _) => text(String::new()),
        (ColumnType::Int64, Value::Int64(value)) => Values::Int64(vec![value]),
        (ColumnType::Int64, _) => Values::Int64(vec![0]),
        (ColumnType::Decimal, Value::Decimal(value)) => Values::Decimal(vec![value]),
        (ColumnType::Decimal, _) => Values::Decimal(vec![0]),
        (ColumnType::Float64, Value::Float64(value)) => Values::Float64(vec![value]),
        (ColumnType::Float64, _) => Values::Float64(vec![0.0]),
        (ColumnType::Boolean, cell) => Values::Boolean(vec![u8::from(matches!(cell, Value::Boolean(true)))]),
    };
    Some(Wire { values, validity })
}

/// Appends a cell: 0 when it is null, else 1 and its value; 1 for false and 2 for true.
fn cell(rows: &Rows<'_>, index: usize, column: &Column, row: usize, out: &mut Vec<u8>) {
    if !rows.valid(index).is_none_or(|valid: &Bits| valid.contains(row)) {
        out.push(0);
        return;
    }
    if column.column_type == Some(ColumnType::Boolean) {
        out.push(1 + u8::from(rows.flags(index)[row] != 0));
        return;
    }
    out.push(1);
    match column.column_type {
        Some(ColumnType::Text) => encoding::bytes(out, rows.text(index).get(row).as_bytes()),
        Some(ColumnType::Int64 | ColumnType::Decimal) => encoding::signed(out, rows.integers(index)[row]),
        Some(ColumnType::Float64) => out.extend_from_slice(&rows.doubles(index)[row].to_le_bytes()),
        Some(ColumnType::Boolean) | None => {}
    }
}

fn double(reader: &mut Reader<'_>) -> Option<f64> {
    Some(f64::from_le_bytes(reader.take(8)?.try_into().ok()?))
}

/// FNV-1a.
pub fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
