//! Decisions: what the stream made of single records, for whoever waits for it.
//!
//! A record that somebody waits for is written to its topic like every other one, with a header that names the request. The stream judges
//! it where it comes, and lays what came of it here once its output has left, or is on its way into the next transaction. So there is one path for data, and an answer cannot differ
//! from what the stream did.
//!
//! What came of requests with a key is part of the stream's checkpoints (`known`). What came since the last one, a stream that opens finds
//! in the topics: until it has read what was there, nobody can say whether a request is new.

mod decision;
mod known;
mod ticket;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::decision::{Decision, Hit, Outcome, RuleResult, Verdict};
pub(crate) use self::known::{Known, Restoring};
pub use self::ticket::{HEADER, Ticket};
use crate::clock::Waker;

/// Records that are waited for at a time, at most.
const RECORDS_MAX: usize = 1 << 16;

/// Who waits for what of a stream. Clones are the same one.
#[derive(Clone, Default)]
pub struct Decisions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    requests: Mutex<Requests>,
    /// Taken behind the requests.
    known: Mutex<Known>,
    /// Whether answers are remembered.
    remembers: bool,
    /// Whether the stream has not read yet what was there when it opened.
    is_behind: AtomicBool,
    /// Records that are waited for: all that a stream looks at when nobody waits.
    awaited: AtomicUsize,
    waker: Waker,
}

#[derive(Default)]
struct Requests {
    by_id: HashMap<u128, Request>,
    /// Records of all of them.
    records: usize,
}

struct Request {
    decided: Vec<Option<Decision>>,
    left: usize,
    reply: Reply,
}

/// Where the decisions of a request go, in the order of its records. It is called by the stream, which stands still meanwhile.
type Reply = Box<dyn FnOnce(Vec<Decision>) + Send>;

/// What became of a request to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is waited for. These of its records are in no topic yet; of the others it is known what came of them.
    Waits {
        /// Their places in the request.
        missing: Vec<u32>,
    },
    /// Too many are waited for already.
    TooMany,
    /// The stream has not read yet what was there when it opened: the request may be among it.
    Behind,
    /// The id is that of a request with another body.
    Another,
}

impl Decisions {
    /// Those of a stream that remembers its answers to requests that may come again.
    pub fn remembering() -> Self {
        Self(Arc::new(Shared { remembers: true, is_behind: AtomicBool::new(true), ..Shared::default() }))
    }

    /// Waits for the records of a request, which `body` tells from others with the same id when it is one that may come again: `reply`
    /// gets what came of each, at once when all of it is known.
    pub fn ask(
        &self,
        request: u128,
        body: Option<u128>,
        records: u32,
        reply: impl FnOnce(Vec<Decision>) + Send + 'static,
    ) -> Asked {
        let mut requests = self.lock();
        let mut decided = Vec::with_capacity(records as usize);
        {
            let known = self.known();
            for record in 0..records {
                match body.and_then(|_| known.find(request, record)) {
                    Some((other, _)) if other != body => return Asked::Another,
                    found => decided.push(found.map(|(_, decision)| decision)),
                }
            }
        }
        let missing: Vec<u32> = (0..records).filter(|record| decided[*record as usize].is_none()).collect();
        if missing.is_empty() && records > 0 {
            drop(requests);
            reply(decided.into_iter().flatten().collect());
            return Asked::Waits { missing };
        }
        if body.is_some() && self.is_behind() {
            return Asked::Behind;
        }
        if records == 0 || requests.records + decided.len() > RECORDS_MAX {
            return Asked::TooMany;
        }
        requests.records += decided.len();
        requests.by_id.insert(request, Request { decided, left: missing.len(), reply: Box::new(reply) });
        self.0.awaited.store(requests.records, Ordering::Release);
        Asked::Waits { missing }
    }

    /// Nobody waits for a request any more.
    pub fn forget(&self, request: u128) {
        self.take(&mut self.lock(), request);
    }

    /// Wakes the stream when it waits for records.
    pub fn waker(&self) -> &Waker {
        &self.0.waker
    }

    /// A stream opens that knows these answers.
    pub(crate) fn begin(&self, known: Known) {
        *self.known() = known;
        self.0.is_behind.store(self.0.remembers, Ordering::Release);
    }

    /// The stream has read what was there when it opened.
    pub(crate) fn caught_up(&self) {
        self.0.is_behind.store(false, Ordering::Release);
    }

    /// Whether the stream has not read yet what was there when it opened.
    pub fn is_behind(&self) -> bool {
        self.0.is_behind.load(Ordering::Acquire)
    }

    /// The answers that were given last.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.0.known)
    }

    /// Whether anybody wants to know of any record.
    pub(crate) fn any_wanted(&self) -> bool {
        self.0.awaited.load(Ordering::Acquire) > 0 || self.is_behind()
    }

    /// Whether anybody waits for this record, or will ask for it again.
    pub(crate) fn is_wanted(&self, ticket: Ticket) -> bool {
        let requests = self.lock();
        let request = requests.by_id.get(&ticket.request);
        let is_awaited =
            request.and_then(|request| request.decided.get(ticket.record as usize)).is_some_and(Option::is_none);
        is_awaited || ticket.body.is_some() && self.is_behind() && !self.known().has(ticket)
    }

    /// Lays down what came of a record; the first word stands.
    pub(crate) fn decide(&self, ticket: Ticket, decision: Decision) {
        let mut requests = self.lock();
        if self.0.remembers {
            self.known().insert(ticket, &decision);
        }
        let Some(request) = requests.by_id.get_mut(&ticket.request) else { return };
        match request.decided.get_mut(ticket.record as usize) {
            Some(place @ None) => *place = Some(decision),
            _ => return,
        }
        request.left -= 1;
        if request.left == 0
            && let Some(request) = self.take(&mut requests, ticket.request)
        {
            drop(requests);
            (request.reply)(request.decided.into_iter().flatten().collect());
        }
    }

    fn take(&self, requests: &mut Requests, request: u128) -> Option<Request> {
        let taken = requests.by_id.remove(&request)?;
        requests.records -= taken.decided.len();
        self.0.awaited.store(requests.records, Ordering::Release);
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        lock(&self.0.requests)
    }
}

fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use tamis_model::position::Partition;

    use super::*;

    fn decision(offset: i64) -> Decision {
        let partition = Partition { topic: "payments".to_owned(), number: 0 };
        Decision { partition, offset, revision: 1, outcome: Outcome::Judged { late: false, rules: Vec::new() } }
    }

    fn ask_for(decisions: &Decisions, request: u128, body: Option<u128>, records: u32) -> (Asked, Receiver<Vec<i64>>) {
        let (reply, answer) = channel();
        let reply = move |decided: Vec<Decision>| {
            let _ = reply.send(decided.iter().map(|decision| decision.offset).collect());
        };
        (decisions.ask(request, body, records, reply), answer)
    }

    fn ask(decisions: &Decisions, request: u128, records: u32) -> (bool, Receiver<Vec<i64>>) {
        let (asked, answer) = ask_for(decisions, request, None, records);
        (asked == Asked::Waits { missing: (0..records).collect() }, answer)
    }

    #[test]
    fn a_request_is_answered_once_in_the_order_of_its_records() {
        let decisions = Decisions::default();
        let (asked, answer) = ask(&decisions, 7, 2);
        assert!(asked && decisions.any_wanted());
        let ticket = |record| Ticket { request: 7, record, body: None };
        for (record, offset) in [(1, 11), (1, 12), (5, 50), (0, 10), (0, 13)] {
            assert!(answer.try_recv().is_err(), "{record}");
            assert_eq!(decisions.is_wanted(ticket(record)), [10, 11].contains(&offset), "{offset}");
            decisions.decide(ticket(record), decision(offset));
            if record == 0 {
                break;
            }
        }
        assert_eq!(answer.try_recv().unwrap(), [10, 11]);
        assert!(!decisions.any_wanted());
        decisions.decide(ticket(0), decision(13));
    }

    #[test]
    fn so_many_are_waited_for_at_most() {
        let decisions = Decisions::default();
        assert_eq!(ask_for(&decisions, 0, None, 0).0, Asked::TooMany);
        assert!(ask(&decisions, 1, RECORDS_MAX as u32 - 1).0);
        assert_eq!(ask_for(&decisions, 2, None, 2).0, Asked::TooMany);
        decisions.forget(1);
        decisions.forget(1);
        assert!(!decisions.any_wanted());
        assert!(ask(&decisions, 2, 2).0);
    }

    #[test]
    fn what_came_of_a_request_with_a_key_is_known_when_it_comes_again() {
        let decisions = Decisions::remembering();
        let ticket = |record| Ticket { request: 7, record, body: Some(1) };
        decisions.begin(Known::default());
        assert_eq!(ask_for(&decisions, 7, Some(1), 2).0, Asked::Behind);
        assert!(ask(&decisions, 8, 1).0, "one without a key is new in any case");
        // The stream finds one of the two in the topic: the other one was not written any more.
        assert!(decisions.any_wanted() && decisions.is_wanted(ticket(0)));
        assert!(!decisions.is_wanted(Ticket { body: None, ..ticket(0) }));
        decisions.decide(ticket(0), decision(10));
        assert!(!decisions.is_wanted(ticket(0)));
        decisions.caught_up();
        assert_eq!(ask_for(&decisions, 7, Some(2), 2).0, Asked::Another);
        let (asked, answer) = ask_for(&decisions, 7, Some(1), 2);
        assert_eq!(asked, Asked::Waits { missing: vec![1] });
        assert!(!decisions.is_wanted(ticket(0)) && decisions.is_wanted(ticket(1)));
        decisions.decide(ticket(1), decision(11));
        assert_eq!(answer.try_recv().unwrap(), [10, 11]);
        let (asked, answer) = ask_for(&decisions, 7, Some(1), 2);
        assert_eq!((asked, answer.try_recv().unwrap()), (Asked::Waits { missing: vec![] }, vec![10, 11]));
    }
}
