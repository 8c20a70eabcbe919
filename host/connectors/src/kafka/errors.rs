//! What went wrong at the cluster, and whether a retry can help.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tamis_model::{Error, Kind};

use super::connection::{ADMISSION_MAX, REQUEST_MAX};

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
        | Code::SaslAuthenticationFailed
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

/// Somebody else writes under the name of the transactions now.
pub(super) fn fenced(operation: &'static str, object: impl fmt::Display) -> Error {
    Error::new(Kind::Conflict, operation, object).because("another host has taken over under its name")
}

/// Whether somebody else writes under the same name.
pub(super) fn is_fenced(code: RDKafkaErrorCode) -> bool {
    kind(code) == Kind::Conflict
}

/// Why brokers do not let a client in. They say it beside what they are asked, and to that the client gets no answer.
#[derive(Default)]
pub(super) struct Refusal(Mutex<Option<String>>);

impl Refusal {
    /// Takes what a client says beside its answers.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        tracing::debug!("Kafka: {error}: {reason}");
        let code = error.rdkafka_error_code();
        // A broker that goes away in the middle of it has refused nobody.
        let has_broken = ["Disconnected", "Connection reset", "Connection closed", "timed out"];
        if matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL))
            && !has_broken.iter().any(|words| reason.contains(words))
        {
            *self.lock() = Some(reason.to_owned());
        }
    }

    /// What comes of a question that is asked for some time at most. A client that is not let in says why beside its answers, where `hear`
    /// listens; whoever gets an answer was let in.
    pub fn judge<T>(
        &self,
        operation: &'static str,
        object: impl fmt::Display,
        ask: impl Fn(Duration) -> Result<T, KafkaError>,
        hear: impl Fn(),
    ) -> tamis_model::Result<T> {
        let mut answer = ask(ADMISSION_MAX).inspect_err(|_| hear());
        if answer.is_err() && self.lock().is_none() {
            answer = ask(REQUEST_MAX - ADMISSION_MAX).inspect_err(|_| hear());
        }
        match (answer, self.lock().take()) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Some(reason)) => Err(Error::invalid(operation, object, reason)),
            (Err(error), None) => Err(failed(operation, object, error)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when the client was not let in.
    pub fn check(&self, operation: &'static str, object: impl fmt::Display) -> tamis_model::Result<()> {
        self.lock().take().map_or(Ok(()), |reason| Err(Error::invalid(operation, object, reason)))
    }
}

/// A context that remembers why its client is not let in.
pub(super) trait Refused {
    /// Why.
    fn refusal(&self) -> &Refusal;
}

/// The topics that are not there, and how they are made.
pub(super) fn missing(operation: &'static str, topics: &str) -> Error {
    Error::new(Kind::Missing, operation, topics).because("no broker has it: `tamis topics create` makes it")
}
