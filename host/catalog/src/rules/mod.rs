//! Table `rules`: the rules, and which of their versions run.

pub(crate) mod change;
mod step;

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::Result;
use utoipa::ToSchema;

pub use step::{RuleStep, Trip};

use crate::budgets::Budget;
use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, FromRow)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Goes up with each change of the rule or of the state of one of its versions.
    pub revision: u64,
    /// What of it runs.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub pointers: Pointers,
    /// Who made it.
    pub created_by: String,
    /// RFC 3339.
    pub created_at: String,
    /// When its revision went up last.
    pub changed_at: String,
}

/// Which versions of a rule run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema, FromRow)]
pub struct Pointers {
    /// The version that judges.
    pub active_version: Option<u32>,
    /// The version that is tried beside it.
    #[sqlx(json(nullable))]
    pub trial: Option<Trial>,
    /// The kill switch: nothing runs, whatever the rest says.
    pub disabled: bool,
    /// The versions that a roll back points back to, the next one last.
    #[sqlx(json)]
    pub live_before: Vec<u32>,
}

/// A version that is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// Which.
    pub version: u32,
    /// How.
    #[serde(flatten)]
    pub mode: TrialMode,
}

/// How a version is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum TrialMode {
    /// On all keys, and its alerts do not count.
    Shadow,
    /// On some of the keys, in place of the active version, and its alerts count.
    Canary {
        /// Of how many keys in a hundred, 1 to 99.
        canary_percent: u8,
        /// What it must keep to.
        budget: Budget,
    },
}

named! {
    /// What a rule does as a whole.
    pub enum RuleMode: "mode of a rule" {
        /// Nothing of it runs.
        Disabled = "disabled",
        /// It is tried, and its alerts do not count.
        Shadow = "shadow",
        /// It is tried on some of the keys, and judges no others.
        Canary = "canary",
        /// It judges.
        Active = "active",
    }
}

impl Pointers {
    /// What the rule does as a whole.
    pub fn mode(&self) -> RuleMode {
        match (self.disabled, self.active_version, &self.trial) {
            (true, _, _) | (false, None, None) => RuleMode::Disabled,
            (false, Some(_), _) => RuleMode::Active,
            (false, None, Some(trial)) => match trial.mode {
                TrialMode::Shadow => RuleMode::Shadow,
                TrialMode::Canary { .. } => RuleMode::Canary,
            },
        }
    }
}

impl Trial {
    /// Whether its numbers make sense.
    fn check(&self) -> Result<(), &'static str> {
        match &self.mode {
            TrialMode::Shadow => Ok(()),
            TrialMode::Canary { canary_percent: 1..=99, budget } => budget.check(),
            TrialMode::Canary { .. } => Err("canary_percent is from 1 to 99"),
        }
    }
}

impl Catalog {
    /// The rule of this name.
    pub async fn rule(&self, name: &str) -> Result<Option<Rule>> {
        find(&self.readers, name).await
    }

    /// All rules, by name.
    pub async fn rules(&self, page: &PageQuery<'_>) -> Result<Page<Rule>> {
        let query = sqlx::query_as("SELECT * FROM rules WHERE name > ?1 ORDER BY name LIMIT ?2").bind(page.after());
        page.fetch(&self.readers, query, |rule: &Rule| rule.name.clone()).await.stored("list", "rules")
    }
}

/// The rule of this name, as the connection sees it.
pub(crate) async fn find(executor: impl SqliteExecutor<'_>, name: &str) -> Result<Option<Rule>> {
    sqlx::query_as("SELECT * FROM rules WHERE name = ?")
        .bind(name)
        .fetch_optional(executor)
        .await
        .stored("find rule", name)
}
