//! How often each value of a column occurs.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::bindings::types::Value;
use crate::encoding::{self, Reader};
use crate::output;
use crate::row::ColumnType;
use crate::state::StateField;

/// How often each text occurs. Each has its place in the state, so it is for columns of few values: a method, a status.
///
/// In an output it is a JSON object, `{"card": 2, "sepa": 1}`; in the context of a finding the text of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts a text.
    pub fn add(&mut self, text: &str) {
        match self.0.get_mut(text) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(text.to_owned(), 1)),
        }
    }

    /// How often a text occurred.
    pub fn of(&self, text: &str) -> u64 {
        self.0.get(text).copied().unwrap_or(0)
    }

    /// The texts that occurred, ascending, and how often they did.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(text, count)| (text.as_str(), *count))
    }

    fn json(&self) -> String {
        self.iter().map(|(text, count)| (text.to_owned(), Json::from(count))).collect::<Json>().to_string()
    }
}

impl<'a> FromIterator<&'a str> for Counts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut counts = Self::default();
        texts.into_iter().for_each(|text| counts.add(text));
        counts
    }
}

impl StateField for Counts {
    fn shape() -> String {
        "counts".to_owned()
    }

    fn value(&self) -> Value {
        Value::Text(self.json())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encoding::unsigned(out, self.0.len() as u64);
        for (text, count) in self.iter() {
            encoding::bytes(out, text.as_bytes());
            encoding::unsigned(out, count);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let texts = reader.unsigned()?;
        (0..texts).map(|_| Some((String::decode(reader)?, reader.unsigned()?))).collect::<Option<_>>().map(Self)
    }
}

impl output::Value for Counts {
    type Store = output::JsonTexts;
    const TYPE: ColumnType = ColumnType::Text;

    fn push(self, column: &mut output::JsonTexts) {
        column.push(&self.json());
    }
}
