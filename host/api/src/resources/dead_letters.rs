//! Dead letters: records that could not be decoded or judged, with their bytes.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tamis_catalog::Page;
use tamis_catalog::dead_letter_redrives::{LetterId, Redrive};
use tamis_catalog::roles::Permission;
use tamis_connectors::topics::DeadLetters;
use tamis_connectors::topics::dead_letters::{LetterCursor, LetterFilter, StoredLetter};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app::{self, App, found};
use crate::extract::{Listing, PageParams, Path};
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::DeadLettersRead);
    routes.add(read, routes!(list_dead_letters)).add(read, routes!(get_dead_letter))
}

/// Which dead letters are wanted; nothing said = all.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
#[schema(as = LetterFilter)]
pub(super) struct Wanted {
    /// Only those with this reason.
    #[param(example = "wrong_type")]
    reason: Option<String>,
    /// Only those that this rule failed on.
    #[param(example = "card-testing")]
    rule: Option<String>,
    /// Only those of records of this topic.
    #[param(example = "payments")]
    topic: Option<String>,
}

impl From<Wanted> for LetterFilter {
    fn from(Wanted { reason, rule, topic }: Wanted) -> Self {
        Self { reason, rule, topic, since: None }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct LetterPath {
    /// Its partition of the topic `dead_letters`.
    partition: u32,
    /// Its offset there.
    #[param(minimum = 0)]
    offset: i64,
}

/// A dead letter, and how often it was sent through again.
#[derive(Serialize, ToSchema)]
struct LetterDetails {
    #[serde(flatten)]
    letter: StoredLetter,
    /// What came of sending it through again; null when nobody did.
    redrive: Option<Redrive>,
}

/// The dead letters, newest first.
///
/// With a filter a page may have fewer items than wanted, even none: follow `next_cursor`.
#[utoipa::path(
    get, path = "/dead-letters", tag = "dead letters", params(Wanted, PageParams),
    responses((status = 200, description = "A page of dead letters.", body = Page<StoredLetter>)),
)]
async fn list_dead_letters(
    State(app): app::State,
    Listing { filter, limit, cursor }: Listing<Wanted>,
) -> Result<Json<Page<StoredLetter>>, Problem> {
    let cursor = cursor.map(|cursor| cursor.parse()).transpose().map_err(Problem::of_query)?;
    let (items, next) = page(&app, filter.into(), cursor, limit as usize).await?;
    Ok(Json(Page { items, next_cursor: next.map(|cursor| cursor.to_string()) }))
}

/// A dead letter with its bytes.
#[utoipa::path(
    get, path = "/dead-letters/{partition}/{offset}", tag = "dead letters", params(LetterPath),
    responses((status = 200, description = "The dead letter.", body = LetterDetails)),
)]
async fn get_dead_letter(
    State(app): app::State,
    Path(LetterPath { partition, offset }): Path<LetterPath>,
) -> Result<Json<LetterDetails>, Problem> {
    let letter = letters(&app, vec![(partition, offset)]).await?.pop().flatten();
    let letter = found(letter, || format!("there is no dead letter {partition}/{offset}"))?;
    let redrive = match id(&letter) {
        Some(id) => app.catalog().redrive(&id).await?,
        None => None,
    };
    Ok(Json(LetterDetails { letter, redrive }))
}

/// Under which a letter is counted; none when it is not about a record that can be found.
pub fn id(letter: &StoredLetter) -> Option<LetterId> {
    Some(LetterId {
        topic: letter.from.topic.clone(),
        partition: letter.from.number,
        offset: letter.from_offset?,
        rule: letter.rule.as_ref().map(|rule| rule.name.clone()).unwrap_or_default(),
    })
}

/// The letters at places of the topic, by partition and offset; none where there is none.
pub(super) async fn letters(app: &App, places: Vec<(u32, i64)>) -> Result<Vec<Option<StoredLetter>>, Problem> {
    let letters = DeadLetters::new(&app.api.topics);
    app.read_files(move || letters.at(&places)).await
}

/// A page of letters, and the cursor behind it.
pub(super) async fn page(
    app: &App,
    filter: LetterFilter,
    cursor: Option<LetterCursor>,
    limit: usize,
) -> Result<(Vec<StoredLetter>, Option<LetterCursor>), Problem> {
    let letters = DeadLetters::new(&app.api.topics);
    app.read_files(move || letters.page(&filter, cursor.as_ref(), limit)).await
}
