//! The dead letters of a home or of a cluster: listed with the newest first, looked up, and taken apart.
//!
//! A partition is read from its end, so the first page costs what it shows, and a cursor is found by halving a segment, or by the broker.
//! A filter that few letters pass reads past the others: a page ends after [`PAGE_BYTES_MAX`] bytes of lines at the
//! latest, with what it has found until then and a cursor behind it.

mod cluster;
mod letter;
mod tail;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::error::Context;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use cluster::Cluster;
pub use letter::StoredLetter;
use tail::FolderTail;

use super::{Topics, partition_numbers};

/// Bytes of record lines that a page reads before it ends; one longer line is read all the same.
pub const PAGE_BYTES_MAX: u64 = 64 << 20;

/// Which dead letters are listed; nothing set = all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Only those with this reason.
    pub reason: Option<String>,
    /// Only those that this rule failed on.
    pub rule: Option<String>,
    /// Only those of records of this topic.
    pub topic: Option<String>,
    /// Only those whose record has this time or a later one.
    pub since: Option<Millis>,
}

impl LetterFilter {
    fn passes(&self, letter: &StoredLetter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.reason, &letter.reason)
            && is(&self.topic, &letter.from.topic)
            && is(&self.rule, letter.rule.as_ref().map_or("", |rule| &rule.name))
            && self.since.is_none_or(|since| letter.time >= since)
    }
}

/// Where a page ends: of each partition that has more, the offset behind the next letter. As text
/// `<partition>:<offset>,…`, each partition once and in order of number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterCursor(Vec<(u32, i64)>);

impl fmt::Display for LetterCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (partition, before)) in self.0.iter().enumerate() {
            write!(f, "{}{partition}:{before}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for LetterCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let place = |place: &str| {
            let (partition, before) = place.split_once(':')?;
            Some((partition.parse().ok()?, before.parse().ok()?))
        };
        let places: Option<Vec<_>> = text.split(',').map(place).collect();
        let places = places.filter(|places| places.is_sorted_by(|(before, _), (number, _)| before < number));
        places.map(Self).ok_or("it is not <partition>:<offset>,…").invalid("read cursor", format!("{text:?}"))
    }
}

/// Reads dead letters. Every call looks for them anew and blocks while it reads.
#[derive(Clone, Debug)]
pub struct DeadLetters(Place);

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    Cluster(Cluster),
}

impl DeadLetters {
    /// The dead letters among topics. There need be none yet.
    pub fn new(topics: &Topics) -> Self {
        Self(match topics.clone() {
            Topics::Folder(root) => Place::Folder(root.join(DEAD_LETTERS)),
            Topics::Kafka { topics, group } => Place::Cluster(Cluster { topics, group }),
        })
    }

    /// The next `limit` letters behind a cursor that pass a filter, and the cursor behind them; none at the end.
    ///
    /// In a partition what was written last comes first; of several partitions the letter with the later time, of equal
    /// times that of the higher partition. Letters that are written meanwhile change nothing behind a cursor. A page with a cursor may have less than `limit`
    /// letters, even none: see the module.
    pub fn page(
        &self,
        filter: &LetterFilter,
        cursor: Option<&LetterCursor>,
        limit: usize,
    ) -> Result<(Vec<StoredLetter>, Option<LetterCursor>)> {
        let mut heads = self.heads(cursor)?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while letters.len() < limit && bytes < PAGE_BYTES_MAX {
            let Some(newest) = (0..heads.len()).max_by_key(|i| heads[*i].place()) else { break };
            let head = heads.swap_remove(newest);
            bytes += head.bytes;
            if filter.passes(&head.letter) {
                letters.push(head.letter);
            }
            heads.extend(Head::of(head.tail)?);
        }
        heads.sort_unstable_by_key(|head| head.letter.partition);
        let behind = heads.iter().map(|head| (head.letter.partition, head.letter.offset + 1)).collect::<Vec<_>>();
        Ok((letters, (!behind.is_empty()).then_some(LetterCursor(behind))))
    }

    /// The letters at places of the dead letter topic, by partition and offset; none where there is none.
    pub fn at(&self, places: &[(u32, i64)]) -> Result<Vec<Option<StoredLetter>>> {
        let in_folder = |folder: &PathBuf, partition, offset: i64| {
            let mut tail = FolderTail::open(folder, partition, Some(offset.saturating_add(1)))?;
            Ok(tail.next_letter()?.map(|(letter, _)| letter).filter(|letter| letter.offset == offset))
        };
        match &self.0 {
            Place::Folder(folder) => {
                places.iter().map(|(partition, offset)| in_folder(folder, *partition, *offset)).collect()
            }
            Place::Cluster(cluster) => cluster.at(places),
        }
    }

    /// The next letter of each partition that has one. A partition that a cursor does not name has no more, or was not
    /// there yet when the listing began.
    fn heads(&self, cursor: Option<&LetterCursor>) -> Result<Vec<Head>> {
        let places = cursor.map(|cursor| &cursor.0[..]);
        let tails: Vec<Box<dyn Tail>> = match &self.0 {
            Place::Folder(folder) => {
                let places: Vec<(u32, Option<i64>)> = match places {
                    Some(places) => places.iter().map(|(number, before)| (*number, Some(*before))).collect(),
                    None => partition_numbers(folder)?.into_iter().map(|number| (number, None)).collect(),
                };
                let open = |(number, before)| -> Result<Box<dyn Tail>> {
                    Ok(Box::new(FolderTail::open(folder, number, before)?))
                };
                places.into_iter().map(open).collect::<Result<_>>()?
            }
            Place::Cluster(cluster) => {
                cluster.tails(places)?.into_iter().map(|tail| Box::new(tail) as Box<dyn Tail>).collect()
            }
        };
        tails.into_iter().filter_map(|tail| Head::of(tail).transpose()).collect()
    }
}

/// A partition's letters that were not handed out yet.
trait Tail {
    /// The last one, and the bytes of its record. What is no record is passed over.
    fn next_letter(&mut self) -> Result<Option<(StoredLetter, u64)>>;
}

/// A partition's next letter.
struct Head {
    letter: StoredLetter,
    /// Of its record.
    bytes: u64,
    tail: Box<dyn Tail>,
}

impl Head {
    /// What decides which partition's letter comes first: the highest.
    fn place(&self) -> (Millis, u32) {
        (self.letter.time, self.letter.partition)
    }

    fn of(mut tail: Box<dyn Tail>) -> Result<Option<Self>> {
        Ok(tail.next_letter()?.map(|(letter, bytes)| Self { letter, bytes, tail }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_text() {
        let cursor = LetterCursor(vec![(0, 12), (3, i64::MAX)]);
        assert_eq!(cursor.to_string(), "0:12,3:9223372036854775807");
        assert_eq!(cursor.to_string().parse::<LetterCursor>().unwrap(), cursor);
        for text in ["", "0", "0:", "0:1,", "-1:1", "a:1", "0:1:2", "0:1;1:2", "0:1,0:1", "1:1,0:1"] {
            let error = text.parse::<LetterCursor>().unwrap_err().chain();
            assert_eq!(error, format!("cannot read cursor {text:?}: it is not <partition>:<offset>,…"));
        }
    }
}
