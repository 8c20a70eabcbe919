//! What is looked at beside streams: stretches, ranges of time and dead letters are those of the same records in embedded topics.

use tamis_connectors::TopicWriter;
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaTopics, KafkaTransactions, TopicSettings};
use tamis_connectors::topics::dead_letters::{LetterFilter, StoredLetter};
use tamis_connectors::topics::{DISORDER_MS, DeadLetters, Edge, TimeRange, Topics, WriterSettings};
use tamis_engine::{Sink, Source, read_to_end};
use tamis_model::Kind;
use tamis_model::dead_letter::{DEAD_LETTERS, DeadLetter};
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_services::kafka::Options;

use crate::fixture::{OPEN_MAX, SETTINGS, connection, eventually, partition, record, start, topic};

const NOON: Millis = 1_773_835_200_000;
const MINUTE_MS: Millis = 60_000;

fn kafka() -> Topics {
    Topics::Kafka { topics: KafkaTopics::new(connection()), group: "looking".to_owned() }
}

/// The same records in a folder and in a topic of three partitions, at the same offsets.
struct Both {
    folder: tempfile::TempDir,
    topic: String,
}

impl Both {
    fn new(name: &str, records: impl IntoIterator<Item = (u32, Millis)>) -> Self {
        let (folder, topic) = (tempfile::tempdir().unwrap(), topic(name, 3));
        let record = |(partition, timestamp)| Record { partition: Some(partition), timestamp, ..record(&topic, "1") };
        let records: Vec<_> = records.into_iter().map(record).collect();
        let mut sink = KafkaSink::at_least_once(&connection()).unwrap();
        sink.write(&records).unwrap();
        sink.stage().unwrap();
        let settings = WriterSettings { partitions: [(topic.clone(), 3)].into(), ..WriterSettings::default() };
        TopicWriter::open(folder.path(), "test", settings).unwrap().write(&records).unwrap();
        Self { folder, topic }
    }

    fn places(&self) -> [Topics; 2] {
        [kafka(), Topics::Folder(self.folder.path().to_owned())]
    }

    fn names(&self) -> [String; 1] {
        [self.topic.clone()]
    }
}

/// An hour of three partitions that are up to five minutes out of order, a record each second. The third one is empty.
fn hour() -> impl Iterator<Item = (u32, Millis)> {
    (0..3_600).map(|n| {
        let back = if n % 7 == 0 { n * 31 % 300 } else { 0 };
        ((n % 2) as u32, NOON + (n - back) * 1_000)
    })
}

/// Partition and offset of each record, in order.
fn read(source: &mut dyn Source) -> Vec<(u32, i64)> {
    source.open(&Positions::default()).unwrap();
    let mut read = Vec::new();
    for partition in source.partitions().unwrap() {
        read_to_end(source, &partition, &mut |chunk| {
            read.extend(chunk.origins().map(|origin| (partition.number, chunk.record(origin).offset.unwrap())));
            Ok(())
        })
        .unwrap();
    }
    read
}

#[test]
fn a_stretch_is_that_of_the_same_records_elsewhere() {
    let both = Both::new("stretch", hour());
    let at = |minute: i64| Some(Edge::Time(NOON + minute * MINUTE_MS));
    let check = |from, to, expected: usize| {
        let [there, here] = both.places().map(|place| read(&mut *place.stretch(&both.names(), from, to).unwrap()));
        assert_eq!(there, here, "{from:?} to {to:?}");
        assert_eq!(there.len(), expected, "{from:?} to {to:?}");
    };
    check(None, None, 3_600);
    check(at(-9), at(90), 3_600);
    check(at(60), None, 0);
    check(None, at(-6), 0);
    check(Some(Edge::Behind(100)), Some(Edge::Behind(150)), 100);
    check(Some(Edge::Before(100)), Some(Edge::Before(30)), 140);
    check(Some(Edge::Before(9_999)), Some(Edge::Behind(9_999)), 3_600);
    check(Some(Edge::Before(10)), Some(Edge::Behind(10)), 0);
    let from_20_to_40 = hour().filter(|(_, time)| (NOON + 20 * MINUTE_MS..NOON + 40 * MINUTE_MS).contains(time));
    check(at(20), at(40), from_20_to_40.count());
}

#[test]
fn brokers_know_where_a_stretch_lies() {
    let both = Both::new("brokers-know", hour());
    let topics = KafkaTopics::new(connection());
    let found = topics.between(&both.names(), Some(Edge::Time(NOON + 30 * MINUTE_MS)), Some(Edge::Before(10))).unwrap();
    let found: Vec<_> = found.into_iter().map(|(partition, stretch)| (partition.number, stretch)).collect();
    // The first record at the time or behind it is in its place, whatever comes late behind it.
    assert_eq!(found, [(0, 900..1_790), (1, 900..1_790), (2, 0..0)]);
    let error = topics.between(&["nowhere".to_owned()], None, None).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{}", error.chain());
}

#[test]
fn a_range_of_time_is_that_of_the_same_records_elsewhere() {
    let both = Both::new("range", hour());
    let check = |from: i64, to: i64| {
        let range = TimeRange { from: NOON + from * 1_000, to: NOON + to * 1_000, disorder_ms: DISORDER_MS };
        let [there, here] = both.places().map(|place| {
            let found = place.window(&both.names(), range).unwrap();
            // Each version of a backtest has a source of its own.
            let read = [read(&mut *(found.source)()), read(&mut *(found.source)())];
            assert_eq!(read[0], read[1]);
            assert!(found.records >= read[0].len() as u64);
            read
        });
        assert_eq!(there, here, "{from} to {to}");
        there[0].len()
    };
    assert_eq!(check(-600, 9_000), 3_600);
    assert_eq!(check(5_000, 6_000), 0);
    assert_eq!(check(-600, -500), 0);
    // Some of a range stands behind the first record that lies behind it, and those between are given.
    assert!(check(1_200, 2_400) > 1_300);
    assert!(check(1_200, 1_201) > 100);
}

/// The same letters in a folder and in a cluster of their own, which has the topic of this name to itself.
#[test]
fn dead_letters_are_listed_from_their_end() {
    let cluster = start(1, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topics = KafkaTopics::new(connection.clone());
    let there = DeadLetters::new(&Topics::Kafka { topics: topics.clone(), group: "looking".to_owned() });
    let all = LetterFilter::default();
    assert_eq!(there.page(&all, None, 10).unwrap(), (vec![], None), "there is no topic yet");
    assert_eq!(there.at(&[(0, 0)]).unwrap(), [None]);
    topics.create(&[DEAD_LETTERS.to_owned()], TopicSettings { partitions: 3, ..SETTINGS }).unwrap();
    assert_eq!(there.page(&all, None, 10).unwrap(), (vec![], None));

    let letter = |n: i64, bytes: usize| {
        let letter = DeadLetter {
            partition: partition("payments", 3),
            offset: Some(n),
            timestamp: NOON + n * 31 % 1_000,
            key: Some(b"k".to_vec()),
            value: Some(vec![b'1'; bytes]),
            reason: if n % 10 == 0 { "trap" } else { "wrong_type" },
            message: "in words".to_owned(),
            rule: None,
            attempt: 1,
        };
        Record { partition: Some((n % 2) as u32), ..letter.into_record() }
    };
    // More than a block of each partition, and in the middle more bytes than may wait.
    let letters: Vec<_> = (0..2_000).map(|n| letter(n, if (900..912).contains(&n) { 1_500_000 } else { 3 })).collect();
    let folder = tempfile::tempdir().unwrap();
    let settings = WriterSettings { partitions: [(DEAD_LETTERS.to_owned(), 3)].into(), ..WriterSettings::default() };
    TopicWriter::open(folder.path(), "test", settings).unwrap().write(&letters).unwrap();
    let mut sink = KafkaSink::at_least_once(&connection).unwrap();
    sink.write(&letters).unwrap();
    sink.stage().unwrap();
    let here = DeadLetters::new(&Topics::Folder(folder.path().to_owned()));

    let pages = |of: &DeadLetters, filter: &LetterFilter, limit| {
        let (mut pages, mut cursor) = (Vec::new(), None);
        loop {
            let (letters, next) = of.page(filter, cursor.as_ref(), limit).unwrap();
            pages.push((letters, next.as_ref().map(ToString::to_string)));
            match next {
                Some(next) => cursor = Some(next.to_string().parse().unwrap()),
                None => return pages,
            }
        }
    };
    let traps = LetterFilter { reason: Some("trap".to_owned()), ..all.clone() };
    for (filter, limit, expected) in [(&all, 400, 2_000), (&traps, 1_000, 200)] {
        let (found, wanted) = (pages(&there, filter, limit), pages(&here, filter, limit));
        assert_eq!(found.iter().map(|(letters, _)| letters.len()).sum::<usize>(), expected);
        // Long letters end a page earlier or later: what counts is the order.
        let flat = |pages: Vec<(Vec<StoredLetter>, _)>| pages.into_iter().flat_map(|(letters, _)| letters);
        assert!(flat(found).eq(flat(wanted)), "{filter:?}");
    }
    let places = [(0, 999), (1, 0), (0, 0), (0, 1), (1, 455), (0, 1_000), (2, 0), (9, 0), (0, -1)];
    let found = there.at(&places).unwrap();
    assert_eq!(found, here.at(&places).unwrap());
    assert_eq!(found.iter().flatten().count(), 5);
}

#[test]
fn a_letter_that_was_cut_is_not_about_a_record_that_could_be_judged() {
    let cluster = start(1, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topics = KafkaTopics::new(connection.clone());
    topics.create(&[DEAD_LETTERS.to_owned()], SETTINGS).unwrap();
    // Next century.
    let ahead = NOON + 100 * 365 * 24 * 60 * MINUTE_MS;
    let letter = |bytes: usize, timestamp| {
        DeadLetter {
            partition: partition("payments", 0),
            offset: Some(7),
            timestamp,
            key: None,
            value: Some(vec![b'1'; bytes]),
            reason: "wrong_type",
            message: String::new(),
            rule: None,
            attempt: 1,
        }
        .into_record()
    };
    // Marks of transactions stand behind the last letter.
    let transactions = KafkaTransactions::open(&connection, "cut", OPEN_MAX).unwrap();
    for record in [letter(3 << 20, NOON), letter(3, ahead)] {
        transactions.write(&[record]).unwrap();
        transactions.commit().unwrap();
    }
    let letters = DeadLetters::new(&Topics::Kafka { topics, group: "looking".to_owned() });
    let mut found = Vec::new();
    eventually("both letters are there", || {
        found = letters.page(&LetterFilter::default(), None, 10).unwrap().0;
        found.len() == 2
    });
    let told = |letter: &StoredLetter| (letter.offset, letter.time, letter.value_bytes, letter.record_line().is_some());
    assert_eq!(
        found.iter().map(told).collect::<Vec<_>>(),
        [(2, ahead, None, true), (0, NOON, Some(3 << 20), false)],
        "its time is the record's"
    );
}
