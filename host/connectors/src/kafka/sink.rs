//! Writing records to topics.
//!
//! Every record is written by an idempotent producer, so that a retry of the client's own never makes two of one. What a stream writes
//! again after a failure is there twice, unless it writes in transactions ([`KafkaSink::exactly_once`]).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use tamis_engine::{Clock, Sink, SystemClock};
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use super::connection::{KafkaConnection, REQUEST_MAX, log};
use super::errors::{Refusal, Refused, failed, failed_with, fenced, is_fenced, missing};
use super::letter;
use super::transaction::KafkaTransactions;

/// A record that was not written after so long never will be: the stream fails and writes it again.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether there is room, or whether all is written.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// A record of a dead letter is longer than the record that it is about.
pub(super) const RECORD_BYTES_MAX: u32 = 2 << 20;

/// Writes records to topics of a cluster.
pub struct KafkaSink(Delivery);

enum Delivery {
    AtLeastOnce(Writer),
    ExactlyOnce(KafkaTransactions),
}

impl KafkaSink {
    /// Records are visible at once; what is written again is there twice.
    pub fn at_least_once(connection: &KafkaConnection) -> Result<Self> {
        Ok(Self(Delivery::AtLeastOnce(Writer::open(connection, &mut producer_config(connection))?)))
    }

    /// Records are visible once the transaction is committed, which the handle does.
    pub fn exactly_once(transactions: KafkaTransactions) -> Self {
        Self(Delivery::ExactlyOnce(transactions))
    }
}

impl Sink<Record> for KafkaSink {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        match &mut self.0 {
            Delivery::AtLeastOnce(writer) => writer.write(output),
            Delivery::ExactlyOnce(transactions) => transactions.write(output),
        }
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        match &mut self.0 {
            Delivery::AtLeastOnce(writer) => writer.flush(),
            Delivery::ExactlyOnce(transactions) => transactions.flush(),
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
        let now = SystemClock.now();
        for record in records {
            self.know(&record.topic)?;
            match letter::mended(record, now) {
                Some(letter) => self.send(&letter)?,
                None => self.send(record)?,
            }
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

    /// Whether a record was refused, or none can be written any more.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = self.fatal("write records to", &self.brokers) {
            return Err(error);
        }
        match &*self.producer.context().first.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(refused) => Err(failed_with("write", &refused.what, refused.code)),
        }
    }

    /// Why the producer writes nothing any more, which the client notices beside what it is asked.
    fn fatal(&self, operation: &'static str, object: &str) -> Option<Error> {
        let (code, words) = self.producer.client().fatal_error()?;
        match is_fenced(code) {
            true => Some(fenced(operation, object)),
            false => Some(failed_with(operation, format!("{object}: {words}"), code)),
        }
    }

    /// Takes back what was not written yet: nobody is told that it never will be.
    pub fn purge(&self) {
        let takes_back = &self.producer.context().takes_back;
        takes_back.store(true, Ordering::Relaxed);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + DELIVERY_MAX;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(LOOK_EVERY);
        }
        takes_back.store(false, Ordering::Relaxed);
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
                    let what = format!("{} of {} ms", described(&record.topic, bytes), record.timestamp);
                    return Err(self.fatal("write", &what).unwrap_or_else(|| failed("write", what, error)));
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
        self.producer.poll(LOOK_EVERY);
        let refusal = self.producer.context().refusal();
        let metadata = refusal.judge("list the topics of", &self.brokers, metadata)?;
        self.topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
        if self.topics.contains(topic) { Ok(()) } else { Err(missing("write to topic", topic)) }
    }
}

/// A record, for people: the value may be anybody's secret.
fn described(topic: &str, bytes: usize) -> String {
    format!("a record of {bytes} bytes to topic {topic}")
}

/// Keeps the first record that was not written.
#[derive(Default)]
pub(super) struct Deliveries {
    first: Mutex<Option<Unwritten>>,
    /// What is purged was taken back.
    takes_back: AtomicBool,
    refusal: Refusal,
}

struct Unwritten {
    what: String,
    code: RDKafkaErrorCode,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.refusal.hear(&error, reason);
    }
}

impl Refused for Deliveries {
    fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        let Err((error, message)) = delivered else { return };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let is_purged = matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight);
        if is_purged && self.takes_back.load(Ordering::Relaxed) {
            return;
        }
        let bytes = message.payload().map_or(0, <[u8]>::len);
        let what = described(message.topic(), bytes);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Unwritten { what, code });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use rdkafka::bindings as native;
    use rdkafka::types::RDKafkaRespErr;
    use tamis_model::Kind;

    use super::*;

    /// A writer whose record waits for a broker, when the client comes upon an error after which it writes nothing.
    fn failing(code: RDKafkaRespErr) -> Writer {
        let connection = KafkaConnection::plain("127.0.0.1:1");
        let writer = Writer::open(&connection, &mut producer_config(&connection)).unwrap();
        writer.send(&record()).unwrap();
        let words = CString::new("as the test wants it").unwrap();
        // SAFETY: the client is alive, and the words end in a zero.
        unsafe { native::rd_kafka_test_fatal_error(writer.producer.client().native_ptr(), code, words.as_ptr()) };
        writer
    }

    fn record() -> Record {
        Record {
            topic: "payments".to_owned(),
            partition: None,
            timestamp: 5,
            key: None,
            value: Some(b"1".to_vec()),
            value_is_json: true,
            headers: Vec::new(),
        }
    }

    #[test]
    fn what_a_client_throws_away_was_not_written() {
        let check = |code, kind, words: &str| {
            let mut writer = failing(code);
            for error in [writer.flush().unwrap_err(), writer.send(&record()).unwrap_err(), writer.flush().unwrap_err()]
            {
                assert_eq!(error.kind(), kind, "{}", error.chain());
                assert!(error.chain().contains(words), "{}", error.chain());
            }
        };
        check(RDKafkaRespErr::RD_KAFKA_RESP_ERR__FENCED, Kind::Conflict, "another host has taken over");
        let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        check(lost, Kind::Outage, "as the test wants it");
    }

    #[test]
    fn a_record_that_is_purged_is_lost_unless_it_is_taken_back() {
        let purged = |is_taken_back: bool| {
            let connection = KafkaConnection::plain("127.0.0.1:1");
            let mut writer = Writer::open(&connection, &mut producer_config(&connection)).unwrap();
            writer.send(&record()).unwrap();
            match is_taken_back {
                true => writer.purge(),
                false => writer.producer.purge(PurgeConfig::default().queue().inflight()),
            }
            writer.flush()
        };
        purged(true).unwrap();
        let error = purged(false).unwrap_err();
        assert!(error.chain().contains("a record of 1 bytes to topic payments"), "{}", error.chain());
    }

    #[test]
    fn a_refusal_is_why_nobody_answers_until_somebody_does() {
        let refusal = Refusal::default();
        let unanswered = || Err::<(), _>(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure));
        let check = |code, reason: &str, expected: Kind| {
            refusal.hear(&KafkaError::Global(code), reason);
            assert_eq!(refusal.judge("ask", "a", unanswered()).unwrap_err().kind(), expected, "{reason}");
        };
        check(RDKafkaErrorCode::Authentication, "Authentication failed: Invalid username or password", Kind::Invalid);
        check(RDKafkaErrorCode::SSL, "certificate verify failed", Kind::Invalid);
        check(RDKafkaErrorCode::SSL, "SSL handshake failed: Disconnected", Kind::Outage);
        check(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down", Kind::Outage);
        refusal.hear(&KafkaError::Global(RDKafkaErrorCode::Authentication), "not yet known");
        refusal.judge("ask", "a", Ok(())).unwrap();
        assert!(refusal.judge("ask", "a", unanswered()).unwrap_err().can_retry());
    }
}
