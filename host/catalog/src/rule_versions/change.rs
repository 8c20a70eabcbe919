//! Changes of rule versions: each one transaction that makes a new revision of the rule, with all that goes with it.

use serde_json::{Value, json};
use sqlx::types::Json;
use tamis_model::Result;

use super::{NewVersion, RuleVersion, VersionContent, VersionState, VersionStep, find};
use crate::change::{Action, Change, Write, Written};
use crate::conflict::Conflict;
use crate::diff::diff;
use crate::plugins::PluginState;
use crate::rules::change as rules;
use crate::{Catalog, Stored};

impl Catalog {
    /// Drafts a version of a rule that is at revision `expected_revision` (none = at any).
    pub async fn create_version(
        &self,
        rule: &str,
        new: &NewVersion,
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<RuleVersion> {
        let mut write = self.change(Action::VersionCreate, rule, change).await?;
        let result = create(&mut write, new, expected_revision).await;
        write.finish(result).await
    }

    /// Does a step to a version of a rule that is at revision `expected_revision` (none = at any).
    pub async fn change_version(
        &self,
        rule: &str,
        number: u32,
        step: VersionStep,
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<RuleVersion> {
        let mut write = self.change(step.action(), rule, change).await?;
        let result = apply(&mut write, number, step, expected_revision).await;
        write.finish(result).await
    }
}

/// A version of the rule that is being changed.
pub(crate) async fn load(write: &mut Write<'_>, number: u32) -> Result<RuleVersion> {
    let found = find(&mut *write.transaction, write.object, number).await?;
    found.ok_or_else(|| write.missing(format!("it has no version {number}")))
}

/// Writes a draft of the rule that is being changed.
pub(crate) async fn insert(write: &mut Write<'_>, number: u32, new: &NewVersion) -> Result<RuleVersion> {
    let NewVersion { content, based_on } = new;
    content.on_failure.check().map_err(|reason| write.invalid(reason))?;
    expect_ready(write, content).await?;
    let query = sqlx::query(
        "INSERT INTO rule_versions (rule, number, state, based_on, plugin, plugin_version, plugin_sha256, config, \
         route, on_failure, on_state_change, author, created_at, why) \
         VALUES (?, ?, 'draft', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query
        .bind(write.object)
        .bind(number)
        .bind(based_on)
        .bind(&content.plugin)
        .bind(&content.plugin_version)
        .bind(&content.plugin_sha256)
        .bind(Json(&content.config))
        .bind(&content.route)
        .bind(Json(&content.on_failure))
        .bind(content.on_state_change)
        .bind(write.subject())
        .bind(write.at())
        .bind(write.change.why);
    write.execute(query).await?;
    load(write, number).await
}

/// A version of the rule that is being changed stands otherwise from now on.
pub(crate) async fn set_state(write: &mut Write<'_>, number: u32, state: VersionState) -> Result<()> {
    let query = sqlx::query("UPDATE rule_versions SET state = ? WHERE rule = ? AND number = ?");
    write.execute(query.bind(state).bind(write.object).bind(number)).await.map(drop)
}

/// Only what was checked and compiled can become a version.
async fn expect_ready(write: &mut Write<'_>, content: &VersionContent) -> Result<()> {
    let VersionContent { plugin, plugin_version, plugin_sha256, .. } = content;
    let query =
        "SELECT state FROM plugin_versions WHERE sha256 = ? AND (state <> 'ready' OR (name = ? AND version = ?))";
    let state: Option<PluginState> = sqlx::query_scalar(query)
        .bind(plugin_sha256)
        .bind(plugin)
        .bind(plugin_version)
        .fetch_optional(&mut *write.transaction)
        .await
        .stored(write.operation(), write.object)?;
    match state {
        Some(PluginState::Ready) => Ok(()),
        Some(state) => {
            Err(write.refuse(Conflict::State(format!("plugin {plugin} {plugin_version} is {state}, not ready"))))
        }
        None => Err(write.missing(format!("there is no plugin {plugin} {plugin_version} of hash {plugin_sha256}"))),
    }
}

/// Nobody approves what they made themselves, nor with a token that its author made.
async fn expect_other_eyes(write: &mut Write<'_>, version: &RuleVersion) -> Result<()> {
    let (subject, author) = (write.subject(), &version.author);
    let query = "SELECT (SELECT uploaded_by FROM plugin_versions WHERE sha256 = ?), \
         (SELECT created_by FROM tokens WHERE id = ?)";
    let (uploader, token_maker): (Option<String>, Option<String>) = sqlx::query_as(query)
        .bind(&version.content.plugin_sha256)
        .bind(&write.change.actor.token_id)
        .fetch_one(&mut *write.transaction)
        .await
        .stored(write.operation(), write.object)?;
    let (whose, part) = match () {
        () if author == subject => (subject, "is its author"),
        () if uploader.as_deref() == Some(subject) => (subject, "uploaded its plugin"),
        () if token_maker.as_ref() == Some(author) => {
            (author.as_str(), "is its author and made the token that approves it")
        }
        () => return Ok(()),
    };
    Err(write.refuse(Conflict::OwnChange { subject: whose.to_owned(), part }))
}

async fn create(
    write: &mut Write<'_>,
    new: &NewVersion,
    expected_revision: Option<u64>,
) -> Result<Written<RuleVersion>> {
    let rule = rules::load(write, expected_revision).await?;
    let before = match new.based_on {
        Some(number) => load(write, number).await?.shown(),
        None => Value::Null,
    };
    let newest: u32 = sqlx::query_scalar("SELECT max(number) FROM rule_versions WHERE rule = ?")
        .bind(write.object)
        .fetch_one(&mut *write.transaction)
        .await
        .stored(write.operation(), write.object)?;
    let version = insert(write, newest + 1, new).await?;
    let (before, after) = diff(&before, &version.shown());
    rules::advance(write, &rule, Some(version.number), &before, &after).await?;
    Ok(Written { value: version, before, after })
}

async fn apply(
    write: &mut Write<'_>,
    number: u32,
    step: VersionStep,
    expected_revision: Option<u64>,
) -> Result<Written<RuleVersion>> {
    let rule = rules::load(write, expected_revision).await?;
    let version = load(write, number).await?;
    let Some(next) = version.state.after(step) else {
        return Err(write.refuse(Conflict::State(format!("version {number} is {}", version.state))));
    };
    match step {
        VersionStep::Approve => expect_other_eyes(write, &version).await?,
        VersionStep::Reject => write.expect_why()?,
        VersionStep::Submit => {}
    }
    let approved = (step == VersionStep::Approve).then(|| (write.subject(), write.at())).unzip();
    let query = sqlx::query(
        "UPDATE rule_versions SET state = ?, approved_by = ?, approved_at = ? WHERE rule = ? AND number = ?",
    );
    write.execute(query.bind(next).bind(approved.0).bind(approved.1).bind(&rule.name).bind(number)).await?;
    let shown = |state| json!({"version": number, "state": state});
    let (before, after) = (shown(version.state), shown(next));
    rules::advance(write, &rule, Some(number), &before, &after).await?;
    Ok(Written { value: load(write, number).await?, before, after })
}
