//! Whether a change is in effect: the catalogue has it at once, the stream takes it between two batches.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;
use crate::streams::{StreamState, StreamStatus};

/// How long an answer waits for the stream.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Whether the stream works by a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// Whether every batch from now on is judged by it. When not, the change is kept all the same.
    in_effect: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the stream has not taken it yet")]
    not_in_effect_because: Option<String>,
}

impl From<Result<(), String>> for Effect {
    fn from(found: Result<(), String>) -> Self {
        Self { in_effect: found.is_ok(), not_in_effect_because: found.err() }
    }
}

/// Waits until the stream works by what was just changed, or says why it does not.
pub(crate) async fn effect(app: &App) -> Effect {
    let revision = *app.registry().revisions().borrow();
    let mut status = app.api.streams.status.clone();
    let waited = timeout(WAIT_MAX, status.wait_for(|status| verdict(status, revision).is_some())).await;
    let found = match waited {
        Ok(Ok(status)) => verdict(&status, revision).unwrap_or(Ok(())),
        Ok(Err(_)) => Err("the stream has ended".to_owned()),
        Err(_) => Err("the stream has not taken it yet".to_owned()),
    };
    found.into()
}

/// What the stream makes of a revision; none as long as that is open.
fn verdict(status: &StreamStatus, revision: u64) -> Option<Result<(), String>> {
    match (status.state, &status.refused) {
        (StreamState::Running, _) if status.revision >= revision => Some(Ok(())),
        (_, Some((refused, reason))) if *refused >= revision => Some(Err(format!("the engine refused it: {reason}"))),
        (StreamState::Starting | StreamState::Running, _) => None,
        (state, _) => {
            let error = status.error.as_deref().unwrap_or("somebody must start it");
            Some(Err(format!("the stream is {}: {error}", state.name())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_effect_when_the_stream_says_so() {
        let check = |state, runs, refused: Option<u64>, expected: Option<Result<(), &str>>| {
            let refused = refused.map(|revision| (revision, "no such column".to_owned()));
            let status = StreamStatus { state, revision: runs, refused, ..StreamStatus::starting(0) };
            let expected = expected.map(|expected| expected.map_err(str::to_owned));
            assert_eq!(verdict(&status, 7), expected, "{status:?}");
        };
        check(StreamState::Running, 6, None, None);
        check(StreamState::Running, 7, None, Some(Ok(())));
        check(StreamState::Running, 9, None, Some(Ok(())));
        check(StreamState::Starting, 0, None, None);
        check(StreamState::Running, 6, Some(6), None);
        check(StreamState::Running, 6, Some(7), Some(Err("the engine refused it: no such column")));
        check(StreamState::Halted, 7, None, Some(Err("the stream is halted: somebody must start it")));
    }
}
