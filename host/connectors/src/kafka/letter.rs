//! Dead letters as brokers take them. A letter that no broker takes would stop the stream that writes it, again and again.

use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tamis_model::time::Millis;

use super::sink::RECORD_BYTES_MAX;

/// How many bytes the value had.
pub(crate) const VALUE_BYTES: &str = "tamis.value_bytes";
/// How many bytes the key had.
pub(crate) const KEY_BYTES: &str = "tamis.key_bytes";
/// The time of the record that the letter is about.
pub(crate) const TIMESTAMP: &str = "tamis.timestamp";
/// What is left for everything of a record that is counted besides.
const OVERHEAD_BYTES: usize = 4 << 10;
/// Brokers refuse what lies further ahead of their clock, unless they are told otherwise.
const AHEAD_MAX_MS: Millis = 3_600_000;

/// The letter that is written instead of one that brokers would refuse: cut, or with the time of `now`. Headers say what it was. None for
/// a letter that they take, and for every other record.
pub(super) fn mended(record: &Record, now: Millis) -> Option<Record> {
    if record.topic != DEAD_LETTERS {
        return None;
    }
    let bytes = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
    let (key, value) = (bytes(&record.key), bytes(&record.value));
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let room = (RECORD_BYTES_MAX as usize).saturating_sub(headers + OVERHEAD_BYTES);
    let key_kept = key.min(room);
    let value_kept = value.min(room - key_kept);
    let is_timely = (0..=now.saturating_add(AHEAD_MAX_MS)).contains(&record.timestamp);
    let mut notes = Vec::new();
    if value_kept < value {
        notes.push((VALUE_BYTES, value.to_string()));
    }
    if key_kept < key {
        notes.push((KEY_BYTES, key.to_string()));
    }
    if !is_timely {
        notes.push((TIMESTAMP, record.timestamp.to_string()));
    }
    if notes.is_empty() {
        return None;
    }
    let cut = |part: &Option<Vec<u8>>, kept| part.as_ref().map(|bytes| bytes[..kept].to_vec());
    let notes = notes.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
    Some(Record {
        timestamp: if is_timely { record.timestamp } else { now },
        key: cut(&record.key, key_kept),
        value: cut(&record.value, value_kept),
        headers: record.headers.iter().cloned().chain(notes).collect(),
        ..record.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_773_842_400_000;

    #[test]
    fn a_letter_that_brokers_would_refuse_is_mended() {
        type Notes<'a> = &'a [(&'a str, &'a str)];
        let check = |timestamp, key: usize, value: usize, expected: Notes<'_>| {
            let letter = Record {
                topic: DEAD_LETTERS.to_owned(),
                partition: None,
                timestamp,
                key: Some(vec![b'k'; key]),
                value: Some(vec![b'v'; value]),
                value_is_json: false,
                headers: vec![("tamis.reason".to_owned(), b"invalid_json".to_vec())],
            };
            assert_eq!(mended(&Record { topic: "payments".to_owned(), ..letter.clone() }, NOW), None);
            let Some(mended) = mended(&letter, NOW) else { return assert!(expected.is_empty(), "{expected:?}") };
            let notes: Vec<_> =
                mended.headers[1..].iter().map(|(n, v)| (n.as_str(), str::from_utf8(v).unwrap())).collect();
            assert_eq!(notes, expected);
            assert!((0..=NOW + AHEAD_MAX_MS).contains(&mended.timestamp));
            let bytes = mended.key.map_or(0, |key| key.len()) + mended.value.map_or(0, |value| value.len());
            assert!(bytes + OVERHEAD_BYTES <= RECORD_BYTES_MAX as usize);
            assert!(
                value < 3 << 20 || bytes > (RECORD_BYTES_MAX as usize) - 2 * OVERHEAD_BYTES,
                "no more is cut than need be"
            );
        };
        check(NOW, 10, 10, &[]);
        check(0, 10, 2_000_000, &[]);
        check(NOW + AHEAD_MAX_MS, 0, 0, &[]);
        check(NOW, 10, 3 << 20, &[("tamis.value_bytes", "3145728")]);
        check(NOW, 3 << 20, 5, &[("tamis.value_bytes", "5"), ("tamis.key_bytes", "3145728")]);
        check(NOW + AHEAD_MAX_MS + 1, 0, 0, &[("tamis.timestamp", "1773846000001")]);
        check(-1, 0, 3 << 20, &[("tamis.value_bytes", "3145728"), ("tamis.timestamp", "-1")]);
    }
}
