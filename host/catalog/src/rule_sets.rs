//! Table `rule_set`: the one revision of all that runs, and everything that a snapshot of it needs.

use std::collections::HashMap;

use sqlx::{SqliteExecutor, SqlitePool};
use tamis_model::Result;

use crate::change::Write;
use crate::lists::{List, current_lists};
use crate::rule_versions::RuleVersion;
use crate::rules::Rule;
use crate::{Catalog, Stored};

/// All that runs, as it was at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningRules {
    /// The revision of it.
    pub revision: u64,
    /// The rules of which something runs, by name.
    pub rules: Vec<RunningRule>,
    /// All lists, by name.
    pub lists: Vec<List>,
}

/// A rule of which something runs: at least one of its two versions is there.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningRule {
    /// The rule, which is not disabled.
    pub rule: Rule,
    /// The version that judges.
    pub active: Option<RuleVersion>,
    /// The version that is tried; how, says the rule.
    pub trial: Option<RuleVersion>,
}

const RULES: &str =
    "SELECT * FROM rules WHERE disabled = 0 AND (active_version IS NOT NULL OR trial IS NOT NULL) ORDER BY name";
const VERSIONS: &str = "SELECT version.* FROM rules JOIN rule_versions AS version \
     ON rule = name AND number IN (active_version, trial ->> '$.version') WHERE disabled = 0";

impl Catalog {
    /// The revision of all that runs; goes up with each change of what a rule runs and of a list that people change.
    pub async fn rule_set_revision(&self) -> Result<u64> {
        revision(&self.readers).await.stored("find", "rule set revision")
    }

    /// All that runs, as it is at one moment.
    pub async fn running_rules(&self) -> Result<RunningRules> {
        read(&self.readers).await.stored("read", "running rules")
    }
}

/// The revision of all that runs, as the connection sees it.
pub(crate) async fn revision(executor: impl SqliteExecutor<'_>) -> sqlx::Result<u64> {
    sqlx::query_scalar("SELECT revision FROM rule_set").fetch_one(executor).await
}

async fn read(pool: &SqlitePool) -> sqlx::Result<RunningRules> {
    // All reads of one transaction see the same moment.
    let mut transaction = pool.begin().await?;
    let revision = revision(&mut *transaction).await?;
    let rules: Vec<Rule> = sqlx::query_as(RULES).fetch_all(&mut *transaction).await?;
    let versions: Vec<RuleVersion> = sqlx::query_as(VERSIONS).fetch_all(&mut *transaction).await?;
    let lists = current_lists(&mut *transaction).await?;

    let mut versions: HashMap<_, _> =
        versions.into_iter().map(|version| ((version.rule.clone(), version.number), version)).collect();
    let mut version = |rule: &Rule, number: Option<u32>| versions.remove(&(rule.name.clone(), number?));
    let rules = rules.into_iter().map(|rule| RunningRule {
        active: version(&rule, rule.pointers.active_version),
        trial: version(&rule, rule.pointers.trial.as_ref().map(|trial| trial.version)),
        rule,
    });
    Ok(RunningRules { revision, rules: rules.collect(), lists })
}

/// Another thing runs from now on.
pub(crate) async fn bump(write: &mut Write<'_>) -> Result<()> {
    write.execute(sqlx::query("UPDATE rule_set SET revision = revision + 1")).await.map(drop)
}
