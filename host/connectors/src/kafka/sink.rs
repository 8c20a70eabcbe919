//! Writing records to topics.
//!
//! Every record is written by an idempotent producer, so that a retry of the client's own never makes two of one. What a stream writes
//! again after a failure is there twice, unless it writes in transactions ([`KafkaSink::exactly_once`]).

use std::time::Duration;

use rdkafka::config::ClientConfig;
use tamis_engine::{Sink, Staging};
use tamis_model::Result;
use tamis_model::record::Record;

use super::connection::KafkaConnection;
use super::transaction::KafkaTransactions;
use super::writer::Writer;

/// A record that was not written after so long never will be: the stream fails and writes it again.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(30);
/// How long the client gathers records before it sends some: as long as it takes to hand a batch over. While the brokers are busy more are
/// gathered anyway.
const LINGER_MS: &str = "0.1";
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
    ///
    /// What a partition has of what was written is a beginning of it, without a gap: whoever writes again from where a record failed puts
    /// nothing behind what came after it. An exchange between hosts relies on that.
    pub fn at_least_once(connection: &KafkaConnection) -> Result<Self> {
        Ok(Self(Delivery::AtLeastOnce(Writer::open(connection, &mut gapless_config(connection))?)))
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

    fn begin_stage(&mut self) -> Result<Staging> {
        match &mut self.0 {
            Delivery::AtLeastOnce(writer) => {
                let flush = writer.begin_flush();
                Ok(Box::new(move || flush().map(|()| serde_json::Value::Null)))
            }
            Delivery::ExactlyOnce(_) => {
                let staged = self.stage()?;
                Ok(Box::new(|| Ok(staged)))
            }
        }
    }

    /// Nothing is left to do: what is staged is written, or is committed together with the checkpoint that names it.
    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// What a producer is made with that writes nothing behind a record that it could not write. Left alone the client goes on behind one that
/// was refused or has waited for too long; now the first is the end of it, and the other is what [`Writer`] looks at itself.
pub(super) fn gapless_config(connection: &KafkaConnection) -> ClientConfig {
    let mut config = producer_config(connection);
    config.set("enable.gapless.guarantee", "true").set("message.timeout.ms", "0");
    config
}

/// What every producer is made with.
pub(super) fn producer_config(connection: &KafkaConnection) -> ClientConfig {
    let mut config = connection.config();
    config.set("enable.idempotence", "true").set("acks", "all");
    config.set("compression.type", "lz4").set("linger.ms", LINGER_MS);
    // Kafka's own default, so that a key is in the same partition whoever writes it.
    config.set("partitioner", "murmur2_random");
    config.set("message.max.bytes", RECORD_BYTES_MAX.to_string());
    config.set("queue.buffering.max.kbytes", "65536");
    config
}
