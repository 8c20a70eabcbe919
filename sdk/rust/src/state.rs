//! What a plugin keeps of the events of a key.

use crate::bindings::types::Value;
use crate::encoding::{self, Reader};
use crate::value::Cents;

/// A tally that a window keeps. `#[derive(State)]` writes it; its fields stand in the context of findings.
pub trait State: Sized {
    /// The names of its fields.
    const FIELDS: &'static [&'static str];
    /// Their values.
    fn values(&self, values: &mut Vec<Value>);
    /// Writes it into a state.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads back what [`State::encode`] wrote.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

/// A tally that takes in rows, one after the other.
pub trait Fold<R> {
    /// Takes in a row.
    fn add(&mut self, row: &R);
}

/// The types that the fields of a [`State`] can have.
pub trait StateField: Sized {
    /// The value for a finding's context.
    fn value(&self) -> Value;
    /// Writes it into a state.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads back what [`StateField::encode`] wrote.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Numbers: how they are shown, and how they are kept as an integer.
macro_rules! numbers {
    ($($type:ty: $value:expr, $write:path, $to:expr, $read:ident, $from:expr;)*) => {$(
        impl StateField for $type {
            fn value(&self) -> Value {
                $value(*self)
            }

            fn encode(&self, out: &mut Vec<u8>) {
                $write(out, $to(*self));
            }

            fn decode(reader: &mut Reader<'_>) -> Option<Self> {
                reader.$read().and_then($from)
            }
        }
    )*};
}

numbers! {
    u64: |v: u64| i64::try_from(v).map_or(Value::Null, Value::Int64), encoding::unsigned, |v| v, unsigned, Some;
    i64: Value::Int64, encoding::signed, |v| v, signed, Some;
    f64: Value::Float64, encoding::unsigned, f64::to_bits, unsigned, |v| Some(f64::from_bits(v));
    bool: Value::Boolean, encoding::unsigned, u64::from, unsigned, |v| (v < 2).then_some(v == 1);
    Cents: |v: Cents| Value::Decimal(v.0), encoding::signed, |v: Cents| v.0, signed, |v| Some(Cents(v));
}

impl StateField for String {
    fn value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encoding::bytes(out, self.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        std::str::from_utf8(reader.bytes()?).ok().map(str::to_owned)
    }
}

impl<T: StateField> StateField for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::value)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(None),
            1 => T::decode(reader).map(Some),
            _ => None,
        }
    }
}
