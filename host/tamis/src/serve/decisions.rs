//! Where decisions are asked for: the topics that the host's streams read, opened to be written to.

use std::sync::Arc;

use tamis_api::Desk;
use tamis_connectors::TopicWriter;
use tamis_connectors::kafka::KafkaSink;
use tamis_connectors::topics::{WriterSettings, overview};
use tamis_engine::Sink;
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use crate::host::Host;
use crate::plan::Plan;
use crate::streams::{INLET, writer_settings};

/// Where decisions of a host are asked for. It reads every partition of its topics itself, so it hears of each event that it writes.
pub(super) fn desk(host: &Host) -> Desk {
    let plan = Arc::clone(&host.plan);
    Desk::start(host.decisions.clone(), Box::new(move || open(&plan)))
}

fn open(plan: &Plan) -> Result<Box<dyn Sink<Record>>> {
    Ok(match &plan.kafka {
        None => Box::new(TopicWriter::open(plan.home.topics(), INLET, settings(plan)?)?),
        Some(kafka) if kafka.shared => {
            let reason =
                "hosts of the group share the streams, and none of them hears of all that is judged of an event";
            return Err(Error::invalid("decide", "events", reason));
        }
        Some(kafka) => Box::new(KafkaSink::at_least_once(&kafka.connection)?),
    })
}

/// A topic that is there keeps its partitions.
fn settings(plan: &Plan) -> Result<WriterSettings> {
    let mut settings = writer_settings(plan);
    for topic in overview(&plan.home.topics())? {
        let there = topic.partitions.iter().map(|partition| partition.number + 1).max().unwrap_or(0);
        let partitions = settings.partitions.entry(topic.topic).or_insert(settings.partitions_default);
        *partitions = there.max(*partitions);
    }
    Ok(settings)
}
