//! Topics: what lies in them, what their records are like, and how far the stream has come.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tamis_catalog::Page;
use tamis_catalog::roles::Permission;
use tamis_connectors::topics::PartitionOverview;
use tamis_model::time::rfc3339_millis;
use tamis_model::topic::{Field, FieldKind, TopicSchema};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::extract::{Everything, Listing, PageParams};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::streams::StreamStatus;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(list_topics))
}

/// A topic.
#[derive(Serialize, ToSchema)]
struct Topic {
    /// Its name.
    #[schema(example = "payments")]
    name: String,
    /// What its records are like; null for topics that no rule reads.
    schema: Option<RecordSchema>,
    /// What lies in it.
    partitions: Vec<PartitionOverview>,
    /// How far the stream has come in event time, RFC 3339; null before its first event.
    watermark: Option<String>,
    /// Records that the stream has read since its first checkpoint.
    records: u64,
    /// Those of them that were late.
    late: u64,
    /// Those of them that were refused, by reason.
    refused: BTreeMap<String, u64>,
}

/// What the records of a topic are like.
#[derive(Serialize, ToSchema)]
struct RecordSchema {
    /// The member that identifies a record.
    #[schema(example = "payment_id")]
    id: String,
    /// The member that names its order.
    order_id: Option<String>,
    /// The member that names its customer.
    customer_id: Option<String>,
    /// The known members.
    fields: Vec<RecordField>,
}

/// A member of a record.
#[derive(Serialize, ToSchema)]
struct RecordField {
    /// Its name.
    #[schema(example = "risk_score")]
    name: String,
    /// What fits it.
    #[serde(rename = "type")]
    kind: RecordFieldType,
    /// The values that fit it, when only some do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    /// Whether it must be there and not null.
    required: bool,
    /// Whether it tells who a person is.
    personal: bool,
}

/// What fits a member of a record.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RecordFieldType {
    /// A text.
    Text,
    /// An amount in hundredths, written as a number.
    Amount,
    /// An integer.
    Integer,
    /// A number.
    Number,
    /// true or false.
    Boolean,
    /// A text or an integer, not decoded.
    TextOrInteger,
    /// Objects, not decoded.
    Items,
}

impl From<&TopicSchema> for RecordSchema {
    fn from(schema: &TopicSchema) -> Self {
        Self {
            id: schema.id.clone(),
            order_id: schema.order_id.clone(),
            customer_id: schema.customer_id.clone(),
            fields: schema.fields.iter().map(RecordField::from).collect(),
        }
    }
}

impl From<&Field> for RecordField {
    fn from(field: &Field) -> Self {
        let (kind, values) = match &field.kind {
            FieldKind::Text => (RecordFieldType::Text, &[][..]),
            FieldKind::Enum(values) => (RecordFieldType::Text, &values[..]),
            FieldKind::Amount => (RecordFieldType::Amount, &[][..]),
            FieldKind::Integer { .. } => (RecordFieldType::Integer, &[][..]),
            FieldKind::Number { .. } => (RecordFieldType::Number, &[][..]),
            FieldKind::Boolean => (RecordFieldType::Boolean, &[][..]),
            FieldKind::TextOrInteger => (RecordFieldType::TextOrInteger, &[][..]),
            FieldKind::Items(_) => (RecordFieldType::Items, &[][..]),
        };
        let Field { name, required, personal, .. } = field;
        Self { name: name.clone(), kind, values: values.to_vec(), required: *required, personal: *personal }
    }
}

impl Topic {
    fn new(name: String, partitions: Vec<PartitionOverview>, schemas: &[TopicSchema], status: &StreamStatus) -> Self {
        let counts = status.report.counts.topics.get(&name).cloned().unwrap_or_default();
        Self {
            schema: schemas.iter().find(|schema| schema.name == name).map(RecordSchema::from),
            watermark: status.report.watermarks.get(&name).copied().map(rfc3339_millis),
            records: counts.records,
            late: counts.late,
            refused: counts.refused,
            partitions,
            name,
        }
    }
}

/// The topics by name: those that rules read, whether or not they have records, and all others that have.
#[utoipa::path(
    get, path = "/topics", tag = "topics", params(PageParams),
    responses((status = 200, description = "A page of topics.", body = Page<Topic>)),
)]
async fn list_topics(State(app): app::State, listing: Listing<Everything>) -> Result<Json<Page<Topic>>, Problem> {
    let topics = app.api.topics.clone();
    let found = app.read_files(move || topics.overview()).await?;
    let schemas = app.registry().schemas();
    let mut topics: BTreeMap<String, _> = schemas.iter().map(|schema| (schema.name.clone(), Vec::new())).collect();
    topics.extend(found.into_iter().map(|topic| (topic.topic, topic.partitions)));
    let after = listing.cursor.unwrap_or_default();
    let mut wanted = topics.into_iter().filter(|(name, _)| **name > *after);
    let status = app.api.streams.status.borrow();
    let items: Vec<Topic> = wanted
        .by_ref()
        .take(listing.limit as usize)
        .map(|(name, partitions)| Topic::new(name, partitions, schemas, &status))
        .collect();
    let next_cursor = wanted.next().and_then(|_| items.last().map(|topic| topic.name.clone()));
    Ok(Json(Page { items, next_cursor }))
}
