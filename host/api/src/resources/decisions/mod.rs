//! Decisions: what the rules say of an event, asked and answered at once.

mod answer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tamis_catalog::Action;
use tamis_catalog::roles::Permission;
use tamis_engine::decisions::Decision;
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::answer::DecisionAnswer;
use crate::access::{Access, Caller};
use crate::app::{self, App, found};
use crate::decisions::{Asked, Fate, Key, Question};
use crate::extract::{Json as Body, Options, Path};
use crate::openapi::{Conflicts, Late};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::streams::StreamState;

/// Events of a request at most.
const RECORDS_MAX: usize = 1_000;
/// How long an answer may take when nobody says.
const TIMEOUT_MS_DEFAULT: u64 = 400;
const TIMEOUT_MS_MAX: u64 = 10_000;
/// Characters of a key at most.
const KEY_CHARS_MAX: usize = 255;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Write(Permission::DecisionsWrite, Action::DecisionAsk), routes!(decide))
}

/// Events about which somebody asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecisionRequest {
    /// They are written in this order; those of one key stay in it.
    #[schema(min_items = 1, max_items = 1000)]
    records: Vec<EventRecord>,
}

/// An event to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EventRecord {
    /// The event, as its topic has it. It is written as it stands here.
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    value: Box<RawValue>,
    /// The key of its record; its customer when absent, else its id.
    key: Option<String>,
    /// Its time in milliseconds since the Unix epoch; that of its arrival when absent.
    timestamp: Option<Millis>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct TopicPath {
    /// The topic of the events.
    #[param(example = "payments")]
    topic: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DecisionOptions {
    /// How many milliseconds the answer may take.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10000, default = 400)]
    timeout_ms: Option<String>,
}

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "described here, read by name")]
struct IdempotencyHeader {
    /// Names the request: the same one again gets the same answer, and nothing is written.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// Writes events to their topic and answers with what the stream made of them.
///
/// The events are in the stream like all others, once; the answer is what the stream did.
#[utoipa::path(
    post, path = "/decisions/{topic}", tag = "decisions",
    params(TopicPath, DecisionOptions, IdempotencyHeader),
    request_body(content = DecisionRequest, examples(
        ("one" = (value = json!({"records": [{"value": {
            "payment_id": "p1", "customer_id": "c1", "amount": 59.9, "method": "card", "status": "succeeded",
        }}]}))),
    )),
    responses(
        (status = 200, description = "What came of each event.", body = DecisionAnswer),
        Conflicts,
        Late,
    ),
)]
async fn decide(
    State(app): app::State,
    Path(TopicPath { topic }): Path<TopicPath>,
    Options(options): Options<DecisionOptions>,
    headers: HeaderMap,
    caller: Caller,
    Body(request): Body<DecisionRequest>,
) -> Result<Json<DecisionAnswer>, Problem> {
    let began = Instant::now();
    let schema = app.registry().schemas().iter().find(|schema| schema.name == topic);
    let schema = found(schema, || format!("there is no topic {topic:?} with a schema"))?;
    let timeout = timeout(&options)?;
    let key = idempotency_key(&headers)?;
    let key = key.map(|key| Key { subject: caller.actor().subject.clone(), topic: topic.clone(), key });
    let fingerprint = fingerprint(&request.records);
    let records = records(schema, request.records, app.now())?;
    let desk = &app.api.decisions;
    let answered = async {
        if key.is_some() {
            desk.catch_up(timeout).await;
        }
        let asked = desk.ask(Question { key: key.clone(), fingerprint, records }, app.now(), || runs(&app))?;
        let decided = desk.answer(asked.clone(), key.as_ref(), timeout.saturating_sub(began.elapsed())).await?;
        Ok((asked, decided))
    };
    let answered: Result<(Asked, Arc<[Decision]>), Problem> = answered.await;
    let fate = match &answered {
        Ok((Asked { repeated: true, .. }, _)) => Fate::Repeated,
        Ok(_) => Fate::Answered,
        Err(problem) if problem.is_late() => Fate::TimedOut,
        Err(_) => Fate::Unavailable,
    };
    desk.note(fate, began.elapsed());
    let (Asked { id, .. }, decided) = answered?;
    Ok(Json(DecisionAnswer::new(id, &decided)))
}

/// Whether the stream judges what comes.
fn runs(app: &App) -> Result<(), Problem> {
    let status = app.api.streams.status.borrow();
    match status.state {
        StreamState::Running => Ok(()),
        state => Err(Problem::unavailable(format!("the stream is {}: nothing was written", state.name()))),
    }
}

fn timeout(options: &DecisionOptions) -> Result<Duration, Problem> {
    let timeout_ms = match &options.timeout_ms {
        None => Some(TIMEOUT_MS_DEFAULT),
        Some(text) => text.parse().ok().filter(|ms| (1..=TIMEOUT_MS_MAX).contains(ms)),
    };
    let refused = || Problem::bad_request(format!("timeout_ms is a number from 1 to {TIMEOUT_MS_MAX}"));
    timeout_ms.map(Duration::from_millis).ok_or_else(refused)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let is_good = (1..=KEY_CHARS_MAX).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    match (key.to_str(), given.next()) {
        (Ok(key), None) if is_good => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request("Idempotency-Key is one text of 1 to 255 visible ASCII characters")),
    }
}

/// Tells requests apart: what is sent again must be the same.
fn fingerprint(records: &[EventRecord]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |text: Option<&str>| {
        hash.update(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hash.update(text.unwrap_or_default());
    };
    for EventRecord { value, key, timestamp } in records {
        part(Some(value.get()));
        part(key.as_deref());
        part(timestamp.map(|timestamp| timestamp.to_string()).as_deref());
    }
    hash.finalize().into()
}

/// The records of the events.
fn records(schema: &TopicSchema, events: Vec<EventRecord>, now: Millis) -> Result<Vec<Record>, Problem> {
    if !(1..=RECORDS_MAX).contains(&events.len()) {
        return Err(Problem::invalid(format!("a request has 1 to {RECORDS_MAX} records")));
    }
    let record = |(number, EventRecord { value, key, timestamp }): (usize, EventRecord)| {
        let event: Value = serde_json::from_str(value.get())
            .map_err(|error| Problem::invalid(format!("records[{number}].value: {error}")))?;
        if !event.is_object() {
            return Err(Problem::invalid(format!("records[{number}].value is no object")));
        }
        let named = [schema.customer_id.as_deref(), Some(&*schema.id)].into_iter().flatten();
        let key = key.or_else(|| named.filter_map(|name| event[name].as_str()).next().map(str::to_owned));
        Ok(Record {
            topic: schema.name.clone(),
            partition: None,
            timestamp: timestamp.unwrap_or(now),
            key: key.map(String::into_bytes),
            value: Some(value.get().as_bytes().to_vec()),
            // It may stand in several lines.
            value_is_json: false,
            headers: Vec::new(),
        })
    };
    events.into_iter().enumerate().map(record).collect()
}
