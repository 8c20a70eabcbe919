//! Who an event is: the id, order and customer by which alerts name their trigger, as remembered in a state.

use crate::bindings::types::{Column, Identities, Remembered, Values};
use crate::encoding::{self, Reader};
use crate::row::{BytesColumn, Validity};

/// The identity columns of a batch.
#[derive(Debug)]
pub struct IdentityColumns<'a>([(BytesColumn<'a>, Validity<'a>); 3]);

impl<'a> IdentityColumns<'a> {
    /// Checks that they are text columns of `rows` rows.
    pub fn of(identities: Option<&'a Identities>, rows: usize) -> Result<Self, String> {
        let identities = identities.ok_or("the host sent no identities")?;
        let column = |column: &'a Column| match &column.values {
            Values::Text(text) => Some((BytesColumn::of(text, rows)?, Validity::of(column, rows)?)),
            _ => None,
        };
        let columns =
            || Some([column(&identities.id)?, column(&identities.order_id)?, column(&identities.customer_id)?]);
        columns().map(Self).ok_or_else(|| format!("the identities are not three text columns of {rows} rows"))
    }

    /// Writes the identity of `row`: three times a length + 1 and the bytes, 0 for null.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        for (values, validity) in &self.0 {
            if validity.is_null(row) {
                out.push(0);
            } else {
                let value = values.get(row);
                encoding::unsigned(out, value.len() as u64 + 1);
                encoding::append(out, value);
            }
        }
    }
}

/// The bytes of an encoded identity.
pub(super) fn skip<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut rest = reader.clone();
    for _ in 0..3 {
        if let Some(len) = reader.unsigned()?.checked_sub(1) {
            reader.take(usize::try_from(len).ok()?)?;
        }
    }
    rest.take(reader.position() - rest.position())
}

/// The event of an encoded identity, from the declared input `input`; nothing when the bytes are none.
pub(super) fn remembered(identity: &[u8], input: u8, group: u32, time: i64) -> Option<Remembered> {
    let mut reader = Reader::new(identity);
    let mut part = || match reader.unsigned()?.checked_sub(1) {
        None => Some(None),
        Some(len) => Some(Some(String::from_utf8(reader.take(usize::try_from(len).ok()?)?.to_vec()).ok()?)),
    };
    let (id, order_id, customer_id) = (part()??, part()?, part()?);
    Some(Remembered { group, input, time, id, order_id, customer_id })
}
