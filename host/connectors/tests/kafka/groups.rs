//! Partitions move between the members of a group, and no record is lost or read twice.

use std::collections::BTreeSet;
use std::time::Duration;

use tamis_connectors::kafka::{KafkaSource, KafkaSourceSettings, Membership};
use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};

use crate::fixture::{connection, eventually, partition, records, send, topic};

const PARTITIONS: u32 = 4;

/// A member that takes a checkpoint when it gives partitions up, and begins where the group's positions are.
struct Host {
    source: KafkaSource,
    seen: Vec<(u32, i64)>,
}

impl Host {
    fn join(topic: &str) -> Self {
        let membership = Membership::Group {
            instance: None,
            session_max: Duration::from_secs(6),
            silence_max: Duration::from_secs(30),
        };
        let settings = KafkaSourceSettings { membership, ..KafkaSourceSettings::new([topic.to_owned()], topic) };
        let mut source = KafkaSource::new(connection(), settings);
        source.open(&Positions::default()).unwrap();
        Self { source, seen: Vec::new() }
    }

    /// Does what is next; `handed` is where the members tell each other how far they came.
    fn turn(&mut self, handed: &mut Positions) {
        if let Some(asked) = self.source.rebalance().unwrap() {
            assert!(!asked.lost);
            self.source.accept(handed).unwrap();
            assert!(asked.gained.iter().all(|gained| self.partitions().contains(gained)));
            assert!(asked.given_up.iter().all(|given_up| !self.partitions().contains(given_up)));
        }
        let mut chunk = Chunk::default();
        for partition in self.partitions() {
            if self.source.read(&partition, &mut chunk).unwrap() == Read::Records {
                for record in records(&chunk) {
                    let offset = record.offset.unwrap();
                    self.seen.push((partition.number, offset));
                    handed.set(&partition, offset + 1);
                }
            }
        }
    }

    fn partitions(&mut self) -> Vec<Partition> {
        self.source.partitions().unwrap()
    }
}

fn feed(topic: &str, records: usize) {
    for number in 0..PARTITIONS {
        send(&partition(topic, number), 5, &vec!["1".to_owned(); records]);
    }
}

#[test]
fn partitions_move_and_every_record_is_read_once() {
    let topic = topic("moving", PARTITIONS);
    let mut handed = Positions::default();
    let mut first = Host::join(&topic);
    feed(&topic, 10);
    eventually("the first has all", || {
        first.turn(&mut handed);
        first.partitions().len() == PARTITIONS as usize && first.seen.len() == 40
    });
    let mut second = Host::join(&topic);
    feed(&topic, 10);
    eventually("each has half, and all is read", || {
        first.turn(&mut handed);
        second.turn(&mut handed);
        let halves = (first.partitions().len(), second.partitions().len()) == (2, 2);
        halves && first.seen.len() + second.seen.len() == 80
    });
    drop(first.source);
    feed(&topic, 10);
    eventually("the second has all that the first has left", || {
        second.turn(&mut handed);
        second.partitions().len() == PARTITIONS as usize && first.seen.len() + second.seen.len() >= 120
    });
    let all: BTreeSet<_> = first.seen.iter().chain(&second.seen).collect();
    assert_eq!((all.len(), first.seen.len() + second.seen.len()), (120, 120), "every record once");
}
