//! Writing records to topics.
//!
//! Every record is written by an idempotent producer, so that a retry of the client's own never makes two of one. What a stream writes
//! again after a failure is there twice, unless it writes in transactions ([`KafkaSink::exactly_once`]).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use tamis_engine::Sink;
use tamis_model::Result;
use tamis_model::record::Record;

use super::connection::{KafkaConnection, REQUEST_MAX, log};
use super::errors::{failed, failed_with, missing};
use super::transaction::KafkaTransactions;

/// A record that was not written after so long never will be: the stream fails and writes it again.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether there is room, or whether all is written.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A record of a dead letter is longer than the record that it is about.
pub(super) const RECORD_BYTES_MAX: u32 = 2 << 20;

/// Writes records to topics of a cluster.
pub struct KafkaSink(Kind);

enum Kind {
    AtLeastOnce(Writer),
    ExactlyOnce(KafkaTransactions),
}

impl KafkaSink {
    /// Records are visible at once; what is written again is there twice.
    pub fn at_least_once(connection: &KafkaConnection) -> Result<Self> {
        Ok(Self(Kind::AtLeastOnce(Writer::open(connection, &mut producer_config(connection))?)))
    }

    /// Records are visible once the transaction is committed, which the handle does.
    pub fn exactly_once(transactions: KafkaTransactions) -> Self {
        Self(Kind::ExactlyOnce(transactions))
    }
}

impl Sink<Record> for KafkaSink {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        match &mut self.0 {
            Kind::AtLeastOnce(writer) => writer.write(output),
            Kind::ExactlyOnce(transactions) => transactions.write(output),
        }
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        match &mut self.0 {
            Kind::AtLeastOnce(writer) => writer.flush(),
            Kind::ExactlyOnce(transactions) => transactions.flush(),
        }?;
        Ok(serde_json::Value::Null)
    }

    /// Nothing is left to do: what is staged is written, or is committed together with the checkpoint that names it.
    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// What every producer is made with.
pub(super) fn producer_config(connection: &KafkaConnection) -> ClientConfig {
    let mut config = connection.config();
    config.set("enable.idempotence", "true").set("acks", "all");
    config.set("compression.type", "lz4").set("linger.ms", "1");
    // Kafka's own default, so that a key is in the same partition whoever writes it.
    config.set("partitioner", "murmur2_random");
    config.set("message.timeout.ms", DELIVERY_MAX.as_millis().to_string());
    config.set("message.max.bytes", RECORD_BYTES_MAX.to_string());
    config.set("queue.buffering.max.kbytes", "65536");
    config
}

/// A producer that says what became of its records.
pub(super) struct Writer {
    pub producer: BaseProducer<Deliveries>,
    brokers: String,
    /// The topics that are known to be there.
    topics: BTreeSet<String>,
}

impl Writer {
    pub fn open(connection: &KafkaConnection, config: &mut ClientConfig) -> Result<Self> {
        let brokers = format!("Kafka at {}", connection.bootstrap_servers);
        let producer = config.create_with_context(Deliveries::default());
        let producer = producer.map_err(|error| failed("connect to", &brokers, error))?;
        Ok(Self { producer, brokers, topics: BTreeSet::new() })
    }

    /// Hands records to the client; waits where it has no room.
    pub fn write(&mut self, records: &[Record]) -> Result<()> {
        self.check()?;
        for record in records {
            self.know(&record.topic)?;
            self.send(record)?;
        }
        self.producer.poll(Duration::ZERO);
        self.check()
    }

    /// Waits until everything is written.
    pub fn flush(&mut self) -> Result<()> {
        let deadline = Instant::now() + DELIVERY_MAX + REQUEST_MAX;
        while self.producer.in_flight_count() > 0 {
            self.check()?;
            if Instant::now() > deadline {
                return Err(failed_with("write records to", &self.brokers, RDKafkaErrorCode::OperationTimedOut));
            }
            self.producer.poll(LOOK_EVERY);
        }
        self.check()
    }

    /// Whether a record was refused.
    pub fn check(&self) -> Result<()> {
        match &*self.producer.context().first.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(refused) => Err(failed_with("write", &refused.what, refused.code)),
        }
    }

    fn send(&self, record: &Record) -> Result<()> {
        let mut message = BaseRecord::to(&record.topic).timestamp(record.timestamp);
        message.partition = record.partition.map(u32::cast_signed);
        (message.key, message.payload) = (record.key.as_deref(), record.value.as_deref());
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let headers = record
                .headers
                .iter()
                .fold(headers, |headers, (name, value)| headers.insert(Header { key: name, value: Some(value) }));
            message = message.headers(headers);
        }
        let deadline = Instant::now() + DELIVERY_MAX;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent))
                    if Instant::now() < deadline =>
                {
                    message = unsent;
                    self.producer.poll(LOOK_EVERY);
                    self.check()?;
                }
                Err((error, _)) => {
                    let bytes = record.value.as_ref().map_or(0, Vec::len);
                    return Err(failed("write", described(&record.topic, record.timestamp, bytes), error));
                }
            }
        }
    }

    /// That a topic is there is known before the first record goes to it: a broker may be set to make what it is asked for.
    fn know(&mut self, topic: &str) -> Result<()> {
        if self.topics.contains(topic) {
            return Ok(());
        }
        let metadata = self.producer.client().fetch_metadata(None, REQUEST_MAX);
        let metadata = metadata.map_err(|error| failed("list the topics of", &self.brokers, error))?;
        self.topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
        if self.topics.contains(topic) { Ok(()) } else { Err(missing("write to topic", topic)) }
    }
}

/// A record, for people: the value may be anybody's secret.
fn described(topic: &str, timestamp: i64, bytes: usize) -> String {
    format!("a record of {bytes} bytes of {timestamp} ms to topic {topic}")
}

/// Keeps the first refusal.
#[derive(Default)]
pub(super) struct Deliveries {
    first: Mutex<Option<Refused>>,
}

struct Refused {
    what: String,
    code: RDKafkaErrorCode,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("Kafka: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = delivered else { return };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
            // A transaction that is aborted takes it back.
            return;
        }
        let bytes = message.payload().map_or(0, <[u8]>::len);
        let what = described(message.topic(), message.timestamp().to_millis().unwrap_or(0), bytes);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Refused { what, code });
    }
}
