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
        let says_any = |words: &[&str]| words.iter().any(|words| reason.contains(words));
        let is_refused = match error.rdkafka_error_code() {
            // A broker that goes away in the middle of it has refused nobody.
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                !says_any(&["Disconnected", "Connection reset", "Connection closed", "timed out"])
            }
            // In TLS 1.3 a client has shaken hands before the broker has looked at its certificate: it is told afterwards.
            Some(RDKafkaErrorCode::BrokerTransportFailure) => {
                says_any(&["SSL alert"]) && says_any(&["certificate", "unknown ca", "access denied"])
            }
            _ => false,
        };
        if is_refused {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_refusal_is_why_nobody_answers_until_somebody_does() {
        let refusal = Refusal::default();
        let unanswered = || Err::<(), _>(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure));
        let check = |code, reason: &str, expected: Kind, questions: u32| {
            let asked = Cell::new(0);
            let ask = |_| {
                asked.set(asked.get() + 1);
                unanswered()
            };
            let hear = || refusal.hear(&KafkaError::Global(code), reason);
            let error = refusal.judge("ask", "a", ask, hear).unwrap_err();
            assert_eq!((error.kind(), asked.get()), (expected, questions), "{reason}");
        };
        let wrong = "Authentication failed: Invalid username or password";
        check(RDKafkaErrorCode::Authentication, wrong, Kind::Invalid, 1);
        check(RDKafkaErrorCode::SSL, "certificate verify failed", Kind::Invalid, 1);
        check(RDKafkaErrorCode::SSL, "SSL handshake failed: Disconnected", Kind::Outage, 2);
        let afterwards = RDKafkaErrorCode::BrokerTransportFailure;
        let told =
            "Receive failed: error:0A000416:SSL routines::ssl/tls alert certificate unknown: SSL alert number 46";
        check(afterwards, told, Kind::Invalid, 1);
        check(afterwards, &told.replace("certificate unknown", "internal error"), Kind::Outage, 2);
        check(afterwards, "Receive failed: Connection reset by peer", Kind::Outage, 2);
        check(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down", Kind::Outage, 2);
        refusal.hear(&KafkaError::Global(RDKafkaErrorCode::Authentication), "not yet known");
        refusal.judge("ask", "a", |_| Ok(()), || ()).unwrap();
        assert!(refusal.judge("ask", "a", |_| unanswered(), || ()).unwrap_err().can_retry());
    }
}
