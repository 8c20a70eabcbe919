//! Dead letters, sent through again.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tamis_catalog::Action;
use tamis_catalog::dead_letter_redrives::{Claim, LetterId, REDRIVE_LETTERS_MAX, RedriveOutcome};
use tamis_catalog::roles::Permission;
use tamis_connectors::topics::dead_letters::{LetterFilter, StoredLetter};
use tamis_engine::Command;
use tamis_engine::stream::{Redrive, RedriveRule, Redriven};
use tamis_model::alert::AlertMode;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::dead_letters::{self, Wanted};
use crate::access::{Access, Caller};
use crate::app::{self, App};
use crate::extract::{Json as Body, Why};
use crate::problem::Problem;
use crate::routes::Routes;

/// How long the stream may take. It judges redriven records between two batches.
const ANSWER_MAX: Duration = Duration::from_secs(60);
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
    /// The newest thousand that pass this, without those that were judged since.
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
    /// Those whose rule, or whose topic, no longer runs: nothing was done.
    left: u64,
    /// Those that were sent often enough: nothing was done.
    exhausted: u64,
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
    responses((status = 200, description = "What came of each.", body = RedriveReport)),
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
    let found = match (request.letters, request.filter) {
        (Some(places), None) => named(&app, &places, &mut report).await?,
        (None, Some(filter)) => passing(&app, filter).await?,
        _ => return Err(Problem::invalid("say either which letters, or a filter")),
    };
    let letters = distinct(found, &mut report);
    let ids: Vec<LetterId> = letters.iter().map(|letter| letter.id.clone()).collect();
    let change = caller.change(&app, request.why.as_ref().map(AsRef::as_ref));
    let claims = app.catalog().claim_redrives(&ids, attempts_max, &change).await?;
    let (mut sent, mut records) = (Vec::new(), Vec::new());
    for (Letter { id, record }, claim) in letters.into_iter().zip(claims) {
        match claim {
            Claim::Exhausted => report.exhausted += 1,
            // The first attempt was the one that made it a dead letter.
            Claim::Attempt(attempt) => {
                records.push(Redrive { attempt: attempt.saturating_add(1), ..record });
                sent.push(id);
            }
        }
    }
    for (id, outcome) in sent.iter().zip(judge(&app, records).await?) {
        let (count, kept) = match outcome {
            Redriven::Judged => (&mut report.judged, RedriveOutcome::Succeeded),
            Redriven::Failed => (&mut report.failed, RedriveOutcome::Failed),
            // It is a dead letter still.
            Redriven::Left => (&mut report.left, RedriveOutcome::Failed),
        };
        *count += 1;
        app.catalog().finish_redrive(id, kept, app.now()).await?;
    }
    Ok(Json(report))
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

/// The letters at these places.
async fn named(app: &App, places: &[Place], report: &mut RedriveReport) -> Result<Vec<StoredLetter>, Problem> {
    if places.len() > REDRIVE_LETTERS_MAX {
        return Err(Problem::invalid(format!("at most {REDRIVE_LETTERS_MAX} letters are sent at once")));
    }
    let mut letters = Vec::with_capacity(places.len());
    for Place { partition, offset } in places {
        match dead_letters::letter(app, *partition, *offset).await? {
            Some(letter) => letters.push(letter),
            None => report.not_records += 1,
        }
    }
    Ok(letters)
}

/// The newest letters that pass a filter, without those that were judged since.
async fn passing(app: &App, filter: Wanted) -> Result<Vec<StoredLetter>, Problem> {
    let filter = LetterFilter::from(filter);
    let (mut letters, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let (page, next) = dead_letters::page(app, filter.clone(), cursor, REDRIVE_LETTERS_MAX).await?;
        for letter in page {
            let redrive = match dead_letters::id(&letter) {
                Some(id) => app.catalog().redrive(&id).await?,
                None => None,
            };
            if redrive.is_none_or(|redrive| redrive.outcome != RedriveOutcome::Succeeded) {
                letters.push(letter);
            }
        }
        if next.is_none() || letters.len() >= REDRIVE_LETTERS_MAX {
            break;
        }
        cursor = next;
    }
    letters.truncate(REDRIVE_LETTERS_MAX);
    Ok(letters)
}

/// Each record once, however many letters there are about it: every failed attempt has left one.
fn distinct(letters: Vec<StoredLetter>, report: &mut RedriveReport) -> Vec<Letter> {
    let mut seen = HashSet::new();
    let mut distinct = Vec::with_capacity(letters.len());
    for letter in &letters {
        match Letter::of(letter) {
            Some(letter) if seen.insert(letter.id.clone()) => distinct.push(letter),
            Some(_) => {}
            None => report.not_records += 1,
        }
    }
    distinct
}

/// Has the stream judge records, and says what came of each.
async fn judge(app: &App, records: Vec<Redrive>) -> Result<Vec<Redriven>, Problem> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let gone = || Problem::unavailable("the stream has ended; what was sent counts as an attempt");
    let (reply, answer) = oneshot::channel();
    // Whoever asked may be gone.
    let reply = Box::new(move |result| drop(reply.send(result)));
    app.api.streams.commands.send(Command::Redrive(records, reply)).map_err(|_| gone())?;
    let late = |_| Problem::unavailable("the stream has not judged them yet; it may still");
    let answered = tokio::time::timeout(ANSWER_MAX, answer).await.map_err(late)?;
    Ok(answered.map_err(|_| gone())??)
}
