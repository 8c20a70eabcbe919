//! Several hosts, one group: the streams of a cluster's topics, cut into slices that hosts share.
//!
//! The exchange topic has a partition for each slice, and the group's members share those: whoever has partition 3 runs slice 3. A slice is
//! two streams (its tasks): one of the unkeyed part, which reads its share of the topics' partitions, and one of the keyed part, which reads
//! its partition of the exchange. Each has transactions and a changelog topic under its own name, so whoever takes it over fences the
//! one before, restores, and goes on.
//!
//! One host serves: it has the catalogue, tells the others through a topic which rules run ([`rules`]), and brings what all of them raise
//! from a topic to lake and warehouse ([`delivery`]). It has a share of the slices like any other ([`worker`]).

mod book;
mod delivery;
mod outcome;
mod rules;
mod seen;
mod task;
mod worker;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tamis_connectors::kafka::KafkaTopics;
use tamis_engine::Command;
use tamis_engine::rules::{RuleSet, SHADOW_ALERTS};
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;

use crate::host::Host;
use crate::kafka::KafkaPlan;
use crate::plan::Plan;
use crate::streams;

pub(crate) use delivery::deliver;
pub(crate) use rules::Publisher;
pub(crate) use seen::Seen;
pub(crate) use worker::Worker;

/// Between two turns of a worker at most.
pub(crate) const TURN: Duration = Duration::from_millis(20);
/// Between two looks at how the tasks are.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The topics that the hosts of a group need beside those that they read.
pub(crate) struct Topics {
    /// By which records meet those of their keys; a partition for each slice.
    pub exchange: String,
    /// What was raised, on its way to lake and warehouse.
    pub outcomes: String,
    /// Which rules run.
    pub rules: String,
}

impl Topics {
    pub fn of(kafka: &KafkaPlan) -> Self {
        let name = |what| format!("{}.{what}", kafka.group);
        Self { exchange: name("exchange"), outcomes: name("outcomes"), rules: name("rules") }
    }
}

/// Makes the topics of the group that are not there, with so many slices as topics have partitions.
pub(crate) fn create_topics(kafka: &KafkaPlan) -> Result<Vec<tamis_connectors::kafka::TopicState>> {
    let (topics, cluster) = (Topics::of(kafka), KafkaTopics::new(kafka.connection.clone()));
    let mut made = cluster.create(&[topics.exchange], kafka.topics)?;
    let one = tamis_connectors::kafka::TopicSettings { partitions: 1, ..kafka.topics };
    made.extend(cluster.create(&[topics.outcomes], one)?);
    cluster.create_compacted(&topics.rules, kafka.topics.replication)?;
    Ok(made)
}

/// Runs the serving host's part, with the rules that the registry has, until it is told to stop. `observer` is shown how its tasks are.
pub(crate) fn serve(
    host: &Host,
    kafka: &KafkaPlan,
    runtime: &Handle,
    commands: &Receiver<Command>,
    observer: &mut dyn FnMut(Seen),
) -> Result<()> {
    let rules = runtime.block_on(host.registry.rule_set())?;
    let mut publisher = Publisher::open(&host.plan, kafka)?;
    publisher.publish(&rules)?;
    let mut worker = Worker::new(&host.plan, kafka)?;
    let (mut looked, mut revision) = (Instant::now(), 0);
    loop {
        match commands.recv_timeout(TURN) {
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return worker.leave(),
            Ok(Command::Rules(rules, reply)) => match publisher.publish(&rules) {
                Ok(()) => reply(Ok(())),
                Err(error) => {
                    reply(Err(Error::new(Kind::Outage, "tell the group", "its rules")));
                    return Err(error);
                }
            },
            Ok(Command::Redrive(_, reply)) => {
                let reason = "hosts of a group share the streams, and none can say yet which of them has a record";
                reply(Err(Error::new(Kind::Conflict, "redrive", "dead letters").because(reason)));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        worker.turn()?;
        if worker.revision() != revision || looked.elapsed() >= LOOK_EVERY {
            (looked, revision) = (Instant::now(), worker.revision());
            observer(worker.seen());
        }
    }
}

/// Fails when a topic is missing that the rules read or write to.
fn require_topics(plan: &Plan, kafka: &KafkaPlan, rules: &RuleSet) -> Result<()> {
    let mut topics = streams::topics(plan, rules);
    let own = Topics::of(kafka);
    topics.extend([own.exchange, own.outcomes, SHADOW_ALERTS.to_owned()]);
    KafkaTopics::new(kafka.connection.clone()).require(&topics)
}
