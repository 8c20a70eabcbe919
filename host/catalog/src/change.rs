//! The one way in which anything is changed that people decide: in a transaction, with its audit row and its event.
//!
//! [`Catalog::change`] opens a [`Write`], the caller does its work in it, and [`Write::finish`] commits all of it or
//! takes all of it back; of a conflict the audit log keeps that it was refused.

use serde_json::{Value, json};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, Transaction};
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

use crate::audit::AuditEntry;
use crate::conflict::Conflict;
use crate::named::named;
use crate::{Catalog, Stored, audit, events};

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `alice`; `system` is the host itself, `local` the person at the command line of the home.
    pub subject: String,
    /// The token that was shown, if one was.
    pub token_id: Option<String>,
}

impl Actor {
    /// The host itself.
    pub fn system() -> Self {
        Self { subject: "system".to_owned(), token_id: None }
    }

    /// The person at the command line, with access to the home folder.
    pub fn local() -> Self {
        Self { subject: "local".to_owned(), token_id: None }
    }
}

/// Who changes something, why, and when.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// Why, in their words.
    pub why: Option<&'a str>,
    /// When.
    pub at: Millis,
}

named! {
    /// What is done, as audit log, histories and events call it.
    pub enum Action: "action" {
        /// Bytes of a plugin were taken in.
        PluginUpload = "plugin.upload",
        /// They were checked and compiled, or refused.
        PluginBuild = "plugin.build",
        /// A rule was made, with its first version.
        RuleCreate = "rule.create",
        /// A version is tried in shadow.
        RuleShadow = "rule.shadow",
        /// A version is tried on some of the keys.
        RuleCanary = "rule.canary",
        /// The trial was ended.
        RuleEndTrial = "rule.end_trial",
        /// A version judges.
        RuleActivate = "rule.activate",
        /// The version judges that was live before.
        RuleRollBack = "rule.roll_back",
        /// The kill switch.
        RuleDisable = "rule.disable",
        /// The kill switch was taken back.
        RuleEnable = "rule.enable",
        /// The host stopped a version by itself.
        RuleTrip = "rule.trip",
        /// The host ended a canary by itself.
        RuleRollBackCanary = "rule.roll_back_canary",
        /// A version was drafted.
        VersionCreate = "rule_version.create",
        /// A draft went to review.
        VersionSubmit = "rule_version.submit",
        /// Somebody else approved it.
        VersionApprove = "rule_version.approve",
        /// It went back to its author.
        VersionReject = "rule_version.reject",
        /// A list has new values.
        ListPut = "list.put",
        /// A token was made.
        TokenCreate = "token.create",
        /// A token is worth nothing from now on.
        TokenRevoke = "token.revoke",
        /// A backtest was asked for.
        BacktestCreate = "backtest.create",
        /// A backtest is to stop.
        BacktestCancel = "backtest.cancel",
        /// A backtest is over.
        BacktestFinish = "backtest.finish",
        /// Dead letters are sent through again.
        DeadLettersRedrive = "dead_letters.redrive",
        /// A run was asked for.
        RunStart = "run.start",
        /// A decision was asked for. Only those that were refused are kept.
        DecisionAsk = "decision.ask",
    }
}

impl Action {
    /// What an error says could not be done.
    pub(crate) const fn operation(self) -> &'static str {
        match self {
            Self::PluginUpload => "upload plugin",
            Self::PluginBuild => "build plugin",
            Self::RuleCreate => "create rule",
            Self::RuleShadow => "try in shadow a version of rule",
            Self::RuleCanary => "try as canary a version of rule",
            Self::RuleEndTrial => "end trial of rule",
            Self::RuleActivate => "activate a version of rule",
            Self::RuleRollBack => "roll back rule",
            Self::RuleDisable => "disable rule",
            Self::RuleEnable => "enable rule",
            Self::RuleTrip => "trip rule",
            Self::RuleRollBackCanary => "roll back canary of rule",
            Self::VersionCreate => "create a version of rule",
            Self::VersionSubmit => "submit a version of rule",
            Self::VersionApprove => "approve a version of rule",
            Self::VersionReject => "reject a version of rule",
            Self::ListPut => "change list",
            Self::TokenCreate => "create token",
            Self::TokenRevoke => "revoke token",
            Self::BacktestCreate => "create backtest",
            Self::BacktestCancel => "cancel backtest",
            Self::BacktestFinish => "finish backtest",
            Self::DeadLettersRedrive => "redrive",
            Self::RunStart => "start run of",
            Self::DecisionAsk => "ask for a decision on",
        }
    }

    /// Events are for everybody who may look, tokens are not.
    const fn is_for_everybody(self) -> bool {
        !matches!(self, Self::TokenCreate | Self::TokenRevoke)
    }
}

/// A change at work: nothing of it is visible before [`Write::finish`], and dropping it takes all back.
pub(crate) struct Write<'a> {
    pub transaction: Transaction<'static, Sqlite>,
    /// What is changed.
    pub object: &'a str,
    pub change: Change<'a>,
    catalog: &'a Catalog,
    action: Action,
}

/// What a change came to: its result, and what audit log and event show of it.
pub(crate) struct Written<T> {
    pub value: T,
    pub before: Value,
    pub after: Value,
}

impl Catalog {
    /// Begins to change `object`.
    pub(crate) async fn change<'a>(
        &'a self,
        action: Action,
        object: &'a str,
        change: &Change<'a>,
    ) -> Result<Write<'a>> {
        let transaction = self.write(action.operation(), object).await?;
        Ok(Write { transaction, change: *change, catalog: self, action, object })
    }
}

impl<'a> Write<'a> {
    /// Commits what was done with its audit row and its event, or takes it back.
    pub async fn finish<T>(self, result: Result<Written<T>>) -> Result<T> {
        let Self { mut transaction, change, catalog, action, object } = self;
        match result {
            Ok(Written { value, before, after }) => {
                let entry = AuditEntry::done(action, object, change, &before, &after);
                audit::append(&mut transaction, &entry).await?;
                if action.is_for_everybody() {
                    let data = json!({
                        "subject": change.actor.subject, "why": change.why, "before": before, "after": after,
                    });
                    events::append(&mut transaction, action.name(), object, &data, change.at).await?;
                }
                transaction.commit().await.stored(action.operation(), object)?;
                Ok(value)
            }
            Err(error) => {
                transaction.rollback().await.stored(action.operation(), object)?;
                if error.kind() == Kind::Conflict {
                    let reason = error.chain();
                    catalog.append_audit(&AuditEntry::refused(action, object, change, &reason)).await?;
                }
                Err(error)
            }
        }
    }

    /// Runs a statement; how many rows it changed.
    pub async fn execute<'q>(&mut self, query: Query<'q, Sqlite, SqliteArguments<'q>>) -> Result<u64> {
        let done = query.execute(&mut *self.transaction).await.stored(self.action.operation(), self.object)?;
        Ok(done.rows_affected())
    }

    /// Goes on as another action: which one it is can depend on what the transaction finds.
    pub fn becomes(&mut self, action: Action) {
        self.action = action;
    }

    /// What it fails to do when it fails.
    pub fn operation(&self) -> &'static str {
        self.action.operation()
    }

    /// What is done.
    pub fn action(&self) -> Action {
        self.action
    }

    /// When it is done, as it is stored.
    pub fn at(&self) -> String {
        rfc3339_millis(self.change.at)
    }

    /// Who does it.
    pub fn subject(&self) -> &'a str {
        &self.change.actor.subject
    }

    /// Fails when somebody changed it since the caller looked.
    pub fn expect_revision(&self, expected: Option<u64>, found: u64) -> Result<()> {
        match expected {
            Some(expected) if expected != found => Err(self.refuse(Conflict::Revision { expected, found })),
            _ => Ok(()),
        }
    }

    /// Fails when nobody says why.
    pub fn expect_why(&self) -> Result<()> {
        match self.change.why {
            Some(why) if !why.trim().is_empty() => Ok(()),
            _ => Err(self.invalid("it needs a reason: say why")),
        }
    }

    /// It cannot be done as things stand.
    pub fn refuse(&self, conflict: Conflict) -> Error {
        Error::new(Kind::Conflict, self.operation(), self.object).because(conflict)
    }

    /// What is asked for makes no sense.
    pub fn invalid(&self, reason: &str) -> Error {
        Error::invalid(self.operation(), self.object, reason)
    }

    /// Something that it needs is not there.
    pub fn missing(&self, what: impl Into<String>) -> Error {
        Error::new(Kind::Missing, self.operation(), self.object).because(what.into())
    }
}
