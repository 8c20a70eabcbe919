//! Decisions: what the stream made of single records, for whoever waits for it.
//!
//! A record that somebody waits for is written to its topic like every other one, with a header that names the request. The stream judges
//! it where it comes, and lays what came of it here once its output has left, or is on its way into the next transaction. So there is one path for data, and an answer cannot differ
//! from what the stream did.
//!
//! What came of requests with a key is part of the stream's checkpoints (`known`). What came since the last one, a stream that opens finds
//! in the topics: until it has read what was there, nobody can say whether a request is new.

mod known;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tamis_model::alert::AlertContext;
use tamis_model::position::Partition;
use tamis_model::rule::Severity;

pub(crate) use self::known::{Known, Restoring};
use crate::clock::Waker;
use crate::rules::Role;

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

/// A record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The request's id.
    pub request: u128,
    /// The record's place in it, from 0.
    pub record: u32,
    /// What tells the request from others with the same id; none when it is forgotten with its answer.
    pub body: Option<u128>,
}

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

/// What the stream made of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        reason: Cow<'static, str>,
        /// In words.
        message: String,
    },
}

/// What a version of a rule said of a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule.
    pub rule: String,
    /// The number of the version.
    pub version: u32,
    /// Its plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// Whether its alerts count.
    pub role: Role,
    /// What it said.
    pub verdict: Verdict,
}

/// What a rule said of a record when it was judged. What the rule may raise about it later, when a window closes or another event
/// arrives, is not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It did not fire.
    NoHit,
    /// It fired.
    Hit(Box<Hit>),
    /// Its code failed on the record, which has a dead letter.
    Error {
        /// A stable name.
        reason: Cow<'static, str>,
        /// In words.
        message: String,
    },
}

/// An alert about a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
                match known.find(request, record).filter(|_| body.is_some()) {
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

impl Ticket {
    /// The header that a record with this ticket has.
    pub fn header(self) -> (String, Vec<u8>) {
        (HEADER.to_owned(), self.to_string().into_bytes())
    }

    /// The ticket among a record's headers. Those of others are none.
    pub(crate) fn find(headers: &[(String, Vec<u8>)]) -> Option<Self> {
        let (_, value) = headers.iter().find(|(name, _)| name == HEADER)?;
        let mut parts = str::from_utf8(value).ok()?.split('/');
        let number = |hex: &str| u128::from_str_radix(hex, 16).ok();
        let (request, record) = (number(parts.next()?)?, parts.next()?.parse().ok()?);
        let body = match parts.next() {
            Some(body) => Some(number(body)?),
            None => None,
        };
        Some(Self { request, record, body })
    }

    /// What names the record.
    fn place(self) -> (u128, u32) {
        (self.request, self.record)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.request, self.record)?;
        self.body.map_or(Ok(()), |body| write!(f, "/{body:032x}"))
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

    #[test]
    fn tickets_are_found_among_headers() {
        let other = ("traceparent".to_owned(), b"00".to_vec());
        for body in [None, Some(0), Some(u128::MAX)] {
            let ticket = Ticket { request: u128::MAX - 1, record: 999, body };
            assert_eq!(Ticket::find(&[other.clone(), ticket.header()]), Some(ticket));
        }
        for value in ["", "1", "/", "x/1", "1/x", "1/-1", "1/1/", "1/1/x", "1ffffffffffffffffffffffffffffffff/1"] {
            assert_eq!(Ticket::find(&[(HEADER.to_owned(), value.into())]), None, "{value}");
        }
        assert_eq!(Ticket::find(&[other]), None);
    }
}
