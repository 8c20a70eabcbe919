//! Dead letters, sent through again.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tamis_catalog::Action;
use tamis_catalog::dead_letter_redrives::{
    Attempt, AttemptEnd, Claim, LetterId, REDRIVE_ANSWER_MAX, REDRIVE_LETTERS_MAX,
};
use tamis_catalog::roles::Permission;
use tamis_connectors::topics::dead_letters::{LetterFilter, StoredLetter};
use tamis_engine::Command;
use tamis_engine::stream::{Redrive, RedriveRule, Redriven};
use tamis_model::Kind;
use tamis_model::alert::AlertMode;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::dead_letters::{self, Wanted};
use crate::access::{Access, Caller};
use crate::app::{self, App};
use crate::extract::{Json as Body, Why};
use crate::openapi::Conflicts;
use crate::problem::Problem;
use crate::routes::Routes;

/// How often a letter is sent when nobody says how often.
const ATTEMPTS_MAX_DEFAULT: u32 = 5;
/// Letters that a filter looks at, page by page, before it is content with what it has.
const PAGES_MAX: usize = 64;

pub(super) fn routes(routes: Routes) -> Routes {
    let write = Access::Write(Permission::DeadLettersRedrive, Action::DeadLettersRedrive);
    routes.slow(write, routes!(redrive_dead_letters))
}

/// Which dead letters are to be sent through again: those named, or those that pass the filter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedriveRequest {
    /// These.
    #[schema(max_items = 1000)]
    letters: Option<Vec<Place>>,
    /// The newest thousand that pass this, without those that were judged since, are being judged, or were sent often enough.
    filter: Option<Wanted>,
    /// How often a letter may be sent in all.
    #[schema(minimum = 1, maximum = 100, default = 5)]
    attempts_max: Option<u32>,
    /// Why, in your words.
    why: Option<Why>,
}

/// A dead letter's place in the topic `dead_letters`.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LetterPlace)]
struct Place {
    /// The partition.
    #[schema(example = 0)]
    partition: u32,
    /// The offset.
    #[schema(minimum = 0, example = 17)]
    offset: i64,
}

/// What came of sending dead letters through again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct RedriveReport {
    /// Records on which nothing failed this time.
    judged: u64,
    /// Those that have a new dead letter.
    failed: u64,
    /// Those whose rule, or whose topic, no longer runs: nothing was done, and it is no attempt.
    left: u64,
    /// Those that were sent often enough: nothing was done.
    exhausted: u64,
    /// Those that were judged before: nothing was done.
    succeeded: u64,
    /// Those that somebody has sent and the stream has not judged yet: nothing was done.
    under_way: u64,
    /// Letters that are not about a record that could be judged again, or that are not there: nothing was done.
    not_records: u64,
}

/// Sends dead letters through again.
///
/// A record is judged by the rule that failed on it, or by all when it could not be decoded.
#[utoipa::path(
    post, path = "/dead-letters/redrive", tag = "dead letters",
    request_body(content = RedriveRequest, examples(
        ("letters" = (value = json!({"letters": [{"partition": 0, "offset": 17}]}))),
        ("filter" = (value = json!({"filter": {"rule": "card-testing"}, "attempts_max": 3, "why": "version 3 bears it"}))),
    )),
    responses((status = 200, description = "What came of each.", body = RedriveReport), Conflicts),
)]
async fn redrive_dead_letters(
    State(app): app::State,
    caller: Caller,
    Body(request): Body<RedriveRequest>,
) -> Result<Json<RedriveReport>, Problem> {
    let attempts_max = request.attempts_max.unwrap_or(ATTEMPTS_MAX_DEFAULT);
    if !(1..=100).contains(&attempts_max) {
        return Err(Problem::invalid("attempts_max is a number from 1 to 100"));
    }
    let mut report = RedriveReport::default();
    let letters = match (request.letters, request.filter) {
        (Some(places), None) => named(&app, &places, &mut report).await?,
        (None, Some(filter)) => passing(&app, filter, attempts_max, &mut report).await?,
        _ => return Err(Problem::invalid("say either which letters, or a filter")),
    };
    let ids: Vec<LetterId> = letters.iter().map(|letter| letter.id.clone()).collect();
    let change = caller.change(&app, request.why.as_ref().map(AsRef::as_ref));
    let claims = app.catalog().claim_redrives(&ids, attempts_max, &change).await?;
    let (mut sent, mut records) = (Vec::new(), Vec::new());
    for (Letter { id, record }, claim) in letters.into_iter().zip(claims) {
        match claim {
            Claim::Attempt(number) => {
                // The first attempt was the one that made it a dead letter.
                records.push(Redrive { attempt: number.saturating_add(1), ..record });
                sent.push(Attempt { letter: id, number });
            }
            refusal => report.refuse(refusal),
        }
    }
    // What comes later than the answer is kept all the same.
    let settled = tokio::spawn(settle(Arc::clone(&app), sent, records));
    let late = |_| Problem::undecided("the stream has not judged them yet; it may still");
    let settled = tokio::time::timeout(REDRIVE_ANSWER_MAX, settled).await.map_err(late)?;
    for redriven in settled.map_err(|error| Problem::internal(error.to_string()))?? {
        *match redriven {
            Redriven::Judged => &mut report.judged,
            Redriven::Failed => &mut report.failed,
            Redriven::Left => &mut report.left,
        } += 1;
    }
    Ok(Json(report))
}

impl RedriveReport {
    /// Counts a letter that is not sent.
    fn refuse(&mut self, refusal: Claim) {
        match refusal {
            Claim::Attempt(_) => {}
            Claim::Exhausted => self.exhausted += 1,
            Claim::Succeeded => self.succeeded += 1,
            Claim::UnderWay => self.under_way += 1,
        }
    }
}

/// A letter that can be sent.
struct Letter {
    id: LetterId,
    record: Redrive,
}

impl Letter {
    /// None when there is no record that could be judged again.
    fn of(letter: &StoredLetter) -> Option<Self> {
        let (id, line) = (dead_letters::id(letter)?, letter.record_line()?);
        let rule = letter.rule.as_ref().map(|rule| RedriveRule {
            name: rule.name.clone(),
            version: rule.version,
            shadow: rule.mode == AlertMode::Shadow,
        });
        Some(Self { id, record: Redrive { partition: letter.from.clone(), line, rule, attempt: letter.attempt } })
    }
}

/// The letter, when it is about a record that can be judged again and of which none was seen yet: every failed attempt
/// has left one.
fn unseen(letter: &StoredLetter, seen: &mut HashSet<LetterId>, report: &mut RedriveReport) -> Option<Letter> {
    let letter = Letter::of(letter);
    report.not_records += u64::from(letter.is_none());
    letter.filter(|letter| seen.insert(letter.id.clone()))
}

/// The letters at these places, each record once.
async fn named(app: &App, places: &[Place], report: &mut RedriveReport) -> Result<Vec<Letter>, Problem> {
    if places.len() > REDRIVE_LETTERS_MAX {
        return Err(Problem::invalid(format!("at most {REDRIVE_LETTERS_MAX} letters are sent at once")));
    }
    let (mut letters, mut seen) = (Vec::with_capacity(places.len()), HashSet::new());
    let places = places.iter().map(|place| (place.partition, place.offset)).collect();
    for letter in dead_letters::letters(app, places).await? {
        match letter {
            Some(letter) => letters.extend(unseen(&letter, &mut seen, report)),
            None => report.not_records += 1,
        }
    }
    Ok(letters)
}

/// The newest letters that pass a filter and can be sent, each record once.
async fn passing(
    app: &App,
    filter: Wanted,
    attempts_max: u32,
    report: &mut RedriveReport,
) -> Result<Vec<Letter>, Problem> {
    let filter = LetterFilter::from(filter);
    let (mut letters, mut seen, mut cursor) = (Vec::new(), HashSet::new(), None);
    for _ in 0..PAGES_MAX {
        let (page, next) = dead_letters::page(app, filter.clone(), cursor, REDRIVE_LETTERS_MAX).await?;
        for letter in page {
            let Some(letter) = unseen(&letter, &mut seen, report) else { continue };
            let known = app.catalog().redrive(&letter.id).await?;
            match known.and_then(|known| known.refusal(attempts_max, app.now())) {
                None => letters.push(letter),
                Some(refusal) => report.refuse(refusal),
            }
            if letters.len() == REDRIVE_LETTERS_MAX {
                return Ok(letters);
            }
        }
        if next.is_none() {
            break;
        }
        cursor = next;
    }
    Ok(letters)
}

/// Has the stream judge what is sent, and keeps what came of each.
async fn settle(app: Arc<App>, sent: Vec<Attempt>, records: Vec<Redrive>) -> Result<Vec<Redriven>, Problem> {
    if sent.is_empty() {
        return Ok(Vec::new());
    }
    let answer = judge(&app, records).await;
    let ends: Vec<AttemptEnd> = match &answer {
        Ok(redriven) => redriven.iter().map(end).collect(),
        Err((end, _)) => vec![*end; sent.len()],
    };
    let ended: Vec<_> = sent.into_iter().zip(ends).collect();
    app.catalog().finish_redrives(&ended, app.now()).await?;
    answer.map_err(|(_, problem)| problem)
}

fn end(redriven: &Redriven) -> AttemptEnd {
    match redriven {
        Redriven::Judged => AttemptEnd::Succeeded,
        Redriven::Failed => AttemptEnd::Failed,
        Redriven::Left => AttemptEnd::Void,
    }
}

/// What the stream makes of records; or what their attempts have come to, and what whoever asked is told.
async fn judge(app: &App, records: Vec<Redrive>) -> Result<Vec<Redriven>, (AttemptEnd, Problem)> {
    let unavailable = |end, detail: &str| (end, Problem::unavailable(detail));
    let unasked =
        || unavailable(AttemptEnd::Void, "the stream does not run; nothing was judged, and no attempt counts");
    let (reply, answer) = oneshot::channel();
    // Whoever asked may be gone.
    let reply = Box::new(move |result| drop(reply.send(result)));
    if !app.api.streams.commands.send(Command::Redrive(records, reply)) {
        return Err(unasked());
    }
    match answer.await {
        Ok(Ok(redriven)) => Ok(redriven),
        Ok(Err(error)) if error.can_retry() => Err(unasked()),
        // Nobody judges them as things are.
        Ok(Err(error)) if error.kind() == Kind::Conflict => Err((AttemptEnd::Void, error.into())),
        Ok(Err(error)) => Err((AttemptEnd::Failed, error.into())),
        // One of them may be what it ended of.
        Err(_) => Err(unavailable(AttemptEnd::Failed, "the stream has ended; what was sent counts as an attempt")),
    }
}
