//! Partitions move between the members of a group: none is anybody's while another one still has it.

use std::collections::BTreeSet;
use std::time::Duration;

use tamis_connectors::kafka::{Asked, KafkaMember, KafkaMemberSettings, KafkaSource, KafkaSourceSettings, Share};
use tamis_engine::Source;
use tamis_model::position::Positions;

use crate::fixture::{connection, eventually, topic};

const PARTITIONS: u32 = 4;

/// A member, and what it has.
struct Host {
    member: KafkaMember,
    has: BTreeSet<u32>,
}

impl Host {
    fn join(topic: &str) -> Self {
        let settings = KafkaMemberSettings {
            group: topic.to_owned(),
            topic: topic.to_owned(),
            session_max: Duration::from_secs(6),
            silence_max: Duration::from_secs(30),
        };
        Self { member: KafkaMember::join(&connection(), settings).unwrap(), has: BTreeSet::new() }
    }

    /// Does what is asked.
    fn turn(&mut self, others: &[&Host]) {
        match self.member.asked().unwrap() {
            None => return,
            Some(Asked::TakeOn(partitions)) => {
                let all_free = partitions.iter().all(|number| others.iter().all(|other| !other.has.contains(number)));
                assert!(all_free, "{partitions:?} are free");
                self.has.extend(partitions);
            }
            Some(Asked::GiveUp { partitions, lost }) => {
                assert!(!lost && partitions.iter().all(|number| self.has.remove(number)), "{partitions:?}");
            }
        }
        self.member.accept().unwrap();
    }
}

#[test]
fn partitions_move_and_each_is_one_member_s() {
    let topic = topic("moving", PARTITIONS);
    let mut first = Host::join(&topic);
    eventually("the first has all", || {
        first.turn(&[]);
        first.has.len() == PARTITIONS as usize
    });
    let mut second = Host::join(&topic);
    eventually("each has half", || {
        first.turn(&[&second]);
        second.turn(&[&first]);
        (first.has.len(), second.has.len()) == (2, 2)
    });
    drop(first);
    eventually("the second has all that the first has left", || {
        second.turn(&[]);
        second.has.len() == PARTITIONS as usize
    });
}

/// A member for which nothing is left knows that it is one.
#[test]
fn a_member_that_has_nothing_is_told_so() {
    let topic = topic("idle", 1);
    let (mut first, mut told) = (Host::join(&topic), None);
    eventually("the first has all", || {
        first.turn(&[]);
        first.has.len() == 1
    });
    let mut second = Host::join(&topic);
    eventually("the second is asked to take nothing on", || {
        first.turn(&[&second]);
        told = told.take().or(second.member.asked().unwrap());
        second.turn(&[&first]);
        told.is_some()
    });
    assert_eq!((told, first.has.len()), (Some(Asked::TakeOn(Vec::new())), 1));
}

/// Whoever leaves a group while it is asked for an answer does not keep the group waiting, nor itself.
#[test]
fn a_member_that_has_not_answered_can_leave() {
    let topic = topic("leaving", PARTITIONS);
    let first = Host::join(&topic);
    eventually("it is asked", || first.member.asked().unwrap().is_some());
    drop(first);
    let mut second = Host::join(&topic);
    eventually("the next one has all", || {
        second.turn(&[]);
        second.has.len() == PARTITIONS as usize
    });
    // Asked to give up a part, it leaves as well.
    let mut third = Host::join(&topic);
    eventually("it is asked to give up", || second.member.asked().unwrap().is_some());
    drop(second);
    eventually("the last one has all", || {
        third.turn(&[]);
        third.has.len() == PARTITIONS as usize
    });
}

#[test]
fn shares_are_all_partitions_once() {
    let topics = [topic("shared-a", 5), topic("shared-b", 3)];
    let read = |share: Share| {
        let settings = KafkaSourceSettings { share, ..KafkaSourceSettings::new(topics.clone(), "shares") };
        let mut source = KafkaSource::new(connection(), settings);
        source.open(&Positions::default()).unwrap();
        source.partitions().unwrap()
    };
    let shares: Vec<_> = (0..2).map(|number| read(Share { number, of: 2 })).collect();
    assert_eq!((shares[0].len(), shares[1].len()), (5, 3));
    let mut all = shares.concat();
    all.sort();
    assert_eq!(all, read(Share::ALL));
}
