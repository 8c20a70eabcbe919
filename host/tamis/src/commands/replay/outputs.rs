//! Where the alerts of a replay go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tamis_connectors::kafka::{KafkaSink, KafkaTopics, TopicSettings};
use tamis_connectors::topics::{TopicOverview, has_owner, overview};
use tamis_connectors::{AlertFiles, AlertRows, TopicWriter};
use tamis_engine::memory::MemoryCheckpoints;
use tamis_engine::sinks::{RECORDS, alert_sink};
use tamis_engine::{CheckpointStore, Settle, Sink, Sinks, Unstaged};
use tamis_jobs::replay::{Elsewhere, Graft, Known, Redirected, Written};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use super::{Into, JOB, Replay};
use crate::kafka::KafkaPlan;
use crate::streams::{LAKE, Outlet, WAREHOUSE, outlet, pipeline, topics, writer_settings};

/// The topic of what is replayed in shadow mode; that of shadow alerts belongs to the streams.
const SHADOW_TOPIC: &str = "shadow_alerts_replay";

/// Where alerts go, what is kept of that, and what is counted of each place.
pub(super) struct Outputs {
    pub sinks: Sinks,
    pub checkpoints: Box<dyn CheckpointStore>,
    pub places: Vec<(&'static str, Written)>,
    /// How far the streams have judged, when alerts go where theirs go.
    pub judged: Option<Positions>,
}

impl Replay<'_> {
    pub(super) fn outputs(&self) -> Result<Outputs> {
        let (plan, into) = (&self.host.plan, &self.arguments.into);
        let elsewhere = match into {
            Into::Shadow => Some(SHADOW_TOPIC.to_owned()),
            Into::Topic(topic) => Some(topic.clone()),
            Into::Routes => None,
        };
        let elsewhere = elsewhere.map(|topic| Elsewhere { topic, run: self.id.to_owned() });
        let (writer, Outlet { mut records, checkpoints }) = match &elsewhere {
            None => (pipeline(plan), outlet(plan, None)?),
            Some(elsewhere) => (JOB, self.own_outlet(&elsewhere.topic)?),
        };
        let folder = plan.home.lake().join("alerts");
        let mut lake = AlertFiles::open(&folder, writer, plan.pepper.clone(), Duration::ZERO)?;
        let warehouse = Arc::clone(&self.host.warehouse);
        let mut rows = AlertRows::new(warehouse, self.runtime.clone(), writer, plan.pepper.clone());
        let mut judged = None;
        let checkpoints: Box<dyn CheckpointStore> = match into {
            Into::Shadow | Into::Topic(_) => checkpoints,
            Into::Routes => {
                let graft = Graft::new(checkpoints)?;
                let commit = |name: &str, commit: &mut dyn FnMut(&serde_json::Value) -> Result<()>| {
                    graft.staged(name).map_or(Ok(()), commit)
                };
                commit(RECORDS, &mut |staged| records.commit(staged))?;
                commit(&alert_sink(LAKE), &mut |staged| lake.commit(staged))?;
                commit(&alert_sink(WAREHOUSE), &mut |staged| rows.commit(staged))?;
                // What is gathered is among the files that are compared with.
                lake.settle(Settle::All)?;
                judged = Some(graft.positions().clone());
                Box::new(graft)
            }
        };
        let known = self.known_in_topics(elsewhere.as_ref())?;
        let mut places = vec![("topics", Written::default())];
        let records = Redirected { sink: records, known, elsewhere, written: Arc::clone(&places[0].1) };
        let mut alerts: Vec<(String, Box<dyn Sink<Alert>>)> = Vec::new();
        if !matches!(into, Into::Topic(_)) {
            let mut known = Known::default();
            self.rules.rules.iter().try_for_each(|plan| known.in_lake(&folder, &plan.name))?;
            let written = Written::default();
            places.push(("lake", Arc::clone(&written)));
            let lake = Redirected { sink: Box::new(lake), known, elsewhere: None, written };
            alerts.push((LAKE.to_owned(), Box::new(lake)));
            // It takes each id once by itself.
            alerts.push((WAREHOUSE.to_owned(), Box::new(rows)));
        }
        // Rows of aggregates have no identity by which they could be written once.
        let aggregates: Box<dyn Sink<AggregateRow>> = Box::new(Unstaged(|_: &[AggregateRow]| Ok(())));
        let sinks = Sinks { records: Box::new(records), alerts, aggregates: Some(aggregates) };
        Ok(Outputs { sinks, checkpoints, places, judged })
    }

    /// What the topics hold that alerts go to.
    fn known_in_topics(&self, elsewhere: Option<&Elsewhere>) -> Result<Known> {
        let topics = self.host.plan.topics();
        let mut known = Known::default();
        if let Some(Elsewhere { topic, .. }) = elsewhere {
            let foreign = known.in_topic(&topics, topic)?;
            // Nobody owns a topic of a cluster.
            if self.host.plan.kafka.is_some() && foreign > 0 {
                return Err(is_not_its_own(topic));
            }
            return Ok(known);
        }
        let routes: BTreeSet<_> = self.rules.rules.iter().map(|plan| &plan.route).collect();
        routes.into_iter().try_for_each(|route| known.in_topic(&topics, route).map(drop))?;
        Ok(known)
    }

    /// Where records go that no stream writes. A replay always begins anew, so nothing is kept of how far it is: the ids tell.
    fn own_outlet(&self, topic: &str) -> Result<Outlet> {
        let plan = &self.host.plan;
        let refuse = |why: &str| Err(Error::invalid("replay into topic", topic, why));
        if plan.schemas.iter().any(|schema| schema.name == topic) {
            return refuse("rules read it");
        }
        // Those of all rules that run, and not only of those that are replayed.
        let running = self.runtime.block_on(self.host.registry.rule_set())?;
        let of_group = |kafka: &KafkaPlan| topic.strip_prefix(&kafka.group).is_some_and(|rest| rest.starts_with('.'));
        if topics(plan, &running).iter().any(|other| other == topic) || plan.kafka.as_ref().is_some_and(of_group) {
            return refuse("it belongs to the streams");
        }
        let records: Box<dyn Sink<Record>> = match &plan.kafka {
            None => {
                self.refuse_what_others_wrote(topic)?;
                Box::new(TopicWriter::open(plan.home.topics(), JOB, writer_settings(plan))?)
            }
            Some(kafka) => {
                // Retention counts from the times of the records, and those of a replay lie long ago.
                let settings = TopicSettings { retention: Duration::MAX, ..kafka.topics };
                KafkaTopics::new(kafka.connection.clone()).create(&[topic.to_owned()], settings)?;
                Box::new(KafkaSink::at_least_once(&kafka.connection)?)
            }
        };
        Ok(Outlet { records, checkpoints: Box::new(MemoryCheckpoints::new()) })
    }

    /// Of embedded topics one is the replay's own that is new, or that a replay has begun.
    fn refuse_what_others_wrote(&self, topic: &str) -> Result<()> {
        let folder = self.host.plan.home.topics();
        let is_foreign = |found: &TopicOverview| {
            let has_records = found.partitions.iter().any(|partition| partition.next_offset > partition.first_offset);
            found.topic == topic && has_records
        };
        match !has_owner(&folder, topic)? && overview(&folder)?.iter().any(is_foreign) {
            true => Err(is_not_its_own(topic)),
            false => Ok(()),
        }
    }
}

fn is_not_its_own(topic: &str) -> Error {
    Error::invalid("replay into topic", topic, "it has records that no replay has written")
}
