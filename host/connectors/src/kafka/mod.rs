//! Topics of a Kafka cluster: [`KafkaSource`] reads, [`KafkaSink`] writes, [`KafkaTopics`] makes and shows them; hosts share their partitions as
//! members of a group ([`KafkaMember`]).
//!
//! Everything here blocks, bounded in time, and belongs on the stream's own thread or on one for blocking work. A topic is never made by
//! accident: one that is missing is an error that says how it is made.

mod changelog;
mod client;
mod connection;
mod deliveries;
mod errors;
mod letter;
mod look;
mod member;
mod queue;
mod settings;
mod sink;
mod source;
mod stretches;
mod taken;
mod topics;
mod transaction;
mod writer;

pub use changelog::KafkaChangelog;
pub(crate) use letter::{KEY_BYTES, TIMESTAMP, VALUE_BYTES};

pub use connection::{KafkaConnection, Sasl, SaslMechanism, Tls};
pub use member::{Asked, KafkaMember, KafkaMemberSettings};
pub use settings::{Extent, KafkaSourceSettings, Share, Stretches};
pub use sink::KafkaSink;
pub use source::{KafkaGroup, KafkaSource};
pub use topics::{KafkaTopics, TopicSettings, TopicState};
pub use transaction::KafkaTransactions;
