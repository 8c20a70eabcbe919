//! The answers that were given last to requests with a key: whoever asks again gets the same one, whatever has crashed meanwhile.

use hashbrown::HashMap;

use super::{Decision, Ticket};
use crate::checkpoint::KeyedState;
use crate::ring::{self, Ring};

/// Of how many records it is known what came of them.
const RECORDS_MAX: usize = 1 << 16;

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

    /// Remembers what came of the record of a request with a key; the first word stands.
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
