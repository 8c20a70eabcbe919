//! `tamis dead-letters`: what could not be decoded or judged.

use serde::Serialize;
use tamis_api::letter_id;
use tamis_catalog::dead_letter_redrives::Redrive;
use tamis_connectors::topics::dead_letters::{LetterFilter, StoredLetter};
use tamis_connectors::topics::{DeadLetters, Topics};
use tamis_model::Result;
use tamis_model::time::rfc3339_millis;

use crate::home::Home;
use crate::table::Row;

/// Characters of a value that a table shows.
const VALUE_CHARS_MAX: usize = 60;

/// A dead letter, and what came of sending it through again.
#[derive(Serialize)]
pub struct LetterRow {
    #[serde(flatten)]
    letter: StoredLetter,
    redrive: Option<Redrive>,
}

impl Row for LetterRow {
    const HEAD: &'static [&'static str] = &["LETTER", "TIME", "FROM", "REASON", "RULE", "REDRIVEN", "MESSAGE", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let Self { letter, redrive } = self;
        let redriven = redrive.as_ref().map(|redrive| format!("{}, {}", redrive.outcome, redrive.last_at));
        let offset = letter.from_offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
        let rule = letter.rule.as_ref().map(|rule| format!("{} {}", rule.name, rule.version));
        let value = String::from_utf8_lossy(letter.value.as_deref().unwrap_or_default());
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        vec![
            format!("{}:{}", letter.partition, letter.offset),
            rfc3339_millis(letter.time),
            format!("{}@{offset}", letter.from),
            letter.reason.clone(),
            rule.unwrap_or_default(),
            redriven.unwrap_or_default(),
            letter.message.clone(),
            shown,
        ]
    }
}

/// The newest `limit` dead letters that pass a filter, newest first.
pub async fn list(home: &Home, topics: &Topics, filter: &LetterFilter, limit: usize) -> Result<Vec<LetterRow>> {
    let catalog = super::catalog(home).await?;
    let dead_letters = DeadLetters::new(topics);
    let (mut letters, mut cursor) = dead_letters.page(filter, None, limit)?;
    while letters.len() < limit && cursor.is_some() {
        let (more, next) = dead_letters.page(filter, cursor.as_ref(), limit - letters.len())?;
        letters.extend(more);
        cursor = next;
    }
    let mut rows = Vec::with_capacity(letters.len());
    for letter in letters {
        let redrive = match letter_id(&letter) {
            Some(id) => catalog.redrive(&id).await?,
            None => None,
        };
        rows.push(LetterRow { letter, redrive });
    }
    Ok(rows)
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
        let (home, runtime) = (Home::new(folder.path()), crate::commands::runtime().unwrap());
        home.create().unwrap();
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
            let listed = runtime.block_on(list(&home, &Topics::Folder(home.topics()), filter, limit)).unwrap();
            listed.iter().map(Row::cells).collect()
        };
        let (time, message) = ("2026-03-18T14:00:00.000Z", "the value is not JSON");
        let shown = "é".repeat(VALUE_CHARS_MAX) + "…";
        let failed = ["0:1", time, "payments/2@12", "deadline", "card-testing 3", "", message, "{}"].map(str::to_owned);
        let refused = ["0:0", time, "payments/2@?", "invalid_json", "", "", message, &shown].map(str::to_owned);
        let all = LetterFilter::default();
        assert_eq!(rows(&all, 9), [failed.clone(), refused]);
        assert_eq!(rows(&all, 1), [failed]);
        assert_eq!(rows(&LetterFilter { reason: Some("trap".to_owned()), ..all }, 9), [[""; 0]; 0]);
    }
}
