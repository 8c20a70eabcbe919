//! What went wrong at the cluster, and whether a retry can help.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tamis_model::{Error, Kind};

/// `operation` on `object` failed.
pub(super) fn failed(operation: &'static str, object: impl fmt::Display, error: KafkaError) -> Error {
    let kind = match &error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => Kind::Invalid,
        error => error.rdkafka_error_code().map_or(Kind::Outage, kind),
    };
    Error::new(kind, operation, object).because(error)
}

/// The same with a code alone.
pub(super) fn failed_with(operation: &'static str, object: impl fmt::Display, code: RDKafkaErrorCode) -> Error {
    Error::new(kind(code), operation, object).because(code)
}

/// Whether somebody has to change something. What is not known may pass.
fn kind(code: RDKafkaErrorCode) -> Kind {
    use RDKafkaErrorCode as Code;
    match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Kind::Missing,
        Code::OffsetOutOfRange | Code::AutoOffsetReset => Kind::Missing,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => Kind::Conflict,
        Code::MessageSizeTooLarge
        | Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::UnsupportedSASLMechanism
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation => Kind::Invalid,
        _ => Kind::Outage,
    }
}

/// The topics that are not there, and how they are made.
pub(super) fn missing(operation: &'static str, topics: &str) -> Error {
    Error::new(Kind::Missing, operation, topics).because("no broker has it: `tamis topics create` makes it")
}
