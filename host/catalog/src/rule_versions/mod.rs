//! Table `rule_versions`: the numbered versions of rules, whose content never changes, on their way from draft to live.

pub(crate) mod change;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::Result;
use utoipa::ToSchema;

use crate::budgets::Breaker;
use crate::change::Action;
use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

named! {
    /// How a rule version stands.
    pub enum VersionState: "state of a rule version" {
        /// It is written, and can be tried in shadow.
        Draft = "draft",
        /// Somebody else is to look at it.
        InReview = "in_review",
        /// It may be put to work.
        Approved = "approved",
        /// It is the active one of its rule.
        Live = "live",
        /// It was live, and may be again.
        Retired = "retired",
    }
}

named! {
    /// What becomes of stored state that another state version wrote.
    pub enum OnStateChange: "way with state" {
        /// The version is refused.
        Keep = "keep",
        /// The plugin migrates it.
        Migrate = "migrate",
        /// It is forgotten.
        Reset = "reset",
    }
}

/// What happens when a plugin fails on a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// The row goes to the dead letters, the rest is delivered.
    #[default]
    DeadLetter,
    /// The stream stops, nothing is skipped.
    Halt,
    /// As dead letter, until too many fail: then the rule is disabled.
    Disable(Breaker),
}

impl FailurePolicy {
    /// Whether its numbers make sense.
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::DeadLetter | Self::Halt => Ok(()),
            Self::Disable(breaker) => breaker.check(),
        }
    }
}

/// What a version is; never changes.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, FromRow)]
pub struct VersionContent {
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// SHA-256 of the plugin's bytes, hex.
    pub plugin_sha256: String,
    /// What differs from the defaults of the plugin's manifest.
    #[sqlx(json)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// The topic of its alerts; none = the manifest's.
    pub route: Option<String>,
    /// What happens when the plugin fails on a row.
    #[sqlx(json)]
    pub on_failure: FailurePolicy,
    /// What becomes of stored state of another state version.
    pub on_state_change: OnStateChange,
}

/// A version to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVersion {
    /// What it is.
    pub content: VersionContent,
    /// The version that it was made from, which its history is told against.
    pub based_on: Option<u32>,
}

/// A version of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, FromRow)]
pub struct RuleVersion {
    /// Its rule.
    pub rule: String,
    /// Counts up from 1 in each rule.
    pub number: u32,
    /// How it stands.
    pub state: VersionState,
    /// The version that it was made from.
    pub based_on: Option<u32>,
    /// What it is.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub content: VersionContent,
    /// Who wrote it.
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
    /// Why, in their words.
    pub why: Option<String>,
    /// Who approved it: never its author, nor who uploaded its plugin.
    pub approved_by: Option<String>,
    /// RFC 3339.
    pub approved_at: Option<String>,
}

/// Something that people do to a version; that it goes live is a [`crate::rules::RuleStep`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionStep {
    /// Ask for a review.
    Submit,
    /// Let it be put to work.
    Approve,
    /// Send it back to its author.
    Reject,
}

impl VersionStep {
    /// Its name in audit log and history.
    pub fn action(self) -> Action {
        match self {
            Self::Submit => Action::VersionSubmit,
            Self::Approve => Action::VersionApprove,
            Self::Reject => Action::VersionReject,
        }
    }
}

impl VersionState {
    /// Where a step leads; none = it cannot be done.
    fn after(self, step: VersionStep) -> Option<Self> {
        match (self, step) {
            (Self::Draft, VersionStep::Submit) => Some(Self::InReview),
            (Self::InReview, VersionStep::Approve) => Some(Self::Approved),
            (Self::InReview, VersionStep::Reject) => Some(Self::Draft),
            _ => None,
        }
    }
}

impl RuleVersion {
    /// What history and audit log show of it.
    pub(crate) fn shown(&self) -> Value {
        json!({"version": self.number, "content": self.content})
    }
}

impl Catalog {
    /// A version of a rule.
    pub async fn rule_version(&self, rule: &str, number: u32) -> Result<Option<RuleVersion>> {
        find(&self.readers, rule, number).await
    }

    /// The versions of a rule, newest first.
    pub async fn rule_versions(&self, rule: &str, page: &PageQuery<'_>) -> Result<Page<RuleVersion>> {
        let query = "SELECT * FROM rule_versions WHERE rule = ?1 AND number < ?2 \
             ORDER BY number DESC LIMIT ?3";
        let query = sqlx::query_as(query).bind(rule).bind(page.before()?);
        page.fetch(&self.readers, query, |version: &RuleVersion| version.number.to_string())
            .await
            .stored("list versions of rule", rule)
    }
}

/// A version of a rule, as the connection sees it.
async fn find(executor: impl SqliteExecutor<'_>, rule: &str, number: u32) -> Result<Option<RuleVersion>> {
    sqlx::query_as("SELECT * FROM rule_versions WHERE rule = ? AND number = ?")
        .bind(rule)
        .bind(number)
        .fetch_optional(executor)
        .await
        .stored("find version of rule", rule)
}
