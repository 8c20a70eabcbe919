//! `tamis topics create`: the topics that the streams of a home need, in Kafka.

use std::process::ExitCode;

use serde::Serialize;
use tamis_connectors::kafka::{KafkaTopics, TopicState};
use tamis_model::{Error, Result};

use super::{listed, runtime};
use crate::group;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::streams;
use crate::table::Row;

/// A topic, as it is now.
#[derive(Serialize)]
struct TopicRow {
    topic: String,
    created: bool,
    partitions: u32,
    replication: u32,
    retention_hours: u64,
}

impl Row for TopicRow {
    const HEAD: &'static [&'static str] = &["TOPIC", "CREATED", "#PARTITIONS", "#REPLICATION", "#RETENTION HOURS"];

    fn cells(&self) -> Vec<String> {
        let created = if self.created { "now" } else { "before" };
        let numbers = [self.partitions.to_string(), self.replication.to_string(), self.retention_hours.to_string()];
        [self.topic.clone(), created.to_owned()].into_iter().chain(numbers).collect()
    }
}

impl From<TopicState> for TopicRow {
    fn from(state: TopicState) -> Self {
        let settings = state.settings;
        Self {
            topic: state.topic,
            created: state.created,
            partitions: settings.partitions,
            replication: settings.replication,
            retention_hours: settings.retention.as_secs() / 3600,
        }
    }
}

/// Makes those that are not there, and shows them all as they are.
pub fn create(home: Home, brokers: Option<String>, json: bool) -> Result<ExitCode> {
    let plan = Plan::new(home, None)?.with_brokers(brokers)?;
    let Some(kafka) = plan.kafka.clone() else {
        let reason = "no broker is named: say --kafka HOST:PORT, or bootstrap_servers under [kafka] in tamis.toml";
        return Err(Error::invalid("make", "topics", reason));
    };
    let runtime = runtime()?;
    let (plan, rules) = runtime.block_on(async {
        let host = Host::open(plan).await?;
        let rules = host.registry.rule_set().await?;
        Ok::<_, Error>((host.plan, rules))
    })?;
    let mut topics =
        KafkaTopics::new(kafka.connection.clone()).create(&streams::topics(&plan, &rules), kafka.topics)?;
    if kafka.shared {
        topics.extend(group::create_topics(&kafka)?);
    }
    listed(&topics.into_iter().map(TopicRow::from).collect::<Vec<_>>(), json)
}
