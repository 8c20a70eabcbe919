//! What is kept of an event: which counts it is in, and, while it can still fire, what is known of it and the columns of the condition.

use tamis_sdk::bindings::types::Value;
use tamis_sdk::encoding::{self, Reader};

use crate::columns::{Column, ColumnType};
use crate::counts::{Figure, Known, Own};
use crate::evaluate::{Bits, Rows};

/// How many bytes are left of an event that cannot fire any more: the counts it is in, a bit each.
pub const SETTLED_BYTES: u32 = 1;

/// How events are kept.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The columns of the condition, which are the first of the rule's.
    columns: Vec<Column>,
    /// Of what is known of an event, whether it is an integer or a double; none for tests.
    figures: Vec<Option<Figure>>,
    /// Changes with what is known of an event. What another condition knew of one cannot be judged by this one.
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
        Self { columns: columns.to_vec(), figures: own.iter().map(figure).collect(), fingerprint }
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
            }
        }
        for (index, column) in self.columns.iter().enumerate() {
            cell(rows, index, column, row, out);
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
        reader.take(1 + size_of::<u32>())?;
        for figure in &self.figures {
            known.push(match (reader.byte()?, figure) {
                (holds @ 0..=1, None) => Known::Truth(holds == 1),
                (0, Some(_)) => Known::Figure(None),
                (1, Some(Figure::Integer(_))) => Known::Figure(Some(Figure::Integer(reader.signed()?))),
                (1, Some(Figure::Double(_))) => Known::Figure(Some(Figure::Double(double(&mut reader)?))),
                _ => return None,
            });
        }
        Some(reader)
    }

    /// The columns of an event, for its context; nothing when the bytes are none of this layout.
    pub fn cells(&self, mut reader: Reader<'_>) -> Option<Vec<Value>> {
        let reader = &mut reader;
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            cells.push(match (reader.byte()?, column.column_type?) {
                (0, _) => Value::Null,
                (1, ColumnType::Text) => Value::Text(std::str::from_utf8(reader.bytes()?).ok()?.to_owned()),
                (1, ColumnType::Int64) => Value::Int64(reader.signed()?),
                (1, ColumnType::Decimal) => Value::Decimal(reader.signed()?),
                (1, ColumnType::Float64) => Value::Float64(double(reader)?),
                (flag @ 1..=2, ColumnType::Boolean) => Value::Boolean(flag == 2),
                _ => return None,
            });
        }
        reader.is_at_end().then_some(cells)
    }
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
