//! `tamis dead-letters`: what could not be decoded or judged.

use tamis_connectors::topics::DeadLetters;
use tamis_connectors::topics::dead_letters::{LetterFilter, StoredLetter};
use tamis_model::Result;
use tamis_model::time::rfc3339_millis;

use crate::home::Home;
use crate::table::Row;

/// Characters of a value that a table shows.
const VALUE_CHARS_MAX: usize = 60;

impl Row for StoredLetter {
    const HEAD: &'static [&'static str] = &["TIME", "FROM", "REASON", "RULE", "MESSAGE", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let offset = self.from_offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
        let rule = self.rule.as_ref().map(|rule| format!("{} {}", rule.name, rule.version));
        let value = String::from_utf8_lossy(self.value.as_deref().unwrap_or_default());
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        vec![
            rfc3339_millis(self.time),
            format!("{}@{offset}", self.from),
            self.reason.clone(),
            rule.unwrap_or_default(),
            self.message.clone(),
            shown,
        ]
    }
}

/// The newest `limit` dead letters that pass a filter, newest first.
pub fn list(home: &Home, filter: &LetterFilter, limit: usize) -> Result<Vec<StoredLetter>> {
    let dead_letters = DeadLetters::new(&home.topics());
    let (mut letters, mut cursor) = dead_letters.page(filter, None, limit)?;
    while letters.len() < limit && cursor.is_some() {
        let (more, next) = dead_letters.page(filter, cursor.as_ref(), limit - letters.len())?;
        letters.extend(more);
        cursor = next;
    }
    Ok(letters)
}
