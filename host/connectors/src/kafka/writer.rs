//! A producer that says what became of its records.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use tamis_engine::{Clock, SystemClock};
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use super::connection::{KafkaConnection, REQUEST_MAX};
use super::deliveries::Deliveries;
use super::errors::{Refused, failed, failed_with, fenced, is_fenced, missing};
use super::letter;
use super::sink::DELIVERY_MAX;

/// Between two looks whether there is room, or whether all is written.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Writes records, and waits for them.
pub(super) struct Writer {
    link: Arc<Link>,
    /// What is written now.
    lot: Arc<Lot>,
    /// The topics that are known to be there.
    topics: BTreeSet<String>,
}

/// The way to the brokers.
struct Link {
    producer: BaseProducer<Deliveries>,
    brokers: String,
}

/// Records that are waited for together. Each that is on its way holds it.
#[derive(Default)]
pub(super) struct Lot;

impl Writer {
    pub fn open(connection: &KafkaConnection, config: &mut ClientConfig) -> Result<Self> {
        let brokers = format!("Kafka at {}", connection.bootstrap_servers);
        let producer = config.create_with_context(Deliveries::default());
        let producer = producer.map_err(|error| failed("connect to", &brokers, error))?;
        Ok(Self { link: Arc::new(Link { producer, brokers }), lot: Arc::default(), topics: BTreeSet::new() })
    }

    /// Hands records to the client; waits where it has no room.
    pub fn write(&mut self, records: &[Record]) -> Result<()> {
        self.link.check()?;
        let now = SystemClock.now();
        for record in records {
            self.know(&record.topic)?;
            match letter::mended(record, now) {
                Some(letter) => self.send(&letter)?,
                None => self.send(record)?,
            }
        }
        self.link.producer.poll(Duration::ZERO);
        self.link.check()
    }

    /// Waits until everything is written.
    pub fn flush(&mut self) -> Result<()> {
        self.link.wait(|| self.link.producer.in_flight_count() == 0)
    }

    /// The same for what was written so far, wherever what is returned is called, while more is written.
    pub fn begin_flush(&mut self) -> impl FnOnce() -> Result<()> + Send + use<> {
        let (link, mut lot) = (Arc::clone(&self.link), mem::take(&mut self.lot));
        move || link.wait(|| Arc::get_mut(&mut lot).is_some())
    }

    /// The client.
    pub fn producer(&self) -> &BaseProducer<Deliveries> {
        &self.link.producer
    }

    /// Takes back what was not written yet: nobody is told that it never will be.
    pub fn purge(&self) {
        let producer = self.producer();
        producer.context().take_back(true);
        producer.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + DELIVERY_MAX;
        while producer.in_flight_count() > 0 && Instant::now() < deadline {
            producer.poll(LOOK_EVERY);
        }
        producer.context().take_back(false);
    }

    /// Fails when the brokers do not let it in, and says why: what else is asked of them waits for long before it does so.
    pub fn admitted(&self) -> Result<()> {
        self.metadata().map(drop)
    }

    fn metadata(&self) -> Result<Metadata> {
        let Link { producer, brokers } = &*self.link;
        let ask = |max| producer.client().fetch_metadata(None, max);
        let hear = || producer.poll(LOOK_EVERY);
        producer.context().refusal().judge("list the topics of", brokers, ask, hear)
    }

    fn send(&self, record: &Record) -> Result<()> {
        let link = &*self.link;
        let mut message = BaseRecord::with_opaque_to(&record.topic, Arc::clone(&self.lot)).timestamp(record.timestamp);
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
            match link.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent))
                    if Instant::now() < deadline =>
                {
                    message = unsent;
                    link.producer.poll(LOOK_EVERY);
                    link.check()?;
                }
                Err((error, _)) => {
                    link.check()?;
                    let bytes = record.value.as_ref().map_or(0, Vec::len);
                    let what = format!("{} of {} ms", described(&record.topic, bytes), record.timestamp);
                    return Err(failed("write", what, error));
                }
            }
        }
    }

    /// That a topic is there is known before the first record goes to it: a broker may be set to make what it is asked for.
    fn know(&mut self, topic: &str) -> Result<()> {
        if self.topics.contains(topic) {
            return Ok(());
        }
        let metadata = self.metadata()?;
        self.topics = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
        if self.topics.contains(topic) { Ok(()) } else { Err(missing("write to topic", topic)) }
    }
}

impl Link {
    /// Waits until `is_written`.
    fn wait(&self, mut is_written: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + DELIVERY_MAX + REQUEST_MAX;
        while !is_written() {
            self.check()?;
            if Instant::now() > deadline {
                return Err(failed_with("write records to", &self.brokers, RDKafkaErrorCode::OperationTimedOut));
            }
            self.producer.poll(LOOK_EVERY);
        }
        self.check()
    }

    /// Whether a record was refused, or none can be written any more.
    fn check(&self) -> Result<()> {
        let fatal = self.producer.client().fatal_error();
        if matches!(fatal, Some((RDKafkaErrorCode::GaplessGuarantee, _))) {
            // Behind a record that was refused nothing is written. Which one it was, and why, its delivery says, and it comes at once; but
            // those of what was thrown away behind it may come before.
            let deadline = Instant::now() + REQUEST_MAX;
            while !self.producer.context().knows_why() && Instant::now() < deadline {
                self.producer.poll(LOOK_EVERY);
            }
        }
        match (fatal, self.refused()) {
            (Some((code, _)), _) if is_fenced(code) => Err(fenced("write records to", &self.brokers)),
            (Some((code, words)), refused) if code != RDKafkaErrorCode::GaplessGuarantee || refused.is_none() => {
                Err(failed_with("write records to", format!("{}: {words}", self.brokers), code))
            }
            (_, Some(refused)) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Why the first record that was not written was not.
    fn refused(&self) -> Option<Error> {
        self.producer.context().refused()
    }
}

/// A record, for people: the value may be anybody's secret.
pub(super) fn described(topic: &str, bytes: usize) -> String {
    format!("a record of {bytes} bytes to topic {topic}")
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use rdkafka::bindings as native;
    use rdkafka::types::RDKafkaRespErr;
    use tamis_model::Kind;

    use super::super::sink::gapless_config;
    use super::*;

    /// A writer whose record waits for a broker, when the client comes upon an error after which it writes nothing.
    fn failing(code: RDKafkaRespErr) -> Writer {
        let connection = KafkaConnection::plain("127.0.0.1:1");
        let writer = Writer::open(&connection, &mut gapless_config(&connection)).unwrap();
        writer.send(&record()).unwrap();
        let words = CString::new("as the test wants it").unwrap();
        // SAFETY: the client is alive, and the words end in a zero.
        unsafe { native::rd_kafka_test_fatal_error(writer.producer().client().native_ptr(), code, words.as_ptr()) };
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
            let mut writer = Writer::open(&connection, &mut gapless_config(&connection)).unwrap();
            writer.send(&record()).unwrap();
            match is_taken_back {
                true => writer.purge(),
                false => writer.producer().purge(PurgeConfig::default().queue().inflight()),
            }
            writer.flush()
        };
        purged(true).unwrap();
        let error = purged(false).unwrap_err();
        assert!(error.chain().contains("a record of 1 bytes to topic payments"), "{}", error.chain());
    }

    #[test]
    fn what_is_written_later_is_not_waited_for() {
        let connection = KafkaConnection::plain("127.0.0.1:1");
        let mut writer = Writer::open(&connection, &mut gapless_config(&connection)).unwrap();
        let nothing = writer.begin_flush();
        writer.send(&record()).unwrap();
        nothing().unwrap();
        let first = writer.begin_flush();
        writer.begin_flush()().unwrap();
        writer.send(&record()).unwrap();
        let waiting = std::thread::spawn(first);
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished(), "nobody has it");
        writer.producer().purge(PurgeConfig::default().queue().inflight());
        assert!(waiting.join().unwrap().is_err(), "and nobody ever will");
    }
}
