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

#[cfg(test)]
mod tests {
    use tamis_connectors::TopicWriter;
    use tamis_connectors::topics::WriterSettings;
    use tamis_engine::Sink;
    use tamis_model::alert::AlertMode;
    use tamis_model::dead_letter::{DeadLetter, FailedRule, PluginRef};
    use tamis_model::position::Partition;

    use super::*;

    #[test]
    fn a_row_tells_the_record_the_rule_and_how_the_value_begins() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let refused = DeadLetter {
            partition: Partition { topic: "payments".to_owned(), number: 2 },
            offset: None,
            timestamp: 1_773_842_400_000,
            key: None,
            value: Some("é".repeat(VALUE_CHARS_MAX + 1).into_bytes()),
            reason: "invalid_json",
            message: "the value is not JSON".to_owned(),
            rule: None,
            attempt: 1,
        };
        let plugin = PluginRef { name: "sliding".to_owned(), version: "1.0.0".to_owned(), sha256: String::new() };
        let rule = FailedRule { name: "card-testing".to_owned(), version: 3, mode: AlertMode::Live, plugin };
        let (offset, value) = (Some(12), Some(b"{}".to_vec()));
        let failed = DeadLetter { offset, value, reason: "deadline", rule: Some(rule), ..refused.clone() };
        let mut writer = TopicWriter::open(home.topics(), "streams", WriterSettings::default()).unwrap();
        writer.write(&[refused, failed].map(DeadLetter::into_record)).unwrap();
        let rows = |filter: &LetterFilter, limit| -> Vec<Vec<String>> {
            list(&home, filter, limit).unwrap().iter().map(Row::cells).collect()
        };
        let (time, message) = ("2026-03-18T14:00:00.000Z", "the value is not JSON");
        let shown = "é".repeat(VALUE_CHARS_MAX) + "…";
        let failed = [time, "payments/2@12", "deadline", "card-testing 3", message, "{}"].map(str::to_owned);
        let refused = [time, "payments/2@?", "invalid_json", "", message, &shown].map(str::to_owned);
        let all = LetterFilter::default();
        assert_eq!(rows(&all, 9), [failed.clone(), refused]);
        assert_eq!(rows(&all, 1), [failed]);
        assert_eq!(rows(&LetterFilter { reason: Some("trap".to_owned()), ..all }, 9), [[""; 0]; 0]);
    }
}
