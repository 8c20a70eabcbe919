//! Where topics are, and how one looks at them wherever that is. Only streams and the archive go on reading.

use std::path::PathBuf;
use std::sync::Arc;

use tamis_engine::Source;
use tamis_model::Result;

use super::{DISORDER_MS, Edge, ReaderSettings, Stretch, TimeRange, TimeWindow, TopicOverview, TopicReader, overview};
use crate::kafka::KafkaTopics;

/// Where topics are.
#[derive(Clone, Debug)]
pub enum Topics {
    /// Embedded, below this folder.
    Folder(PathBuf),
    /// In a cluster.
    Kafka {
        /// Which.
        topics: KafkaTopics,
        /// The group that reads them. It hears nothing of how far.
        group: String,
    },
}

/// Records that were found, whatever is appended later.
pub struct Found {
    /// How many there are from the first to the last of each partition, by their offsets.
    pub records: u64,
    /// Makes a bounded source over them.
    pub source: Box<dyn Fn() -> Box<dyn Source>>,
}

impl Topics {
    /// What lies in them, without reading them.
    pub fn overview(&self) -> Result<Vec<TopicOverview>> {
        match self {
            Self::Folder(folder) => overview(folder),
            Self::Kafka { topics, .. } => topics.overview(),
        }
    }

    /// The records of topics between two edges, up to where the topics end now. An edge that is none lies at the end.
    ///
    /// Brokers look for the edges: their numbers of records count offsets, and a record that lies further than [`DISORDER_MS`] behind one
    /// before it may be missed where it stands at the end of a stretch. Embedded topics are read from their beginning.
    pub fn stretch(&self, names: &[String], from: Option<Edge>, to: Option<Edge>) -> Result<Box<dyn Source>> {
        Ok(match self {
            Self::Folder(folder) => {
                let whole = TopicReader::new(folder, ReaderSettings::new(names).until_end())?;
                Box::new(Stretch::new(Box::new(whole), from, to))
            }
            Self::Kafka { topics, group } => {
                let behind = |edge| match edge {
                    Edge::Time(time) => Edge::Time(time.saturating_add(DISORDER_MS)),
                    other => other,
                };
                let stretches = topics.between(names, from, to.map(behind))?;
                let found = topics.source(group, Arc::new(stretches));
                Box::new(Stretch::new(Box::new(found), from.filter(Edge::is_time), to.filter(Edge::is_time)))
            }
        })
    }

    /// The records of topics in a range of time, with those that stand among them and lie behind it: see [`TimeWindow`].
    pub fn window(&self, names: &[String], range: TimeRange) -> Result<Found> {
        Ok(match self {
            Self::Folder(folder) => {
                let window = TimeWindow::find(folder, names, range)?;
                Found { records: window.records(), source: Box::new(move || Box::new(window.again())) }
            }
            Self::Kafka { topics, group } => {
                let stretches = Arc::new(topics.window(group, names, &range)?);
                let records = stretches.values().map(|stretch| (stretch.end - stretch.start).unsigned_abs()).sum();
                let (topics, group) = (topics.clone(), group.clone());
                let source = move || -> Box<dyn Source> {
                    let found = Box::new(topics.source(&group, Arc::clone(&stretches)));
                    Box::new(Stretch::new(found, Some(Edge::Time(range.from)), Some(Edge::Time(range.behind()))))
                };
                Found { records, source: Box::new(source) }
            }
        })
    }
}
