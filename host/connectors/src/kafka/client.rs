//! What a client that reads says beside records, and what it is asked.

use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::TopicPartitionList;
use tamis_model::Result;

use super::connection::{Quiet, REQUEST_MAX};
use super::errors::{Refused, failed};

/// For so long a client is heard that gave no answer.
const HEARING: Duration = Duration::from_millis(20);

pub(super) type Reader = BaseConsumer<Quiet>;

/// Serves what the cluster says to a consumer beside the records of its partitions' queues.
pub(super) fn serve<C: ConsumerContext + Refused>(consumer: &BaseConsumer<C>, bootstrap_servers: &str) -> Result<()> {
    let brokers = || format!("Kafka at {bootstrap_servers}");
    while let Some(said) = consumer.poll(Duration::ZERO) {
        match said {
            Ok(_) | Err(KafkaError::PartitionEOF(_)) => {}
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                return Err(failed("read from", brokers(), error));
            }
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown)) => {
                // It is said whenever the last connection breaks; most times another one is there at once.
                consumer.fetch_metadata(None, REQUEST_MAX).map_err(|error| failed("reach", brokers(), error))?;
            }
            Err(error) => {
                consumer.context().refusal().check("read from", brokers())?;
                let error = failed("read from", brokers(), error);
                if !error.can_retry() {
                    return Err(error);
                }
                tracing::debug!("{}", error.chain());
            }
        }
    }
    Ok(())
}

/// What the brokers know of all topics: asking for one by name may make it.
pub(super) fn metadata(consumer: &Reader, brokers: impl fmt::Display) -> Result<Metadata> {
    let ask = |max| consumer.fetch_metadata(None, max);
    let hear = || {
        let until = Instant::now() + HEARING;
        while Instant::now() < until {
            // Its context takes what it says.
            let _ = consumer.poll(HEARING);
        }
    };
    consumer.context().refusal().judge("list the topics of", brokers, ask, hear)
}

/// The partitions of a list, for people.
pub(super) fn names(list: &TopicPartitionList) -> String {
    let elements = list.elements();
    let names = elements.iter().map(|element| format!("{}/{}", element.topic(), element.partition()));
    names.collect::<Vec<_>>().join(", ")
}
