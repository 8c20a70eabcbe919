//! Sets of texts that the values of rows are looked up in.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::config::{Listed, Setting};

/// A set of texts: in a configuration a list. A hash table with linear probing (Knuth, "The Art of Computer Programming" 3,
/// 6.4) over the heads of the texts, so that a short text is found by comparing one integer.
#[derive(Clone, Debug)]
pub struct TextSet {
    /// A power of two of slots, at least half of them empty. Texts that share a head have a slot each.
    slots: Vec<Slot>,
    texts: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    head: u64,
    /// Among the texts; [`EMPTY`] ends a search.
    text: u32,
}

const EMPTY: u32 = u32::MAX;

impl TextSet {
    /// Whether `text` is in it.
    #[inline]
    pub fn contains(&self, text: &str) -> bool {
        let head = head(text);
        let mut at = self.first_slot(head);
        loop {
            let slot = self.slots[at];
            if slot.text == EMPTY {
                return false;
            }
            if slot.head == head && (text.len() <= HEAD_BYTES || self.texts[slot.text as usize] == text) {
                return true;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Where the search for a head begins: multiplicative hashing by 2^64 divided by the golden ratio.
    #[inline]
    fn first_slot(&self, head: u64) -> usize {
        let hash = head.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 32) as usize & (self.slots.len() - 1)
    }
}

/// Bytes of a text in its head.
const HEAD_BYTES: usize = 7;

/// The first bytes of a text, and its length up to 255: a short text has a head of its own.
#[inline]
fn head(text: &str) -> u64 {
    let first = text.bytes().take(HEAD_BYTES).fold(0, |head, byte| head << 8 | u64::from(byte));
    (text.len().min(255) as u64) << 56 | first
}

impl<T: Into<String>> FromIterator<T> for TextSet {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let texts: BTreeSet<String> = texts.into_iter().map(Into::into).collect();
        let empty = Slot { head: 0, text: EMPTY };
        let mut set = Self { slots: vec![empty; (2 * texts.len() + 1).next_power_of_two()], texts: Vec::new() };
        for text in texts {
            let head = head(&text);
            let mut at = set.first_slot(head);
            while set.slots[at].text != EMPTY {
                at = (at + 1) & (set.slots.len() - 1);
            }
            set.slots[at] = Slot { head, text: set.texts.len() as u32 };
            set.texts.push(text);
        }
        set
    }
}

impl Default for TextSet {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<String>> for TextSet {
    fn from(texts: Vec<String>) -> Self {
        texts.into_iter().collect()
    }
}

impl Listed for TextSet {}

impl Setting for TextSet {
    fn schema() -> Json {
        Vec::<String>::schema()
    }

    fn read(value: &Json) -> Result<Self, String> {
        Vec::<String>::read(value).map(Self::from)
    }

    fn json(&self) -> Json {
        json!(self.texts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_setting_is_a_list() {
        let set = TextSet::read(&json!(["RU", "FR", "RU"])).unwrap();
        assert_eq!((set.contains("FR"), set.contains("fr"), set.json()), (true, false, json!(["FR", "RU"])));
        assert_eq!(TextSet::read(&json!(["FR", 1])).unwrap_err(), "item 1: expected a text, found 1");
        assert!(!TextSet::default().contains(""));
    }

    #[test]
    fn a_long_text_is_not_taken_for_the_short_one_that_it_begins_like() {
        let long = format!("\0\0\0\0\0FR{}", "x".repeat(251));
        let set: TextSet = [long.as_str()].into_iter().collect();
        assert_eq!((long.len() % 256, set.contains("FR"), set.contains(&long)), (2, false, true));
    }

    proptest! {
        #[test]
        fn it_contains_what_a_list_does(texts in prop::collection::vec("[a-c]{0,9}|é{1,5}", 0..40), other in "[a-c]{0,9}|é{1,5}") {
            let set: TextSet = texts.iter().cloned().collect();
            for text in texts.iter().chain([&other]) {
                prop_assert_eq!(set.contains(text), texts.contains(text), "{}", text);
            }
        }
    }
}
