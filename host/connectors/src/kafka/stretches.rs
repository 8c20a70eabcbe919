//! Where stretches of topics lie: the brokers are asked, and next to nothing is read.

use std::ops::Range;
use std::sync::Arc;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_engine::{Chunk, Source, read_to_end};
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use super::client::names;
use super::connection::{Quiet, REQUEST_MAX};
use super::errors::{failed, missing};
use super::settings::{KafkaSourceSettings, Stretches};
use super::source::KafkaSource;
use super::topics::KafkaTopics;
use crate::topics::{Edge, TimeRange};

impl KafkaTopics {
    /// What lies between two edges, of each partition that topics have now. An edge that is none lies at the end of what is committed.
    ///
    /// A time stands for the first record that has it or a later one: behind that there may be earlier ones. Numbers of records count
    /// offsets, of which marks of transactions have some.
    pub fn between(&self, topics: &[String], from: Option<Edge>, to: Option<Edge>) -> Result<Stretches> {
        let consumer = self.reader()?;
        let there = self.partitions(&consumer)?;
        let mut all = Stretches::new();
        for topic in topics {
            let found = there.iter().find(|(name, _)| name == topic);
            let (_, numbers) = found.ok_or_else(|| missing("read topic", topic))?;
            for number in numbers {
                let ends = consumer.fetch_watermarks(topic, number.cast_signed(), REQUEST_MAX);
                let (first, end) =
                    ends.map_err(|error| failed("find the ends of", format!("{topic}/{number}"), error))?;
                all.insert(Partition { topic: topic.clone(), number: *number }, first..end);
            }
        }
        let starts = edges(&consumer, &all, from, |whole| whole.start)?;
        let ends = edges(&consumer, &all, to, |whole| whole.end)?;
        let stretches = all.into_keys().zip(starts).zip(ends);
        Ok(stretches.map(|((partition, start), end)| (partition, start..end.max(start))).collect())
    }

    /// What holds the records in a range of time, to the last of them in each partition.
    pub fn window(&self, group: &str, topics: &[String], range: &TimeRange) -> Result<Stretches> {
        let mut found = self.between(topics, Some(Edge::Time(range.from)), Some(Edge::Time(range.to)))?;
        // Behind the first record that lies behind the range there may be some of it.
        let tails = self.between(topics, Some(Edge::Time(range.to)), Some(Edge::Time(range.behind())))?;
        self.look_through(group, tails, &mut |partition, chunk| {
            let of_range = chunk.framed().filter(|record| record.timestamp.is_some_and(|time| range.has(time)));
            if let (Some(stretch), Some(last)) = (found.get_mut(partition), of_range.last()) {
                stretch.end = last.offset + 1;
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// A source of what lies there. `group` is who reads; it hears nothing of how far.
    pub fn source(&self, group: &str, stretches: Arc<Stretches>) -> KafkaSource {
        KafkaSource::new(self.connection.clone(), KafkaSourceSettings::between(stretches, group))
    }

    /// Reads what lies there.
    pub(crate) fn look_through(
        &self,
        group: &str,
        mut stretches: Stretches,
        take: &mut dyn FnMut(&Partition, &Chunk) -> Result<()>,
    ) -> Result<()> {
        stretches.retain(|_, stretch| !stretch.is_empty());
        if stretches.is_empty() {
            return Ok(());
        }
        let mut source = self.source(group, Arc::new(stretches));
        source.open(&Positions::default())?;
        for partition in source.partitions()? {
            read_to_end(&mut source, &partition, &mut |chunk| take(&partition, chunk))?;
        }
        Ok(())
    }
}

/// The offset of an edge in each partition; of none what `none` says.
fn edges(
    consumer: &BaseConsumer<Quiet>,
    all: &Stretches,
    edge: Option<Edge>,
    none: fn(&Range<i64>) -> i64,
) -> Result<Vec<i64>> {
    let count = |records: u64| i64::try_from(records).unwrap_or(i64::MAX);
    let behind = |records| move |whole: &Range<i64>| whole.start.saturating_add(count(records)).min(whole.end);
    let before = |records| move |whole: &Range<i64>| whole.end.saturating_sub(count(records)).max(whole.start);
    Ok(match edge {
        None => all.values().map(none).collect(),
        Some(Edge::Behind(records)) => all.values().map(behind(records)).collect(),
        Some(Edge::Before(records)) => all.values().map(before(records)).collect(),
        Some(Edge::Time(time)) => return first_at(consumer, all, time),
    })
}

/// The first record of each partition with this time or a later one; where there is none, the end.
fn first_at(consumer: &BaseConsumer<Quiet>, all: &Stretches, time: Millis) -> Result<Vec<i64>> {
    let mut asked = TopicPartitionList::with_capacity(all.len());
    for partition in all.keys() {
        // Below 0 are the names of ends.
        asked
            .add_partition_offset(&partition.topic, partition.number.cast_signed(), Offset::Offset(time.max(0)))
            .map_err(|error| failed("look for a time in", partition, error))?;
    }
    if asked.count() == 0 {
        return Ok(Vec::new());
    }
    let object = names(&asked);
    let answered = consumer.offsets_for_times(asked, REQUEST_MAX);
    let answered = answered.map_err(|error| failed("look for a time in", object, error))?;
    let found = |(partition, whole): (&Partition, &Range<i64>)| {
        let answer = answered.find_partition(&partition.topic, partition.number.cast_signed());
        let answer = answer.ok_or_else(|| Error::new(Kind::Outage, "look for a time in", partition))?;
        answer.error().map_err(|error| failed("look for a time in", partition, error))?;
        let offset = answer.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(whole.end);
        Ok(offset.clamp(whole.start, whole.end))
    };
    all.iter().map(found).collect()
}
