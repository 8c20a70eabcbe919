//! The answers that were given last to requests with a key: whoever asks again gets the same one, whatever has crashed meanwhile.

use hashbrown::HashMap;

use super::{Decision, Ticket};
use crate::checkpoint::KeyedState;
use crate::ring::{self, Ring};

/// Of how many records it is known what came of them: enough for those that came in the seconds before a crash.
const RECORDS_MAX: usize = 1 << 13;
/// A longer answer is not remembered: a hundred rules say 15 KiB when none of them fires, and a record of a changelog has room for a megabyte.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Of a record its request, its place there, what tells the request from others under the same key, and the decision as JSON.
type Answer = Box<[u8]>;
/// Bytes before the decision.
const HEAD_BYTES: usize = 16 + 4 + 16;

/// The answers that come back from a checkpoint.
pub(crate) type Restoring = ring::Restoring<Answer, RECORDS_MAX>;

/// The answers that were given last.
#[derive(Default)]
pub(crate) struct Known {
    ring: Ring<Answer, RECORDS_MAX>,
    /// Which of them is that of a request's record.
    by_record: HashMap<(u128, u32), u64>,
}

impl Known {
    /// Those that came back. None when some are missing, or are no answers.
    pub fn restored(restoring: Restoring) -> Option<Self> {
        let ring = restoring.finish()?;
        let mut by_record = HashMap::new();
        for (n, answer) in ring.iter() {
            let (ticket, _) = read(answer)?;
            by_record.insert(ticket.place(), n);
        }
        Some(Self { ring, by_record })
    }

    /// Whether it is known what came of a record.
    pub fn has(&self, ticket: Ticket) -> bool {
        self.by_record.contains_key(&ticket.place())
    }

    /// What came of a request's record, and what tells the request from others under the same key.
    pub fn find(&self, request: u128, record: u32) -> Option<(Option<u128>, Decision)> {
        let n = self.by_record.get(&(request, record))?;
        let (ticket, decision) = read(self.ring.get(*n))?;
        Some((ticket.body, decision))
    }

    /// Remembers what came of the record of a request with a key; the first word stands. One that is too long is forgotten at once.
    pub fn insert(&mut self, ticket: Ticket, decision: &Decision) {
        let Some(body) = ticket.body else { return };
        if self.has(ticket) {
            return;
        }
        let mut answer = Vec::with_capacity(1024);
        answer.extend_from_slice(&ticket.request.to_be_bytes());
        answer.extend_from_slice(&ticket.record.to_be_bytes());
        answer.extend_from_slice(&body.to_be_bytes());
        serde_json::to_writer(&mut answer, decision).expect("its maps have texts as keys");
        if answer.len() > ANSWER_BYTES_MAX {
            return;
        }
        self.by_record.insert(ticket.place(), self.ring.next());
        if let Some((oldest, _)) = self.ring.push(answer.into()).as_deref().and_then(head) {
            self.by_record.remove(&oldest.place());
        }
    }

    /// What checkpoints keep.
    pub fn state(&mut self) -> &mut dyn KeyedState {
        &mut self.ring
    }
}

/// Whose answer it is, and the decision's bytes.
fn head(answer: &[u8]) -> Option<(Ticket, &[u8])> {
    let (head, decision) = answer.split_first_chunk::<HEAD_BYTES>()?;
    let (request, rest) = head.split_first_chunk()?;
    let (record, body) = rest.split_first_chunk()?;
    let body = u128::from_be_bytes(body.try_into().ok()?);
    let (request, record) = (u128::from_be_bytes(*request), u32::from_be_bytes(*record));
    Some((Ticket { request, record, body: Some(body) }, decision))
}

fn read(answer: &[u8]) -> Option<(Ticket, Decision)> {
    let (ticket, decision) = head(answer)?;
    Some((ticket, serde_json::from_slice(decision).ok()?))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use tamis_model::position::Partition;

    use super::*;
    use crate::decisions::Outcome;

    fn decision(offset: i64, message: &str) -> Decision {
        let outcome = Outcome::Refused { reason: Cow::Borrowed("wrong_type"), message: message.to_owned() };
        let partition = Partition { topic: "payments".to_owned(), number: 0 };
        Decision { partition, offset, revision: 1, outcome }
    }

    fn ticket(record: usize) -> Ticket {
        Ticket { request: 7, record: record as u32, body: Some(1) }
    }

    #[test]
    fn the_oldest_are_forgotten_and_what_is_too_long_is_never_known() {
        let mut known = Known::default();
        let long = "x".repeat(ANSWER_BYTES_MAX);
        known.insert(ticket(0), &decision(0, &long));
        assert!(!known.has(ticket(0)) && known.find(7, 0).is_none());
        for record in 0..=RECORDS_MAX {
            known.insert(ticket(record), &decision(record as i64, &long[..100]));
            known.insert(ticket(record), &decision(-1, "the first word stands"));
        }
        known.insert(Ticket { body: None, ..ticket(RECORDS_MAX + 1) }, &decision(0, ""));
        let has = |known: &Known, record| known.find(7, record as u32).map(|(body, found)| (body, found.offset));
        assert_eq!((known.by_record.len(), has(&known, 0), has(&known, RECORDS_MAX + 1)), (RECORDS_MAX, None, None));
        let mut restoring = Restoring::default();
        for block in known.state().take_changes().changes.blocks() {
            crate::entries::read("test", &block.bytes).for_each(|entry| restoring.take(entry.unwrap()).unwrap());
        }
        let restored = Known::restored(restoring).unwrap();
        for record in 1..=RECORDS_MAX {
            assert_eq!(has(&restored, record), Some((Some(1), record as i64)));
        }
        assert_eq!(restored.by_record.len(), RECORDS_MAX);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let mut known = Known::default();
        known.insert(ticket(0), &decision(0, ""));
        let answer = known.ring.get(0).clone();
        for bytes in [&answer[..HEAD_BYTES - 1], &answer[..answer.len() - 1], &[]] {
            let mut ring = Ring::default();
            ring.push(bytes.into());
            let mut restoring = Restoring::default();
            for block in KeyedState::take_changes(&mut ring as &mut Ring<Answer, RECORDS_MAX>).changes.blocks() {
                crate::entries::read("test", &block.bytes).for_each(|entry| restoring.take(entry.unwrap()).unwrap());
            }
            assert!(Known::restored(restoring).is_none(), "{bytes:?}");
        }
    }
}
