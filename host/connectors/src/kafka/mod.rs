//! Topics of a Kafka cluster: [`KafkaSource`] reads, [`KafkaSink`] writes, [`KafkaTopics`] makes and shows them.
//!
//! Everything here blocks, bounded in time, and belongs on the stream's own thread or on one for blocking work. A topic is never made by
//! accident: one that is missing is an error that says how it is made.

mod changelog;
mod connection;
mod errors;
mod membership;
mod queue;
mod sink;
mod source;
mod topics;
mod transaction;

pub use changelog::KafkaChangelog;
pub use connection::{KafkaConnection, Sasl, SaslMechanism, Tls};
pub use sink::KafkaSink;
pub use source::{KafkaGroup, KafkaSource, KafkaSourceSettings, Membership, PartitionLag};
pub use topics::{KafkaTopics, TopicSettings, TopicState};
pub use transaction::KafkaTransactions;
