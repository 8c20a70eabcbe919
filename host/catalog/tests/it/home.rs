//! A catalogue in a folder of its own, with people, plugins and rules.

use sqlx::SqlitePool;
use tamis_catalog::plugins::{Build, PluginState};
use tamis_catalog::rule_versions::{FailurePolicy, NewVersion, OnStateChange, VersionContent, VersionStep};
use tamis_catalog::rules::{Rule, RuleStep, Trial, TrialMode};
use tamis_catalog::{Actor, Catalog, Change, Conflict, PageQuery};
use tamis_model::Result;
use tamis_model::manifest::Manifest;
use tempfile::TempDir;

/// The first page of anything.
pub const FIRST: PageQuery<'static> = PageQuery { cursor: None, limit: 100 };
/// The plugin of all rules.
pub const PLUGIN: &str = "card-testing";

pub struct Home {
    pub folder: TempDir,
    pub catalog: Catalog,
}

impl Home {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        Self { folder, catalog }
    }

    /// The database as somebody sees it who goes around the catalogue.
    pub async fn database(&self) -> SqlitePool {
        SqlitePool::connect(&format!("sqlite:{}", self.folder.path().join("tamis.db").display())).await.unwrap()
    }

    /// A home with a rule of one draft, by alice.
    pub async fn with_rule(name: &str) -> Self {
        let home = Self::open().await;
        home.upload("1.0.0").await;
        home.catalog.create_rule(name, &version("1.0.0", 3), &by(&alice())).await.unwrap();
        home
    }

    /// A version of the plugin that is ready.
    pub async fn upload(&self, version: &str) {
        let sha256 = sha256(version);
        self.catalog.begin_upload(&sha256, 3, &by(&alice())).await.unwrap();
        let build = Build::Ready(Box::new(manifest(PLUGIN, version)));
        assert_eq!(self.catalog.finish_upload(&sha256, build, 1).await.unwrap().state, PluginState::Ready);
    }

    /// Another version of a rule, by alice, which bob approved.
    pub async fn approved(&self, rule: &str, attempts_max: u32) -> u32 {
        let drafted = self.catalog.create_version(rule, &version("1.0.0", attempts_max), None, &by(&alice())).await;
        let number = drafted.unwrap().number;
        self.approve(rule, number).await;
        number
    }

    /// Brings a draft through its review.
    pub async fn approve(&self, rule: &str, number: u32) {
        for (step, actor) in [(VersionStep::Submit, alice()), (VersionStep::Approve, bob())] {
            self.catalog.change_version(rule, number, step, None, &by(&actor)).await.unwrap();
        }
    }

    /// A step of alice, who says why.
    pub async fn step(&self, rule: &str, step: &RuleStep) -> Result<Rule> {
        self.catalog.change_rule(rule, step, None, &by(&alice())).await
    }

    /// How many rows audit log, events and the history of a rule have, and the revision of the rule set: what a change
    /// that was refused leaves alone, but for its audit row.
    pub async fn traces(&self, rule: &str) -> (usize, i64, usize, u64) {
        let audit = self.catalog.audit(&tamis_catalog::audit::AuditFilter::default(), &FIRST).await.unwrap();
        let history = self.catalog.rule_history(rule, &FIRST).await.unwrap();
        let events = self.catalog.last_event_id().await.unwrap();
        (audit.items.len(), events, history.items.len(), self.catalog.rule_set_revision().await.unwrap())
    }
}

pub fn alice() -> Actor {
    Actor { subject: "alice".to_owned(), token_id: Some("0000000a".to_owned()) }
}

pub fn bob() -> Actor {
    Actor { subject: "bob".to_owned(), token_id: None }
}

/// A change at a fixed time, with a reason.
pub fn by(actor: &Actor) -> Change<'_> {
    Change { actor, why: Some("a test"), at: 7 }
}

pub fn shadow(version: u32) -> RuleStep {
    RuleStep::Try(Trial { version, mode: TrialMode::Shadow })
}

/// Sixty-four digits that differ from version to version.
pub fn sha256(version: &str) -> String {
    format!("{:0>64}", version.replace('.', ""))
}

pub fn manifest(name: &str, version: &str) -> Manifest {
    let text = format!(r#"{{"name": "{name}", "version": "{version}", "title": "A test", "world": "rule"}}"#);
    serde_json::from_str(&text).unwrap()
}

/// A version of a rule of plugin version `plugin_version`, with one setting.
pub fn version(plugin_version: &str, attempts_max: u32) -> NewVersion {
    let content = VersionContent {
        plugin: PLUGIN.to_owned(),
        plugin_version: plugin_version.to_owned(),
        plugin_sha256: sha256(plugin_version),
        config: [("attempts_max".to_owned(), attempts_max.into())].into_iter().collect(),
        route: None,
        on_failure: FailurePolicy::DeadLetter,
        on_state_change: OnStateChange::Keep,
    };
    NewVersion { content, based_on: None }
}

/// Why a change was refused.
#[track_caller]
pub fn conflict<T: std::fmt::Debug>(result: Result<T>) -> Conflict {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), tamis_model::Kind::Conflict, "{}", error.chain());
    Conflict::of(&error).unwrap().clone()
}
