//! What a plugin keeps of the events of a key.
//!
//! # The shape of a state
//!
//! The manifest of a rule names how its state is written, so that no build takes over bytes that it would misread: the kind of
//! window, and in brackets all that the author chose of what is kept, `tumbling(count:u64,failed:u64)`. Whoever changes how the
//! SDK itself writes a kind of window gives that kind another name.
//!
//! # When a state changes
//!
//! A plugin whose state has another shape, or means something else, counts up `state_version`; an admin who puts it in place of the
//! former one decides what becomes of the stored states. For tumbling windows and aggregates the author can say how a tally
//! of a former version becomes one of this: then the admin can choose `migrate`.
//!
//! ```
//! use tamis_sdk::prelude::*;
//! # #[derive(Config)]
//! # pub struct Limits { #[config(default = 60_000, min = 1)] window_ms: i64 }
//! # #[derive(Row)]
//! # #[row(topic = "payments")]
//! # pub struct Payment<'a> { psp: Option<&'a str>, status: &'a str }
//!
//! /// What version 1 kept.
//! #[derive(State)]
//! pub struct TallyV1 {
//!     failed: u64,
//! }
//!
//! #[derive(Debug, Default, PartialEq, State)]
//! pub struct Tally {
//!     failed: u64,
//!     pending: u64,
//! }
//!
//! /// Version 1 did not look at pending payments: those of windows that are open now are lost.
//! fn tally_of_v1(old: TallyV1) -> Tally {
//!     Tally { failed: old.failed, pending: 0 }
//! }
//! # impl Fold<Payment<'_>> for Tally { fn add(&mut self, _: &Payment) {} }
//!
//! #[rule(key = "psp", severity = "high", title = "Trouble", state_version = 2, migrates(1 = tally_of_v1))]
//! pub fn trouble(_: &Limits, payments: &Tumbling<Payment, Tally>) -> bool {
//!     payments.failed + payments.pending > 10
//! }
//!
//! assert_eq!(tally_of_v1(TallyV1 { failed: 3 }), Tally { failed: 3, pending: 0 });
//! ```
//!
//! Each former version has a function of its own, `migrates(1 = tally_of_v1, 2 = tally_of_v2)`; those that are not listed are not
//! migrated. In the state of sliding windows, of different values and of joins nothing is the author's: when it changes, its
//! keys begin anew (`reset`). A sliding window is complete again after its length, a join after 24 hours.

use crate::bindings::types::Value;
use crate::encoding::{self, Reader};
use crate::value::Cents;

/// A tally that a window keeps. `#[derive(State)]` writes it; its fields stand in the context of findings.
pub trait State: Sized {
    /// The names of its fields.
    const FIELDS: &'static [&'static str];
    /// Its fields with their types, as the shape of a state names them: `count:u64,failed:u64`.
    fn shape() -> String;
    /// Their values.
    fn values(&self, values: &mut Vec<Value>);
    /// Writes it into a state.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads back what [`State::encode`] wrote.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Fields with their types as [`State::shape`] gives them; for the code that `#[derive(State)]` writes.
pub fn fields_shape(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, shape)| format!("{name}:{shape}")).collect();
    fields.join(",")
}

/// A tally that takes in rows, one after the other.
pub trait Fold<R> {
    /// Takes in a row.
    fn add(&mut self, row: &R);
}

/// The types that the fields of a [`State`] can have.
pub trait StateField: Sized {
    /// The name of its type in the shape of a state.
    fn shape() -> String;
    /// The value for a finding's context.
    fn value(&self) -> Value;
    /// Writes it into a state.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads back what [`StateField::encode`] wrote.
    fn decode(reader: &mut Reader<'_>) -> Option<Self>;
}

/// Numbers: what they are called, how they are shown, and how they are kept as an integer.
macro_rules! numbers {
    ($($type:ty: $name:literal, $value:expr, $write:path, $to:expr, $read:ident, $from:expr;)*) => {$(
        impl StateField for $type {
            fn shape() -> String {
                $name.to_owned()
            }

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
    u64: "u64", |v: u64| i64::try_from(v).map_or(Value::Null, Value::Int64), encoding::unsigned, |v| v, unsigned, Some;
    i64: "i64", Value::Int64, encoding::signed, |v| v, signed, Some;
    f64: "f64", Value::Float64, encoding::unsigned, f64::to_bits, unsigned, |v| Some(f64::from_bits(v));
    bool: "bool", Value::Boolean, encoding::unsigned, u64::from, unsigned, |v| (v < 2).then_some(v == 1);
    Cents: "decimal", |v: Cents| Value::Decimal(v.0), encoding::signed, |v: Cents| v.0, signed, |v| Some(Cents(v));
}

impl StateField for String {
    fn shape() -> String {
        "text".to_owned()
    }

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
    fn shape() -> String {
        format!("{}?", T::shape())
    }

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
