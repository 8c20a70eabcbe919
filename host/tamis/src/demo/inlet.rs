//! Where the demo's records go in: the topics of the home, or those of Kafka.

use std::time::Duration;

use tamis_connectors::TopicWriter;
use tamis_connectors::kafka::{KafkaSink, KafkaTopics, TopicSettings};
use tamis_connectors::topics::WriterSettings;
use tamis_engine::{RuleSet, Sink};
use tamis_model::Result;
use tamis_model::record::Record;

use super::Event;
use crate::home::Home;
use crate::kafka::KafkaPlan;
use crate::plan::Plan;
use crate::streams;

/// The topics that the demo writes, with their partitions in a home.
pub(super) const TOPICS: [(&str, u32); 3] = [("payments", 3), ("orders", 2), ("kyc_decisions", 2)];
/// Records that are handed to Kafka at a time.
const BATCH: usize = 1_000;
/// The demo's day lies in the past, and brokers count from the times of records.
const RETENTION: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Where records go in.
pub(super) enum Inlet {
    /// It owns the topics that come in.
    Home(Box<TopicWriter>),
    Kafka {
        sink: Box<KafkaSink>,
        waiting: Vec<Record>,
    },
}

impl Inlet {
    /// Into the topics that a host reads.
    pub fn of(plan: &Plan) -> Result<Self> {
        match &plan.kafka {
            None => Self::of_home(&plan.home),
            Some(kafka) => {
                let sink = Box::new(KafkaSink::at_least_once(&kafka.connection)?);
                Ok(Self::Kafka { sink, waiting: Vec::new() })
            }
        }
    }

    pub fn of_home(home: &Home) -> Result<Self> {
        let partitions = TOPICS.iter().map(|(topic, partitions)| ((*topic).to_owned(), *partitions)).collect();
        let settings = WriterSettings { partitions, ..WriterSettings::default() };
        Ok(Self::Home(Box::new(TopicWriter::open(home.topics(), streams::INLET, settings)?)))
    }

    /// Takes an event to the partition of its key.
    pub fn take(&mut self, topic: &str, event: &Event) -> Result<()> {
        let key = event.key.as_bytes();
        match self {
            Self::Home(topics) => {
                let partition = topics.partition_for(topic, Some(key))?;
                topics.append(topic, partition, event.timestamp, Some(key), Some(event.value.as_bytes())).map(drop)
            }
            Self::Kafka { waiting, .. } => {
                waiting.push(event.record(topic));
                if waiting.len() < BATCH { Ok(()) } else { self.hand_over() }
            }
        }
    }

    /// Lets readers see everything.
    pub fn flush(&mut self) -> Result<()> {
        self.hand_over()?;
        match self {
            Self::Home(topics) => topics.flush(),
            Self::Kafka { sink, .. } => sink.stage().map(drop),
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        if let Self::Kafka { sink, waiting } = self {
            sink.write(waiting)?;
            waiting.clear();
        }
        Ok(())
    }
}

/// Makes the topics that a host reads and writes in Kafka. Returns whether those that come in are new.
pub(super) fn make_topics(plan: &Plan, kafka: &KafkaPlan, rules: &RuleSet) -> Result<bool> {
    let topics = KafkaTopics::new(kafka.connection.clone());
    let settings = TopicSettings { retention: RETENTION, ..kafka.topics };
    let made = topics.create(&streams::topics(plan, rules), settings)?;
    let comes_in = |topic: &str| TOPICS.iter().any(|(name, _)| *name == topic);
    Ok(made.iter().any(|state| state.created && comes_in(&state.topic)))
}
