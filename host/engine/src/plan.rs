//! A rule set laid over the topics: which columns are decoded, and where each rule finds its own.

use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array, new_null_array};
use tamis_model::aggregate::{WINDOW, WINDOW_START};
use tamis_model::manifest::{Input, Late, Manifest};
use tamis_model::schema::{Column, ColumnType};
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};

use crate::context::Context;
use crate::decode::json::RecordDecoder;
use crate::rules::{RulePlan, RuleSet};

/// What is done with the records of the topics.
pub(crate) struct Plan {
    pub topics: Vec<TopicPlan>,
    pub layouts: Vec<Layout>,
}

/// What is done with the records of one topic.
pub(crate) struct TopicPlan {
    pub schema: TopicSchema,
    /// At least one; each decodes its own part of a chunk.
    pub decoders: Vec<RecordDecoder>,
    pub identities: Identities,
    /// The ways in which its rows are grouped; rules of the same way share the groups.
    pub groupings: Vec<Grouping>,
    /// The rules that read it.
    pub readers: Vec<Reader>,
    /// The keys of rules that judge its rows elsewhere.
    pub routes: Vec<Key>,
}

/// The decoded columns by which alerts name their trigger.
pub(crate) struct Identities {
    pub id: usize,
    pub order_id: Option<usize>,
    pub customer_id: Option<usize>,
    pub payment_id: Option<usize>,
}

/// A way in which rows are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub key: Key,
    /// How many milliseconds a row may lie behind its partition's watermark; none = any.
    pub behind_ms_max: Option<i64>,
}

/// What groups rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// All rows have the key [`ALL`].
    All,
    /// A decoded column.
    Column(usize),
}

/// The key, and in manifests the key column, of rules that put all events under one key.
pub(crate) const ALL: &str = "all";

/// A rule as the reader of a topic.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    pub rule: usize,
    pub input: usize,
    /// Among the topic's groupings; none for rules without a key.
    pub grouping: Option<usize>,
}

/// The columns of a rule.
pub(crate) struct Layout {
    pub inputs: Vec<LayoutInput>,
    pub keyed: bool,
    pub context: Context,
}

/// The columns that a rule has of one topic.
pub(crate) struct LayoutInput {
    /// Among the topics of the plan.
    pub topic: usize,
    /// For each declared column the decoded one.
    pub columns: Vec<usize>,
    pub types: Vec<ColumnType>,
    /// Whether the key tells who a person is.
    pub personal_key: bool,
}

impl Plan {
    /// Refuses rules that no record could ever suit, with the name of the rule and the column. Those of `routed` judge elsewhere.
    pub fn new(schemas: &[TopicSchema], rules: &RuleSet, routed: &RuleSet) -> Result<Self> {
        let mut drafts: Vec<Draft> = schemas.iter().map(Draft::new).collect();
        for input in routed.rules.iter().flat_map(|rule| &rule.manifest.inputs) {
            let draft = drafts.iter_mut().find(|draft| Some(&draft.schema.name) == input.topic.as_ref());
            if let (Some(draft), Some(key)) = (draft, &input.key) {
                draft.route(key);
            }
        }
        let mut layouts = Vec::with_capacity(rules.rules.len());
        for (index, rule) in rules.rules.iter().enumerate() {
            let same_place = |other: &&Arc<RulePlan>| {
                other.name == rule.name
                    && (other.version == rule.version || other.role.is_trial() == rule.role.is_trial())
            };
            if rules.rules[..index].iter().any(|other| same_place(&other)) {
                return Err(refuse(rule, "another version of it has the same place in the set"));
            }
            layouts.push(Layout::new(index, rule, &mut drafts)?);
        }
        Ok(Self { topics: drafts.into_iter().map(Draft::finish).collect::<Result<_>>()?, layouts })
    }

    /// The index of a topic.
    pub fn topic(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.schema.name == name)
    }
}

fn refuse(rule: &RulePlan, reason: impl Into<String>) -> Error {
    Error::invalid("put to work", rule, reason)
}

/// A topic's plan in the making.
struct Draft<'a> {
    schema: &'a TopicSchema,
    columns: Vec<String>,
    groupings: Vec<Grouping>,
    readers: Vec<Reader>,
    routes: Vec<Key>,
}

impl<'a> Draft<'a> {
    fn new(schema: &'a TopicSchema) -> Self {
        Self { schema, columns: Vec::new(), groupings: Vec::new(), readers: Vec::new(), routes: Vec::new() }
    }

    /// Its rows are judged elsewhere by this key.
    fn route(&mut self, key: &str) {
        let key = if key == ALL { Key::All } else { Key::Column(self.column(key)) };
        if !self.routes.contains(&key) {
            self.routes.push(key);
        }
    }

    /// The decoded column `name`, which exists from now on.
    fn column(&mut self, name: &str) -> usize {
        self.columns.iter().position(|column| column == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        })
    }

    fn grouping(&mut self, grouping: Grouping) -> usize {
        self.groupings.iter().position(|other| *other == grouping).unwrap_or_else(|| {
            self.groupings.push(grouping);
            self.groupings.len() - 1
        })
    }

    fn finish(mut self) -> Result<TopicPlan> {
        let schema = self.schema;
        let payment_id =
            schema.fields.iter().any(|f| f.name == "payment_id" && f.column_type() == Some(ColumnType::Text));
        let identities = Identities {
            id: self.column(&schema.id),
            order_id: schema.order_id.as_ref().map(|name| self.column(name)),
            customer_id: schema.customer_id.as_ref().map(|name| self.column(name)),
            payment_id: payment_id.then(|| self.column("payment_id")),
        };
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let decoder = RecordDecoder::new(schema, &names)?;
        let Self { groupings, readers, routes, .. } = self;
        Ok(TopicPlan { schema: schema.clone(), decoders: vec![decoder], identities, groupings, readers, routes })
    }
}

impl Layout {
    fn new(index: usize, rule: &Arc<RulePlan>, topics: &mut [Draft<'_>]) -> Result<Self> {
        let manifest = &rule.manifest;
        let keyed = manifest.keyed();
        check_output(manifest).map_err(|reason| refuse(rule, reason))?;
        if manifest.inputs.is_empty() || manifest.inputs.iter().any(|input| input.key.is_some() != keyed) {
            return Err(refuse(rule, "either all of its inputs have a key or none"));
        }
        if !keyed && (manifest.late == Late::Ignore || manifest.late_ms_max.is_some()) {
            return Err(refuse(rule, "only rules with a key can ignore late events"));
        }
        let mut inputs = Vec::<LayoutInput>::with_capacity(manifest.inputs.len());
        for input in &manifest.inputs {
            let name = input.topic.as_deref().unwrap_or_default();
            let topic = topics.iter().position(|topic| topic.schema.name == name);
            let topic = topic.ok_or_else(|| refuse(rule, format!("topic `{name}` has no schema here")))?;
            if inputs.iter().any(|other| other.topic == topic) {
                return Err(refuse(rule, format!("topic {name} is declared twice")));
            }
            let reader = Reader { rule: index, input: inputs.len(), grouping: None };
            inputs.push(LayoutInput::new(rule, input, topic, reader, &mut topics[topic])?);
        }
        let context = Context::new(rule, &inputs).map_err(|reason| refuse(rule, reason))?;
        Ok(Self { inputs, keyed, context })
    }

    /// The columns of a rule's batch: those of one input, and of all others `rows` nulls.
    pub fn project(&self, input: usize, rows: usize, decoded: &[ArrayRef], columns: &mut Vec<ArrayRef>) {
        columns.clear();
        for (index, layout) in self.inputs.iter().enumerate() {
            if index == input {
                columns.extend(layout.columns.iter().map(|column| decoded[*column].clone()));
            } else {
                columns.extend(layout.types.iter().map(|column| new_null_array(&column.arrow(), rows)));
            }
        }
    }

    /// The columns of a batch without rows.
    pub fn no_rows(&self) -> Vec<ArrayRef> {
        self.inputs.iter().flat_map(|input| &input.types).map(|column| new_empty_array(&column.arrow())).collect()
    }
}

impl LayoutInput {
    fn new(rule: &RulePlan, input: &Input, topic: usize, reader: Reader, draft: &mut Draft<'_>) -> Result<Self> {
        for column in &input.columns {
            check_column(column, draft.schema).map_err(|reason| {
                refuse(rule, format!("column {} of topic {}: {reason}", column.name, draft.schema.name))
            })?;
        }
        let mut personal_key = false;
        let behind_ms_max = match (rule.manifest.late, rule.manifest.late_ms_max) {
            (Late::Ignore, _) => Some(0),
            (Late::Judge, max) => max.map(|max| i64::try_from(max).unwrap_or(i64::MAX)),
        };
        let grouping = match input.key.as_deref() {
            None => None,
            Some(ALL) => Some(Grouping { key: Key::All, behind_ms_max }),
            Some(name) => {
                let field = draft.schema.field(name).filter(|field| field.column_type() == Some(ColumnType::Text));
                let reason = || refuse(rule, format!("key {name} is no text column of topic {}", draft.schema.name));
                personal_key = field.ok_or_else(reason)?.personal;
                Some(Grouping { key: Key::Column(draft.column(name)), behind_ms_max })
            }
        };
        let grouping = grouping.map(|grouping| draft.grouping(grouping));
        draft.readers.push(Reader { grouping, ..reader });
        let columns = input.columns.iter().map(|column| draft.column(&column.name)).collect();
        let types = input.columns.iter().map(|column| column.column_type).collect();
        Ok(Self { topic, columns, types, personal_key })
    }
}

/// Whether rows that a rule emits are those of an aggregate: the host needs to know their window.
fn check_output(manifest: &Manifest) -> Result<(), String> {
    if manifest.output.is_none() {
        return Ok(());
    }
    for (name, wanted) in [(WINDOW, ColumnType::Text), (WINDOW_START, ColumnType::Timestamp)] {
        if manifest.output_type(name) != Some(wanted) {
            return Err(format!("its output needs a column `{name}` of type {wanted:?}"));
        }
    }
    Ok(())
}

/// Whether the topic can fill a declared column.
fn check_column(column: &Column, schema: &TopicSchema) -> Result<(), String> {
    let field = schema.field(&column.name).ok_or("the topic does not have it")?;
    let found = field.column_type().ok_or("it cannot be a column")?;
    if found != column.column_type {
        return Err(format!("it is {found:?} there and declared as {:?}", column.column_type));
    }
    if field.personal && !column.personal {
        return Err("it is personal there and not declared as such (in Rust: `#[row(personal)]`)".to_owned());
    }
    if column.required && !field.required {
        return Err("it may be null there and is declared as required".to_owned());
    }
    Ok(())
}
