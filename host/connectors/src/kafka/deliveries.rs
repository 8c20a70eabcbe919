//! What became of records that were handed to the client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Message};
use tamis_model::Error;

use super::connection::log;
use super::errors::{Refusal, Refused, failed_with};
use super::writer::{Lot, described};

/// Keeps the first record that was not written; one that was thrown away only as long as there is no other.
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

impl Unwritten {
    /// Whether the client has thrown it away: why it did so, another one says.
    fn is_purged(&self) -> bool {
        matches!(self.code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
    }
}

impl Deliveries {
    fn note(&self, unwritten: Unwritten) {
        if unwritten.is_purged() && self.takes_back.load(Ordering::Relaxed) {
            return;
        }
        let mut first = self.first();
        if first.as_ref().is_none_or(|first| first.is_purged() && !unwritten.is_purged()) {
            *first = Some(unwritten);
        }
    }

    /// Why the first record that was not written was not.
    pub fn refused(&self) -> Option<Error> {
        self.first().as_ref().map(|unwritten| failed_with("write", &unwritten.what, unwritten.code))
    }

    /// Whether what is thrown away from now on was taken back: nobody is told of it.
    pub fn take_back(&self, takes_back: bool) {
        self.takes_back.store(takes_back, Ordering::Relaxed);
    }

    /// Whether it is known why a record was not written.
    pub fn knows_why(&self) -> bool {
        self.first().as_ref().is_some_and(|first| !first.is_purged())
    }

    fn first(&self) -> MutexGuard<'_, Option<Unwritten>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    type DeliveryOpaque = Arc<Lot>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: Arc<Lot>) {
        let Err((error, message)) = delivered else { return };
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        let bytes = message.payload().map_or(0, <[u8]>::len);
        self.note(Unwritten { what: described(message.topic(), bytes), code });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_counts_and_not_what_was_thrown_away_for_it() {
        let check = |codes: &[RDKafkaErrorCode], kept: RDKafkaErrorCode, knows_why: bool| {
            let deliveries = Deliveries::default();
            codes.iter().for_each(|code| deliveries.note(Unwritten { what: String::new(), code: *code }));
            assert_eq!(deliveries.knows_why(), knows_why, "{codes:?}");
            assert_eq!(deliveries.first().as_ref().map(|first| first.code), Some(kept), "{codes:?}");
        };
        let (refused, late) = (RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::MessageTimedOut);
        let (queued, sent) = (RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::PurgeInflight);
        check(&[queued, sent], queued, false);
        check(&[queued, refused], refused, true);
        check(&[refused, sent, late], refused, true);
    }
}
