//! A reader that does not keep up: what waits for it is bounded, the brokers send no more until it goes on, and nothing is lost by that.
//!
//! Everything that a client holds has come to it through its connections: what a proxy has let through while nobody reads is as much as can
//! wait in memory. The topic is several times as long.

use std::time::{Duration, Instant};

use tamis_connectors::kafka::{
    KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, TopicSettings,
};
use tamis_engine::{Chunk, Read, Sink, Source};
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Options};

use crate::fixture::{PATIENCE, SETTINGS, eventually, partition, record, start};

const TOPIC: &str = "much";
const PARTITIONS: u32 = 3;
/// Records of a partition.
const RECORDS: u64 = 1_500;
const VALUE_BYTES: u64 = 16 << 10;
const TOPIC_BYTES: u64 = PARTITIONS as u64 * RECORDS * VALUE_BYTES;
/// What a fetch brings of a partition.
const FETCH_BYTES: u64 = 1 << 20;
/// What brokers and clients say beside records, and what the records have beside their values.
const BESIDE_BYTES: u64 = 2 << 20;
/// A queue without a bound that matters here.
const BOUNDLESS_KIB: u32 = 1 << 20;
/// Between two looks at what has come.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Bytes that nothing makes shorter.
fn value(partition: u32, number: u64) -> Vec<u8> {
    let mut state = (u64::from(partition) << 32 | number) + 1;
    let mut word = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..VALUE_BYTES / 8).flat_map(|_| word()).collect()
}

fn fill(connection: &KafkaConnection) {
    let settings = TopicSettings { partitions: PARTITIONS, ..SETTINGS };
    KafkaTopics::new(connection.clone()).create(&[TOPIC.to_owned()], settings).unwrap();
    let mut sink = KafkaSink::at_least_once(connection).unwrap();
    for number in 0..RECORDS {
        let of = |partition| Record {
            partition: Some(partition),
            value: Some(value(partition, number)),
            value_is_json: false,
            ..record(TOPIC, "")
        };
        sink.write(&(0..PARTITIONS).map(of).collect::<Vec<_>>()).unwrap();
    }
    sink.stage().unwrap();
}

/// Somebody who reads as far as he is told to.
struct Reader<'a> {
    cluster: &'a Cluster,
    /// What the proxy had let through before.
    before: u64,
    source: KafkaSource,
    chunk: Chunk,
    /// How many records of each partition were read.
    read: [u64; PARTITIONS as usize],
}

impl<'a> Reader<'a> {
    fn open(cluster: &'a Cluster, queue_kib: u32) -> Self {
        let before = cluster.proxy(0).counts().answers;
        let settings = KafkaSourceSettings { queue_kib, ..KafkaSourceSettings::new([TOPIC.to_owned()], "slow") };
        let mut source = KafkaSource::new(KafkaConnection::plain(cluster.bootstrap()), settings.until_end());
        source.open(&Positions::default()).unwrap();
        Self { cluster, before, source, chunk: Chunk::default(), read: [0; PARTITIONS as usize] }
    }

    /// How many bytes have come to the client.
    fn came(&self) -> u64 {
        self.cluster.proxy(0).counts().answers - self.before
    }

    /// Reads a chunk of a partition, when one is there, and looks that it is what comes next. Whether the partition has ended.
    fn read(&mut self, number: u32) -> bool {
        match self.source.read(&partition(TOPIC, number), &mut self.chunk).unwrap() {
            Read::Records => {
                let next = &mut self.read[number as usize];
                for record in self.chunk.framed() {
                    assert_eq!(record.offset.cast_unsigned(), *next, "each record once, in order");
                    assert!(record.value == Some(&value(number, *next)), "{TOPIC}/{number} offset {next}");
                    *next += 1;
                }
                false
            }
            Read::Ended => true,
            _ => {
                std::thread::sleep(LOOK_EVERY);
                false
            }
        }
    }
}

/// How long the topic takes to come to a client that has room for all of it, though nobody reads.
fn all_comes(cluster: &Cluster) -> Duration {
    let began = Instant::now();
    let reader = Reader::open(cluster, BOUNDLESS_KIB);
    eventually("everything comes", || reader.came() > TOPIC_BYTES);
    began.elapsed()
}

/// A reader that has not begun: the queues of its client are filled, and then nothing more comes. It reads, stops again in the middle, and
/// goes on to the end. Whoever waited as long would have got everything, had there been room.
fn stops_and_goes_on(cluster: &Cluster, queue_kib: u32, everything_takes: Duration) {
    let queues = u64::from(PARTITIONS) * u64::from(queue_kib) * 1_000;
    let bound = u64::from(PARTITIONS) * (u64::from(queue_kib) * 1_024 + FETCH_BYTES) + BESIDE_BYTES;
    assert!(bound < TOPIC_BYTES / 3, "there is much more than may wait");
    let mut reader = Reader::open(cluster, queue_kib);
    let stands = |reader: &Reader<'_>, before: u64| {
        let until = Instant::now() + everything_takes;
        while Instant::now() < until {
            let more = reader.came() - before;
            assert!(more <= bound, "{more} bytes came to queues of {queue_kib} KiB that nobody read, of {bound}");
            std::thread::sleep(LOOK_EVERY);
        }
    };
    eventually("the queues are full", || reader.came() >= queues);
    stands(&reader, 0);
    // Of a partition more than may wait of all; the others stay as they are.
    while reader.read[0] * VALUE_BYTES <= bound {
        reader.read(0);
    }
    stands(&reader, reader.came());
    let (mut ended, deadline) = ([false; PARTITIONS as usize], Instant::now() + PATIENCE);
    while ended.contains(&false) {
        (0..PARTITIONS).for_each(|number| ended[number as usize] |= reader.read(number));
        assert!(Instant::now() < deadline, "it comes to the end: {:?} were read", reader.read);
    }
    assert_eq!(reader.read, [RECORDS; PARTITIONS as usize]);
}

#[test]
fn what_waits_for_a_reader_that_stops_is_bounded() {
    let cluster = start(1, Options { proxied: true, ..Options::default() });
    fill(&KafkaConnection::plain(cluster.bootstrap()));
    let everything_takes = all_comes(&cluster).max(Duration::from_millis(500));
    let default_kib = KafkaSourceSettings::new([], "").queue_kib;
    for queue_kib in [256, default_kib] {
        stops_and_goes_on(&cluster, queue_kib, everything_takes);
    }
}
