//! The records between two edges, of each partition of a bounded source.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::DateTime;
use tamis_engine::decode::Origin;
use tamis_engine::{Chunk, Read, Source, read_to_end};
use tamis_model::Result;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;

/// Where a stretch of a partition begins, or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// At a record time.
    Time(Millis),
    /// So many records behind the beginning.
    Behind(u64),
    /// So many records before the end.
    Before(u64),
}

/// `@2026-03-18T00:00Z`, `+N` or `-N`.
impl FromStr for Edge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse().map_err(|_| format!("{digits:?} is no number of records"));
        match text.split_at_checked(1) {
            Some(("+", digits)) => number(digits).map(Self::Behind),
            Some(("-", digits)) => number(digits).map(Self::Before),
            Some(("@", time)) => {
                parse_time(time).map(Self::Time).ok_or_else(|| format!("{time:?} is no time, RFC 3339"))
            }
            _ => Err("expected @TIME (RFC 3339), +N or -N".to_owned()),
        }
    }
}

/// RFC 3339; the seconds may be left out.
fn parse_time(text: &str) -> Option<Millis> {
    let zoned = text.strip_suffix(['Z', 'z']).map_or_else(|| text.to_owned(), |time| format!("{time}+00:00"));
    let time = DateTime::parse_from_rfc3339(&zoned).or_else(|_| DateTime::parse_from_str(&zoned, "%Y-%m-%dT%H:%M%:z"));
    time.ok().map(|time| time.timestamp_millis())
}

/// A bounded source between two edges. It is read from its beginning; where an edge counts from the end, twice. ([`Topics::stretch`] has
/// brokers look for the edges.)
///
/// [`Topics::stretch`]: super::Topics::stretch
pub struct Stretch {
    inner: Box<dyn Source>,
    from: Option<Edge>,
    to: Option<Edge>,
    /// Records of each partition, where an edge counts from the end.
    totals: BTreeMap<Partition, u64>,
    cursors: BTreeMap<Partition, Cursor>,
}

/// A place in a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// Records read.
    read: u64,
    /// Whether the record before was given: one whose time cannot be read goes with it.
    given: bool,
}

impl Edge {
    /// Whether it is a time: that of each record tells on which side of it the record lies.
    pub(super) fn is_time(&self) -> bool {
        matches!(self, Self::Time(_))
    }
}

impl Stretch {
    /// The records of `inner` from `from` on, up to and without `to`; an edge that is none lies at the end of the source.
    pub fn new(inner: Box<dyn Source>, from: Option<Edge>, to: Option<Edge>) -> Self {
        Self { inner, from, to, totals: BTreeMap::new(), cursors: BTreeMap::new() }
    }

    fn count(&mut self) -> Result<()> {
        self.inner.open(&Positions::default())?;
        for partition in self.inner.partitions()? {
            let total = self.totals.entry(partition.clone()).or_default();
            read_to_end(&mut *self.inner, &partition, &mut |chunk| {
                *total += chunk.origins().count() as u64;
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Source for Stretch {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        let counts = |edge: &Option<Edge>| matches!(edge, Some(Edge::Before(_)));
        if self.totals.is_empty() && (counts(&self.from) || counts(&self.to)) {
            self.count()?;
        }
        self.cursors.clear();
        self.inner.open(positions)
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        self.inner.partitions()
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let total = self.totals.get(partition).copied().unwrap_or_default();
        let (from, to) = (self.from, self.to);
        let cursor = self.cursors.entry(partition.clone()).or_default();
        let end = match to {
            Some(Edge::Behind(records)) => records,
            Some(Edge::Before(records)) => total.saturating_sub(records),
            Some(Edge::Time(_)) | None => u64::MAX,
        };
        let start = match from {
            Some(Edge::Behind(records)) => records,
            Some(Edge::Before(records)) => total.saturating_sub(records),
            Some(Edge::Time(_)) | None => 0,
        };
        let timed = [from, to].iter().flatten().any(Edge::is_time);
        while cursor.read < end {
            match self.inner.read(partition, chunk)? {
                Read::Records => {}
                other => return Ok(other),
            }
            chunk.retain(|chunk: &Chunk, origin: Origin| {
                let index = cursor.read;
                cursor.read += 1;
                let counted = (start..end).contains(&index);
                let time = if timed { chunk.timestamp(origin) } else { None };
                cursor.given = match time {
                    _ if !timed => true,
                    None => cursor.given,
                    Some(time) => is_behind(time, from) && !matches!(to, Some(Edge::Time(to)) if time >= to),
                };
                counted && cursor.given
            });
            if !chunk.records().is_empty() {
                return Ok(Read::Records);
            }
        }
        Ok(Read::Ended)
    }

    fn release(&mut self, positions: &Positions) -> Result<()> {
        self.inner.release(positions)
    }
}

fn is_behind(time: Millis, from: Option<Edge>) -> bool {
    !matches!(from, Some(Edge::Time(from)) if time < from)
}

#[cfg(test)]
mod tests {
    use tamis_engine::memory::MemoryTopics;

    use super::*;

    #[test]
    fn edges_are_read() {
        let check = |text: &str, expected: Option<Edge>| assert_eq!(text.parse::<Edge>().ok(), expected, "{text}");
        check("@1970-01-01T00:01Z", Some(Edge::Time(60_000)));
        check("@1970-01-01T01:00:00.5+01:00", Some(Edge::Time(500)));
        check("+12", Some(Edge::Behind(12)));
        check("-12", Some(Edge::Before(12)));
        for text in ["", "12", "+", "-x", "@", "@yesterday", "é"] {
            check(text, None);
        }
    }

    /// Records 0 to 9 of a partition and 0 to 2 of another, at so many seconds, the fifth of them far too late.
    fn check(from: Option<&str>, to: Option<&str>, expected: [&[i64]; 2]) {
        let topics = MemoryTopics::new();
        let partition = |number| Partition { topic: "payments".to_owned(), number };
        for (number, records) in [(0, 10), (1, 3)] {
            for n in 0..records {
                let second = if n == 5 { 1 } else { n };
                topics.append(&partition(number), second * 1_000, None, &n.to_string());
            }
        }
        let edge = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let mut stretch = Stretch::new(Box::new(topics.source(true, 3)), edge(from), edge(to));
        stretch.open(&Positions::default()).unwrap();
        let mut chunk = Chunk::default();
        let found = [0, 1].map(|number| {
            let mut offsets = Vec::new();
            while stretch.read(&partition(number), &mut chunk).unwrap() == Read::Records {
                offsets.extend(chunk.origins().map(|origin| chunk.record(origin).offset.unwrap()));
            }
            offsets
        });
        assert_eq!(found, expected, "{from:?} to {to:?}");
    }

    #[test]
    fn a_stretch_lies_between_its_edges() {
        check(None, None, [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[0, 1, 2]]);
        check(Some("+2"), Some("+5"), [&[2, 3, 4], &[2]]);
        check(Some("-2"), None, [&[8, 9], &[1, 2]]);
        check(Some("-20"), Some("-2"), [&[0, 1, 2, 3, 4, 5, 6, 7], &[0]]);
        check(Some("@1970-01-01T00:00:02Z"), Some("@1970-01-01T00:00:08Z"), [&[2, 3, 4, 6, 7], &[2]]);
        check(Some("@1970-01-01T00:00:02Z"), Some("+4"), [&[2, 3], &[2]]);
        check(Some("+20"), None, [&[], &[]]);
        check(Some("+5"), Some("+5"), [&[], &[]]);
    }
}
