//! What the API can start and does not know how to run: the binary puts it in.

use std::future::Future;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tamis_catalog::backtests::Backtest;
use tamis_catalog::{Actor, Change};
use tamis_jobs::backtest::BacktestRequest;
use tamis_model::Result;
use tamis_model::time::Millis;
use utoipa::ToSchema;

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
    /// `start_run` starts a run, keeps in the audit log who asked for it, and returns its id; an error of kind `Conflict`
    /// says that one is at work. `start_backtest` checks what is asked for, queues it by
    /// [`tamis_catalog::Catalog::create_backtest`] and returns its row.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// `nightly`.
    #[schema(pattern = "^nightly$", example = "nightly")]
    pub job: String,
    /// The logical date, `YYYY-MM-DD`.
    #[schema(format = Date, example = "2026-03-20")]
    pub as_of: String,
}
