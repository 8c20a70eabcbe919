//! The values of output columns, and how each type is stored.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::{Store, Value};
use crate::bindings::host::Pseudonym;
use crate::bindings::types::{Strings, Values};
use crate::encoding;
use crate::row::ColumnType;
use crate::value::{Cents, Date, Timestamp};

/// A personal value that only its pseudonym may leave the plugin of: the first 32 hex digits of its HMAC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pseudo<'a>(pub &'a str);

/// An e-mail address that only its pseudonym may leave the plugin of: all 64 hex digits of the HMAC of its lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmailPseudo<'a>(pub &'a str);

impl fmt::Debug for Pseudo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudo(..)")
    }
}

impl fmt::Debug for EmailPseudo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailPseudo(..)")
    }
}

/// Text that a value writes when it is stored, without a string in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written<T>(pub T);

/// Text values, one behind the other.
pub struct Texts(Strings);

impl Texts {
    fn end(&mut self) {
        // A batch that reached 4 GiB of text is far beyond the memory of an instance.
        self.0.offsets.push(self.0.data.len() as u32);
    }

    fn push(&mut self, value: &str) {
        encoding::append(&mut self.0.data, value.as_bytes());
        self.end();
    }
}

impl Write for Texts {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        encoding::append(&mut self.0.data, text.as_bytes());
        Ok(())
    }
}

/// Text values that are JSON.
pub struct JsonTexts(Texts);

impl JsonTexts {
    /// Adds a value, which is JSON.
    pub(crate) fn push(&mut self, json: &str) {
        self.0.push(json);
    }
}

impl Store for JsonTexts {
    const JSON: bool = true;

    fn with_capacity(rows: usize) -> Self {
        Self(Texts::with_capacity(rows))
    }

    fn push_null(&mut self) {
        self.0.end();
    }

    fn finish(self) -> Values {
        self.0.finish()
    }
}

/// What is left of a personal value when the part that tells who it is has been cut off: it may bear the value's name, as its pseudonym
/// may. Written as [`Written`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coarse<T>(pub T);

/// Text values that are coarse.
pub struct CoarseTexts(Texts);

impl Store for CoarseTexts {
    const PSEUDONYM: bool = true;

    fn with_capacity(rows: usize) -> Self {
        Self(Texts::with_capacity(rows))
    }

    fn push_null(&mut self) {
        self.0.end();
    }

    fn finish(self) -> Values {
        self.0.finish()
    }
}

impl<T: fmt::Display> Value for Coarse<T> {
    type Store = CoarseTexts;
    const TYPE: ColumnType = ColumnType::Text;

    fn push(self, texts: &mut CoarseTexts) {
        Written(self.0).push(&mut texts.0);
    }
}

impl Store for Texts {
    fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self(Strings { offsets, data: Vec::new() })
    }

    fn push_null(&mut self) {
        self.end();
    }

    fn finish(self) -> Values {
        Values::Text(self.0)
    }
}

/// Values that become pseudonyms when the column is finished; `EMAIL` tells the form.
pub struct Pseudonyms<const EMAIL: bool>(Texts);

impl<const EMAIL: bool> Store for Pseudonyms<EMAIL> {
    const PSEUDONYM: bool = true;

    fn with_capacity(rows: usize) -> Self {
        Self(Texts::with_capacity(rows))
    }

    fn push_null(&mut self) {
        self.0.end();
    }

    fn finish(self) -> Values {
        let form = if EMAIL { Pseudonym::Email } else { Pseudonym::Short };
        Values::Text(crate::host::pseudonymize(&self.0.0, form))
    }
}

macro_rules! text_values {
    ($($type:ty => $store:ty: |$value:ident, $into:ident| $push:expr;)*) => { $(
        impl Value for $type {
            type Store = $store;
            const TYPE: ColumnType = ColumnType::Text;

            fn push(self, $into: &mut Self::Store) {
                let $value = self;
                $push
            }
        }
    )* };
}

text_values! {
    &str => Texts: |value, texts| texts.push(value);
    Cow<'_, str> => Texts: |value, texts| texts.push(&value);
    Pseudo<'_> => Pseudonyms<false>: |value, texts| texts.0.push(value.0);
    EmailPseudo<'_> => Pseudonyms<true>: |value, texts| texts.0.push(value.0);
}

impl<T: fmt::Display> Value for Written<T> {
    type Store = Texts;
    const TYPE: ColumnType = ColumnType::Text;

    fn push(self, texts: &mut Texts) {
        // Writing to memory does not fail; a `Display` that does gives what it had written.
        let _ = write!(texts, "{}", self.0);
        texts.end();
    }
}

macro_rules! fixed_values {
    ($($(#[$doc:meta])* $store:ident($item:ty) => $variant:ident { $($type:ty => $name:ident: |$value:ident| $item_of:expr;)+ })*) => { $(
        $(#[$doc])*
        pub struct $store(Vec<$item>);

        impl Store for $store {
            fn with_capacity(rows: usize) -> Self {
                Self(Vec::with_capacity(rows))
            }

            fn push_null(&mut self) {
                self.0.push(<$item>::default());
            }

            fn finish(self) -> Values {
                Values::$variant(self.0)
            }
        }

        $(impl Value for $type {
            type Store = $store;
            const TYPE: ColumnType = ColumnType::$name;

            fn push(self, store: &mut $store) {
                let $value = self;
                store.0.push($item_of);
            }
        })+
    )* };
}

fixed_values! {
    /// Integers; those of 32 bits cross the boundary as 64.
    Integers(i64) => Int64 {
        i64 => Int64: |value| value;
        i32 => Int32: |value| i64::from(value);
    }
    /// Floating-point numbers.
    Floats(f64) => Float64 { f64 => Float64: |value| value; }
    /// One byte each, 0 or 1.
    Booleans(u8) => Boolean { bool => Boolean: |value| u8::from(value); }
    /// Days since the Unix epoch.
    Dates(i32) => Date { Date => Date: |value| value.0; }
    /// Microseconds since the Unix epoch.
    Timestamps(i64) => Timestamp { Timestamp => Timestamp: |value| value.0; }
    /// Hundredths.
    Decimals(i64) => Decimal { Cents => Decimal: |value| value.0; }
}
