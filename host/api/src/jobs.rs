//! What the API can start and does not know how to run: the binary puts it in.

use std::future::Future;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamis_catalog::{Actor, Change};
use tamis_catalog::backtests::Backtest;
use tamis_model::Result;
use tamis_model::time::Millis;

/// What the API can start. Each returns as soon as it is under way; how it goes on is in the catalogue.
pub struct Jobs {
    start_run: Box<Start<RunRequest, String>>,
    start_backtest: Box<Start<BacktestRequest, Backtest>>,
}

type Start<Q, T> = dyn Fn(Q, Asked) -> BoxFuture<'static, Result<T>> + Send + Sync;

/// Who asked for it, why, and when.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub actor: Actor,
    /// Why, in their words.
    pub why: Option<String>,
    /// When.
    pub at: Millis,
}

impl Asked {
    /// As the catalogue wants it.
    pub fn change(&self) -> Change<'_> {
        Change { actor: &self.actor, why: self.why.as_deref(), at: self.at }
    }
}

impl Jobs {
    /// `start_run` starts a run and returns its id; an error of kind `Conflict` says that one is at work. `start_backtest` checks what is
    /// asked for, queues it and returns its row; it is audited by [`tamis_catalog::Catalog::create_backtest`].
    pub fn new<R, B>(
        start_run: impl Fn(RunRequest, Asked) -> R + Send + Sync + 'static,
        start_backtest: impl Fn(BacktestRequest, Asked) -> B + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = Result<String>> + Send + 'static,
        B: Future<Output = Result<Backtest>> + Send + 'static,
    {
        Self {
            start_run: Box::new(move |request, asked| Box::pin(start_run(request, asked))),
            start_backtest: Box::new(move |request, asked| Box::pin(start_backtest(request, asked))),
        }
    }

    pub(crate) async fn start_run(&self, request: RunRequest, asked: Asked) -> Result<String> {
        (self.start_run)(request, asked).await
    }

    pub(crate) async fn start_backtest(&self, request: BacktestRequest, asked: Asked) -> Result<Backtest> {
        (self.start_backtest)(request, asked).await
    }
}

/// A run to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// `nightly`.
    pub job: String,
    /// The logical date, `YYYY-MM-DD`.
    pub as_of: String,
}

/// A backtest to be: what is judged, over which time, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BacktestRequest {
    /// The rule whose version is judged, and under whose name a plugin is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The version of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The plugin that is judged, when no version of a rule is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The plugin's version; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_version: Option<String>,
    /// What differs from the plugin's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// The first moment whose events are judged, RFC 3339.
    pub from: String,
    /// The first moment whose events are no longer judged, RFC 3339.
    pub to: String,
    /// Where the events come from.
    #[serde(default)]
    pub source: BacktestSource,
    /// How long before `from` state is built without judging; what the plugin needs when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_ms: Option<u64>,
    /// The version of the rule that its alerts are compared with; the active one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_with: Option<u32>,
}

/// Where the events of a backtest come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BacktestSource {
    /// The topics as they are.
    #[default]
    Topics,
    /// The archive of the lake.
    Archive,
}
