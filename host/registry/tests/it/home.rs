//! A home with plugins and rules.

use std::sync::Arc;

use serde_json::{Value, json};
use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::{Rule, RuleStep};
use tamis_catalog::{Actor, Catalog, Change};
use tamis_model::Result;
use tamis_model::topic::TopicSchema;
use tamis_registry::{Draft, Registry};
use tempfile::TempDir;

use crate::components::{self, SANDBOX};

/// The rule, and the plugin of all its versions.
pub const RULE: &str = "card-testing";
/// The list that its plugin declares.
pub const LIST: &str = "fraud_bins";
const PAYMENTS: &str = include_str!("../../../../schemas/topics/payments.schema.json");

pub struct Home {
    pub folder: TempDir,
    pub registry: Registry,
}

impl Home {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let schemas = vec![TopicSchema::parse(PAYMENTS).unwrap()];
        let components = folder.path().join("components");
        let registry = Registry::open(Arc::clone(&SANDBOX), catalog, components, schemas).await.unwrap();
        Self { folder, registry }
    }

    pub fn catalog(&self) -> &Catalog {
        self.registry.catalog()
    }

    /// Takes in a version of the plugin that says `members` of itself besides.
    pub async fn plugin(&self, version: &str, members: Value) {
        let mut manifest = components::manifest(RULE, version);
        manifest.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.registry.take_in(components::describing(&manifest)).await.unwrap();
    }

    /// A version of the rule by alice, of this version of the plugin, which bob approved.
    pub async fn approved(&self, plugin_version: &str) -> u32 {
        let draft = Draft {
            plugin: Some(RULE.to_owned()),
            plugin_version: Some(plugin_version.to_owned()),
            ..Draft::default()
        };
        let number = match self.catalog().rule(RULE).await.unwrap() {
            Some(_) => self.registry.create_version(RULE, &draft, &by(&alice())).await.unwrap().number,
            None => self.registry.create_rule(RULE, &draft, &by(&alice())).await.map(|_| 1).unwrap(),
        };
        for (step, actor) in [(VersionStep::Submit, alice()), (VersionStep::Approve, person("bob"))] {
            self.catalog().change_version(RULE, number, step, None, &by(&actor)).await.unwrap();
        }
        number
    }

    /// A step of alice.
    pub async fn step(&self, step: RuleStep) -> Result<Rule> {
        self.registry.change_rule(RULE, &step, None, &by(&alice())).await
    }

    /// Gives the list one value.
    pub async fn put(&self, value: &str) -> Result<()> {
        self.registry.put_list(LIST, &[value.to_owned()], None, &by(&alice())).await.map(drop)
    }

    pub async fn rule(&self) -> Rule {
        self.catalog().rule(RULE).await.unwrap().unwrap()
    }
}

/// A plugin that accepts short values of its list alone.
pub fn strict() -> Value {
    let mut config = components::manifest(RULE, "0.0.0")["config"].take();
    config["schema"]["properties"]["bins"]["items"] = json!({"type": "string", "maxLength": 6});
    json!({"config": config})
}

pub fn person(subject: &str) -> Actor {
    Actor { subject: subject.to_owned(), token_id: None }
}

pub fn alice() -> Actor {
    person("alice")
}

pub fn by(actor: &Actor) -> Change<'_> {
    Change { actor, why: Some("a test"), at: 7 }
}
