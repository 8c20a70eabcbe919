//! Dead letters: pages, filters, single letters, and the records in them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use tamis_connectors::topics::dead_letters::{LetterFilter, PAGE_BYTES_MAX, StoredLetter};
use tamis_connectors::topics::{DeadLetters, TopicWriter, Topics, WriterSettings};
use tamis_engine::Sink;
use tamis_engine::decode::json::{RecordParts, record_parts};
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::{DEAD_LETTERS, DeadLetter, FailedRule, PluginRef};
use tamis_model::position::Partition;
use tamis_model::time::Millis;

use super::segments;

const TIME: Millis = 1_773_842_400_000;

/// The letter about record `offset` of a topic.
fn letter(topic: &str, offset: i64, reason: &'static str, rule: Option<&str>) -> DeadLetter {
    let rule = rule.map(|name| FailedRule {
        name: name.to_owned(),
        version: 2,
        mode: AlertMode::Shadow,
        plugin: PluginRef { name: "sliding".to_owned(), version: "1.0.0".to_owned(), sha256: "00".repeat(32) },
    });
    DeadLetter {
        partition: Partition { topic: topic.to_owned(), number: 3 },
        offset: Some(offset),
        timestamp: TIME + offset,
        key: Some(b"c1".to_vec()),
        value: Some(b"{\"a\":1}".to_vec()),
        reason,
        message: "in words".to_owned(),
        rule,
        attempt: 1,
    }
}

fn write(root: &Path, letters: impl IntoIterator<Item = DeadLetter>) {
    let settings = WriterSettings { segment_bytes_max: 3000, ..WriterSettings::default() };
    let mut writer = TopicWriter::open(root, "streams", settings).unwrap();
    writer.write(&letters.into_iter().map(DeadLetter::into_record).collect::<Vec<_>>()).unwrap();
}

fn of(root: &Path) -> DeadLetters {
    DeadLetters::new(&Topics::Folder(root.to_owned()))
}

/// A letter that went through the topic.
fn stored(letter: DeadLetter) -> StoredLetter {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), [letter]);
    of(root.path()).at(&[(0, 0)]).unwrap().remove(0).unwrap()
}

/// All letters that pass a filter, page by page. `between` happens after each page.
fn listed(root: &Path, filter: &LetterFilter, limit: usize, mut between: impl FnMut()) -> Vec<StoredLetter> {
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let (letters, next) = of(root).page(filter, cursor.as_ref(), limit).unwrap();
        assert!(letters.len() <= limit);
        listed.extend(letters);
        // As the API hands it out and takes it back.
        cursor = next.map(|cursor| cursor.to_string().parse().unwrap());
        if cursor.is_none() {
            return listed;
        }
        between();
    }
}

fn offsets(letters: &[StoredLetter]) -> Vec<i64> {
    letters.iter().map(|letter| letter.offset).collect()
}

#[test]
fn pages_follow_each_other_and_what_comes_meanwhile_changes_nothing() {
    let (root, all) = (tempfile::tempdir().unwrap(), LetterFilter::default());
    assert_eq!(of(root.path()).page(&all, None, 10).unwrap(), (vec![], None));
    write(root.path(), (0..40).map(|n| letter("payments", n, "wrong_type", None)));
    let files = segments(&root.path().join("dead_letters/0"));
    assert!(files.len() > 3, "{files:?}");
    let newest_first: Vec<i64> = (0..40).rev().collect();
    for limit in [1, 2, 7, 39, 40, 41] {
        assert_eq!(offsets(&listed(root.path(), &all, limit, || {})), newest_first, "{limit} a page");
    }
    let more = || write(root.path(), [letter("payments", 99, "wrong_type", None)]);
    assert_eq!(offsets(&listed(root.path(), &all, 7, more)), newest_first);
    assert_eq!(of(root.path()).page(&all, None, 0).unwrap().0, []);
}

#[test]
fn filters_choose() {
    let root = tempfile::tempdir().unwrap();
    let letters = [
        letter("payments", 0, "wrong_type", None),
        letter("orders", 1, "wrong_type", None),
        letter("payments", 2, "deadline", Some("card-testing")),
        letter("payments", 3, "deadline", Some("fraud-bin")),
        letter("payments", 4, "trap", Some("card-testing")),
    ];
    write(root.path(), letters);
    let text = |text: &str| Some(text.to_owned());
    let all = LetterFilter::default();
    let check = |filter: LetterFilter, expected: &[i64]| {
        for limit in [1, 10] {
            assert_eq!(offsets(&listed(root.path(), &filter, limit, || {})), expected, "{filter:?}");
        }
    };
    check(all.clone(), &[4, 3, 2, 1, 0]);
    check(LetterFilter { reason: text("deadline"), ..all.clone() }, &[3, 2]);
    check(LetterFilter { rule: text("card-testing"), ..all.clone() }, &[4, 2]);
    check(LetterFilter { rule: text("card-testing"), reason: text("deadline"), ..all.clone() }, &[2]);
    check(LetterFilter { topic: text("orders"), ..all.clone() }, &[1]);
    check(LetterFilter { since: Some(TIME + 3), ..all.clone() }, &[4, 3]);
    check(LetterFilter { reason: text("nothing"), ..all }, &[]);
}

/// In a partition the place decides, between partitions the time.
#[test]
fn partitions_are_merged() {
    for limit in 1..=6 {
        let root = tempfile::tempdir().unwrap();
        let mut writer = TopicWriter::open(root.path(), "streams", WriterSettings::default()).unwrap();
        let mut append = |partition, time| {
            writer.append(DEAD_LETTERS, partition, time, None, Some(b"1")).unwrap();
            writer.flush().unwrap();
        };
        for (partition, time) in [(0, 30), (0, 10), (1, 20), (1, 40), (1, 0)] {
            append(partition, time);
        }
        // A partition that begins while somebody turns the pages is none of theirs.
        let letters = listed(root.path(), &LetterFilter::default(), limit, || append(2, 50));
        let times: Vec<Millis> = letters.iter().map(|letter| letter.time).collect();
        assert_eq!(times, [10, 30, 0, 40, 20], "{limit} a page");
    }
}

#[test]
fn a_letter_is_found_by_its_place_and_what_is_no_letter_is_not() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), (0..40).map(|n| letter("payments", n, "wrong_type", None)));
    let last = segments(&root.path().join("dead_letters/0")).pop().unwrap();
    let mut last = File::options().append(true).open(last).unwrap();
    last.write_all(b"garbage\n{\"offset\":41,\"timestamp\":0,\"key\":null,\"value\":1}\n{\"offset\":42,\"time")
        .unwrap();
    let dead_letters = of(root.path());
    for (partition, offset, expected) in
        [(0, 0, Some(0)), (0, 17, Some(17)), (0, 39, Some(39)), (0, 41, None), (1, 0, None)]
    {
        let found = dead_letters.at(&[(0, 3), (partition, offset)]).unwrap();
        assert_eq!((found.len(), found[0].as_ref().unwrap().offset), (2, 3));
        assert_eq!(found[1].as_ref().and_then(|letter| letter.from_offset), expected, "{partition}/{offset}");
    }
    for nowhere in [-1, 40, 42, i64::MAX] {
        assert_eq!(dead_letters.at(&[(0, nowhere)]).unwrap(), [None], "{nowhere}");
    }
    let (newest, _) = dead_letters.page(&LetterFilter::default(), None, 2).unwrap();
    assert_eq!(offsets(&newest), [41, 39]);
    assert_eq!((newest[0].reason.as_str(), newest[0].from.topic.as_str()), ("", ""), "a record without headers");
}

/// A filter that passes little costs a bounded page, and the next one goes on.
#[test]
fn a_page_ends_after_so_many_bytes() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = TopicWriter::open(root.path(), "streams", WriterSettings::default()).unwrap();
    let long = DeadLetter { value: Some(vec![b'1'; 1 << 20]), ..letter("payments", 7, "wrong_type", None) };
    let (filler, wanted) = (long.into_record(), letter("orders", 0, "wrong_type", None).into_record());
    writer.write(&[wanted]).unwrap();
    for _ in 0..=PAGE_BYTES_MAX >> 20 {
        writer.write(std::slice::from_ref(&filler)).unwrap();
    }
    let dead_letters = of(root.path());
    let orders = LetterFilter { topic: Some("orders".to_owned()), ..LetterFilter::default() };
    let (letters, cursor) = dead_letters.page(&orders, None, 1).unwrap();
    assert_eq!(letters, []);
    let (letters, cursor) = dead_letters.page(&orders, cursor.as_ref(), 1).unwrap();
    assert_eq!((offsets(&letters), cursor), (vec![0], None));
}

#[test]
fn a_letter_comes_back_as_it_was_written() {
    let check = |written: DeadLetter| {
        let found = stored(written.clone());
        let DeadLetter { partition, offset, timestamp, key, value, reason, message, rule, attempt } = written;
        let expected = StoredLetter {
            partition: 0,
            offset: 0,
            time: timestamp,
            from: partition,
            from_offset: offset,
            reason: reason.to_owned(),
            message,
            rule,
            attempt,
            key,
            key_bytes: None,
            value,
            value_bytes: None,
        };
        assert_eq!(found, expected);
    };
    let simple = letter("payments", 12, "deadline", Some("card-testing"));
    check(simple.clone());
    check(DeadLetter { offset: None, attempt: 3, ..simple.clone() });
    check(DeadLetter { key: None, value: None, rule: None, reason: "tombstone", ..simple.clone() });
    check(DeadLetter { key: Some(vec![255]), value: Some(b"{\"a\":\"\xff\"}".to_vec()), ..simple });
}

#[test]
fn the_record_in_a_letter_can_be_judged_again() {
    let plain = letter("payments", 12, "deadline", Some("card-testing"));
    let check = |letter: DeadLetter| {
        let expected = RecordParts {
            offset: letter.offset,
            timestamp: Some(letter.timestamp),
            key: letter.key.clone(),
            value: letter.value.clone(),
            headers: Vec::new(),
        };
        let line = stored(letter).record_line().unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(record_parts(&line), expected);
    };
    check(plain.clone());
    check(DeadLetter { key: None, value: None, reason: "tombstone", ..plain.clone() });
    check(DeadLetter { key: Some(vec![255]), value: Some(b"oops".to_vec()), reason: "invalid_json", ..plain.clone() });
    check(DeadLetter {
        value: Some(b"{\"offset\":12,\"value\":1}".to_vec()),
        reason: "missing_field",
        ..plain.clone()
    });
    check(DeadLetter { value: Some(b"{\"offset\":3}".to_vec()), reason: "missing_field", ..plain.clone() });

    let none = |letter: DeadLetter| assert_eq!(stored(letter).record_line(), None);
    // A line that could not be read, and a rule that failed on a key when time moved on.
    none(DeadLetter { offset: None, value: Some(b"oops".to_vec()), reason: "invalid_json", ..plain.clone() });
    none(DeadLetter { offset: None, value: Some(b"state".to_vec()), ..plain.clone() });
    // A wrong envelope, and a line in which no value can be seen.
    none(DeadLetter { reason: "invalid_record", ..plain.clone() });
    none(DeadLetter { key: None, value: Some(b"{\"offset\":12,\"val".to_vec()), reason: "invalid_json", ..plain });
}

#[test]
fn letters_are_shown_as_json() {
    let plain = letter("payments", 12, "deadline", Some("card-testing"));
    let refused = DeadLetter { offset: None, key: None, rule: None, value: Some(vec![255]), ..plain.clone() };
    let sha256 = "00".repeat(32);
    let expected = json!({
        "partition": 0, "offset": 0, "time": "2026-03-18T14:00:00.012Z",
        "from": {"topic": "payments", "partition": 3, "offset": 12}, "reason": "deadline", "message": "in words",
        "rule": "card-testing", "rule_version": 2, "mode": "shadow",
        "plugin": "sliding", "plugin_version": "1.0.0", "plugin_sha256": sha256,
        "attempt": 1, "key": "c1", "value": "{\"a\":1}",
    });
    assert_eq!(serde_json::to_value(stored(plain)).unwrap(), expected);
    let expected = json!({
        "partition": 0, "offset": 0, "time": "2026-03-18T14:00:00.012Z",
        "from": {"topic": "payments", "partition": 3, "offset": null}, "reason": "deadline", "message": "in words",
        "attempt": 1, "value_base64": "/w==",
    });
    assert_eq!(serde_json::to_value(stored(refused)).unwrap(), expected);
}

/// Letters that an older Tamis wrote name the plugin alone.
#[test]
fn letters_from_before_rules_had_versions_name_their_rule() {
    let root = tempfile::tempdir().unwrap();
    let mut record = letter("payments", 12, "deadline", Some("sliding")).into_record();
    record.headers.retain(|(name, _)| !["tamis.rule", "tamis.rule_version", "tamis.mode"].contains(&name.as_str()));
    let mut writer = TopicWriter::open(root.path(), "streams", WriterSettings::default()).unwrap();
    writer.write(&[record]).unwrap();
    let rule = of(root.path()).at(&[(0, 0)]).unwrap().remove(0).unwrap().rule.unwrap();
    assert_eq!((rule.name.as_str(), rule.version, rule.mode), ("sliding", 1, AlertMode::Live));
}
