//! Decisions: what the stream made of single records, for whoever waits for it.
//!
//! A record that somebody waits for is written to its topic like every other one, with a header that names the request. The stream judges
//! it where it comes, and lays what came of it here once its output has left, or is on its way into the next transaction. So there is one path for data, and an answer cannot differ
//! from what the stream did.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tamis_model::alert::AlertContext;
use tamis_model::position::Partition;
use tamis_model::rule::Severity;

use crate::clock::Waker;
use crate::rules::RulePlan;

/// The header of a record that somebody waits for. Its value is a [`Ticket`].
pub const HEADER: &str = "tamis.decision";

/// Records that are waited for at a time, at most.
const RECORDS_MAX: usize = 1 << 16;

/// Who waits for what of a stream. Clones are the same one.
#[derive(Clone, Default)]
pub struct Decisions(Arc<Shared>);

#[derive(Default)]
struct Shared {
    requests: Mutex<Requests>,
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

/// A record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The request's id.
    pub request: u128,
    /// The record's place in it, from 0.
    pub record: u32,
}

/// What the stream made of a record.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Where the record is.
    pub partition: Partition,
    /// Its offset there.
    pub offset: i64,
    /// The revision of the rules that were at work.
    pub revision: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a record.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was judged.
    Judged {
        /// Whether it lay behind its partition's watermark: windows leave it out.
        late: bool,
        /// What each rule said that judged it. A rule whose windows leave it out, or that finds no key in it, did not; and where a canary
        /// runs, only the version speaks to which the key belongs.
        rules: Vec<RuleResult>,
    },
    /// It could not be decoded, or its time cannot be: it is among the dead letters.
    Refused {
        /// A stable name.
        reason: &'static str,
        /// In words.
        message: String,
    },
}

/// What a version of a rule said of a record.
#[derive(Clone, Debug)]
pub struct RuleResult {
    /// The version.
    pub rule: Arc<RulePlan>,
    /// What it said.
    pub verdict: Verdict,
}

/// What a rule said of a record when it was judged. What the rule may raise about it later, when a window closes or another event
/// arrives, is not in it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It did not fire.
    NoHit,
    /// It fired.
    Hit(Box<Hit>),
    /// Its code failed on the record, which has a dead letter.
    Error {
        /// A stable name.
        reason: &'static str,
        /// In words.
        message: String,
    },
}

/// An alert about a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub alert_id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The criteria that hold.
    pub criteria: Vec<String>,
    /// The values that made the rule fire.
    pub context: AlertContext,
    /// Whether it was raised before, about a record with the same id, and so was not written again.
    pub repeated: bool,
}

impl Decisions {
    /// Waits for the records of a request: `reply` gets what came of each. Returns false when too many are waited for already.
    pub fn ask(&self, request: u128, records: usize, reply: impl FnOnce(Vec<Decision>) + Send + 'static) -> bool {
        let mut requests = self.lock();
        if records == 0 || requests.records + records > RECORDS_MAX {
            return false;
        }
        let decided = (0..records).map(|_| None).collect();
        requests.by_id.insert(request, Request { decided, left: records, reply: Box::new(reply) });
        requests.records += records;
        self.0.awaited.store(requests.records, Ordering::Release);
        true
    }

    /// Nobody waits for a request any more.
    pub fn forget(&self, request: u128) {
        self.take(&mut self.lock(), request);
    }

    /// Wakes the stream when it waits for records.
    pub fn waker(&self) -> &Waker {
        &self.0.waker
    }

    /// Whether anybody waits for a record.
    pub(crate) fn are_awaited(&self) -> bool {
        self.0.awaited.load(Ordering::Acquire) > 0
    }

    /// Whether somebody waits for this one.
    pub(crate) fn is_awaited(&self, ticket: Ticket) -> bool {
        let requests = self.lock();
        let request = requests.by_id.get(&ticket.request);
        request.and_then(|request| request.decided.get(ticket.record as usize)).is_some_and(Option::is_none)
    }

    /// Lays down what came of a record; the first word stands.
    pub(crate) fn decide(&self, ticket: Ticket, decision: Decision) {
        let mut requests = self.lock();
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
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The header that a record with this ticket has.
    pub fn header(self) -> (String, Vec<u8>) {
        (HEADER.to_owned(), self.to_string().into_bytes())
    }

    /// The ticket among a record's headers. Those of others are none.
    pub(crate) fn find(headers: &[(String, Vec<u8>)]) -> Option<Self> {
        let (_, value) = headers.iter().find(|(name, _)| name == HEADER)?;
        let (request, record) = str::from_utf8(value).ok()?.split_once('/')?;
        Some(Self { request: u128::from_str_radix(request, 16).ok()?, record: record.parse().ok()? })
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.request, self.record)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn decision(offset: i64) -> Decision {
        let partition = Partition { topic: "payments".to_owned(), number: 0 };
        Decision { partition, offset, revision: 1, outcome: Outcome::Judged { late: false, rules: Vec::new() } }
    }

    fn ask(decisions: &Decisions, request: u128, records: usize) -> (bool, Receiver<Vec<i64>>) {
        let (reply, answer) = channel();
        let reply = move |decided: Vec<Decision>| {
            let _ = reply.send(decided.iter().map(|decision| decision.offset).collect());
        };
        (decisions.ask(request, records, reply), answer)
    }

    #[test]
    fn a_request_is_answered_once_in_the_order_of_its_records() {
        let decisions = Decisions::default();
        let (asked, answer) = ask(&decisions, 7, 2);
        assert!(asked && decisions.are_awaited());
        let ticket = |record| Ticket { request: 7, record };
        for (record, offset) in [(1, 11), (1, 12), (5, 50), (0, 10), (0, 13)] {
            assert!(answer.try_recv().is_err(), "{record}");
            assert_eq!(decisions.is_awaited(ticket(record)), [10, 11].contains(&offset), "{offset}");
            decisions.decide(ticket(record), decision(offset));
            if record == 0 {
                break;
            }
        }
        assert_eq!(answer.try_recv().unwrap(), [10, 11]);
        assert!(!decisions.are_awaited());
        decisions.decide(ticket(0), decision(13));
    }

    #[test]
    fn so_many_are_waited_for_at_most() {
        let decisions = Decisions::default();
        assert!(!ask(&decisions, 0, 0).0);
        assert!(ask(&decisions, 1, RECORDS_MAX - 1).0);
        assert!(!ask(&decisions, 2, 2).0);
        decisions.forget(1);
        decisions.forget(1);
        assert!(!decisions.are_awaited());
        assert!(ask(&decisions, 2, 2).0);
    }

    #[test]
    fn tickets_are_found_among_headers() {
        let ticket = Ticket { request: u128::MAX - 1, record: 999 };
        let other = ("traceparent".to_owned(), b"00".to_vec());
        assert_eq!(Ticket::find(&[other.clone(), ticket.header()]), Some(ticket));
        for value in ["", "1", "/", "x/1", "1/x", "1/-1", "1ffffffffffffffffffffffffffffffff/1"] {
            assert_eq!(Ticket::find(&[(HEADER.to_owned(), value.into())]), None, "{value}");
        }
        assert_eq!(Ticket::find(&[other]), None);
    }
}
