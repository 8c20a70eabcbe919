//! Output and positions in one transaction.
//!
//! One producer writes what a stream writes: alerts, dead letters, and what a checkpoint store adds. The transaction begins with the first record,
//! and is committed together with the positions that it came from. A process that dies leaves it open; the next one with the same name
//! aborts it, and fences whoever still writes under that name.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::{Error, Kind, Result};

use super::connection::{KafkaConnection, REQUEST_MAX};
use super::errors::{Refused as _, failed, fenced, is_fenced};
use super::sink::{DELIVERY_MAX, producer_config};
use super::source::KafkaGroup;
use super::writer::Writer;

/// After so long a connection that is not used is closed. When the broker dies that coordinates the group, the client waits for a connection to it
/// (librdkafka's issue 5456, whatever time it is given), and asks for another coordinator only when some connection opens or closes: here one does.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long one step of a commit is tried again.
const STEP_MAX: Duration = Duration::from_secs(30);

/// The transactions of one producer. Clones are the same one.
#[derive(Clone)]
pub struct KafkaTransactions(Arc<Mutex<Transactions>>);

struct Transactions {
    writer: Writer,
    /// The name that fences: of two that use it, only the later one can write.
    id: String,
    /// How long the brokers leave a transaction open, counted from its beginning.
    open_max: Duration,
    /// When the one at work began.
    began: Option<Instant>,
    /// How it failed; nothing can be written after that.
    broken: Option<Kind>,
}

impl KafkaTransactions {
    /// Aborts what an earlier process with this id left open, and keeps it from writing. A transaction that is older than `open_max` is
    /// aborted by the brokers: so long at most, what a host left open that died for good keeps back all that is committed behind it.
    pub fn open(connection: &KafkaConnection, id: &str, open_max: Duration) -> Result<Self> {
        let mut config = producer_config(connection);
        config.set("transactional.id", id);
        config.set("transaction.timeout.ms", open_max.as_millis().to_string());
        config.set("message.timeout.ms", DELIVERY_MAX.min(open_max).as_millis().to_string());
        config.set("connections.max.idle.ms", IDLE_MAX.as_millis().to_string());
        let writer = Writer::open(connection, &mut config)?;
        writer.admitted()?;
        let transactions = Transactions { writer, id: id.to_owned(), open_max, began: None, broken: None };
        transactions.step("take over", || transactions.writer.producer().init_transactions(REQUEST_MAX))?;
        Ok(Self(Arc::new(Mutex::new(transactions))))
    }

    /// Writes records in the transaction at work, or in a new one.
    pub fn write(&self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.lock().attempt(|transactions| {
            transactions.begin()?;
            transactions.writer.write(records)
        })
    }

    /// Waits until what was written is at the brokers; it is not visible yet.
    pub fn flush(&self) -> Result<()> {
        self.lock().attempt(|transactions| transactions.writer.flush())
    }

    /// Makes what was written visible and the positions the group's, both or nothing. After an error nobody knows which, until a
    /// new producer is opened: then the group's positions say.
    pub fn commit_with(&self, positions: &Positions, group: &KafkaGroup) -> Result<()> {
        let metadata = group.metadata()?;
        let mut offsets = TopicPartitionList::new();
        for (partition, next) in group.own(positions) {
            offsets
                .add_partition_offset(&partition.topic, partition.number.cast_signed(), Offset::Offset(next))
                .map_err(|error| failed("commit the position of", partition, error))?;
        }
        self.lock().attempt(|transactions| {
            transactions.begin()?;
            transactions.writer.flush()?;
            if offsets.count() > 0 {
                transactions.step("commit the positions of", || {
                    transactions.writer.producer().send_offsets_to_transaction(&offsets, &metadata, REQUEST_MAX)
                })?;
            }
            transactions.commit()
        })
    }

    /// Makes what was written visible, all of it or nothing.
    pub fn commit(&self) -> Result<()> {
        self.lock().attempt(|transactions| {
            transactions.writer.flush()?;
            if transactions.began.is_some() { transactions.commit() } else { Ok(()) }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Transactions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transactions {
    /// Does something that leaves the transaction broken when it fails: it is aborted as far as that is possible.
    fn attempt<T>(&mut self, what: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(kind) = self.broken {
            return Err(Error::new(kind, "go on with", self.object()).because("it has failed before"));
        }
        let done =
            what(self).map_err(|error| self.expired().filter(|_| error.kind() == Kind::Conflict).unwrap_or(error));
        if let Err(error) = &done {
            self.broken = Some(error.kind());
            if error.kind() != Kind::Conflict
                && let Err(also) = self.abort()
            {
                tracing::debug!("{}", also.chain());
            }
        }
        done
    }

    /// Whether the brokers have aborted the transaction by now. They fence its producer then, as another host would.
    fn expired(&self) -> Option<Error> {
        let age = self.began.map(|began| began.elapsed()).filter(|age| *age >= self.open_max)?;
        let reason =
            format!("it was open for {} s, and brokers end one after {} s", age.as_secs(), self.open_max.as_secs());
        Some(Error::new(Kind::Outage, "commit", self.object()).because(reason))
    }

    fn begin(&mut self) -> Result<()> {
        if self.began.is_none() {
            self.step("begin", || self.writer.producer().begin_transaction())?;
            self.began = Some(Instant::now());
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.step("commit", || self.writer.producer().commit_transaction(REQUEST_MAX))?;
        self.began = None;
        Ok(())
    }

    fn abort(&mut self) -> Result<()> {
        if self.began.take().is_none() {
            return Ok(());
        }
        // Nothing may be on its way when it is aborted.
        self.writer.purge();
        self.step("abort", || self.writer.producer().abort_transaction(REQUEST_MAX))
    }

    /// Tries one step again while that can help and there is time.
    fn step(&self, operation: &'static str, step: impl Fn() -> Result<(), KafkaError>) -> Result<()> {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            let Err(error) = step() else { return Ok(()) };
            let can_retry = match &error {
                KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal(),
                _ => false,
            };
            if !can_retry || Instant::now() > deadline {
                return Err(self.failed(operation, error));
            }
            self.admitted(operation)?;
        }
    }

    /// Fails when the brokers do not let the producer in, which they say beside what they are asked.
    fn admitted(&self, operation: &'static str) -> Result<()> {
        let producer = self.writer.producer();
        producer.poll(Duration::from_millis(1));
        producer.context().refusal().check(operation, self.object())
    }

    fn failed(&self, operation: &'static str, error: KafkaError) -> Error {
        if let Err(refused) = self.admitted(operation) {
            return refused;
        }
        let object = self.object();
        match error.rdkafka_error_code().is_some_and(is_fenced) {
            true => fenced(operation, object),
            false => failed(operation, object, error),
        }
    }

    fn object(&self) -> String {
        format!("the transactions of {}", self.id)
    }
}
