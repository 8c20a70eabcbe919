//! Table `dead_letter_redrives`: how often each dead letter was sent through again, so that none goes round for ever.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Result};

use crate::change::{Action, Change, Write, Written};
use crate::named::named;
use crate::{Catalog, Stored};

/// Letters of a redrive at most.
pub const REDRIVE_LETTERS_MAX: usize = 1_000;
/// How long an attempt is awaited: one that is pending for longer has lost whoever would say what came of it.
pub const REDRIVE_ANSWER_MAX: Duration = Duration::from_secs(60);

/// What a dead letter is of: a record, and what failed on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct LetterId {
    /// The topic of the record.
    pub topic: String,
    /// Its partition.
    #[sqlx(rename = "partition_number")]
    pub partition: u32,
    /// Its offset.
    #[sqlx(rename = "record_offset")]
    pub offset: i64,
    /// The rule that failed on it; empty when it could not be decoded.
    pub rule: String,
}

named! {
    /// What came of the last attempt.
    pub enum RedriveOutcome: "outcome of a redrive" {
        /// It is under way, or its process died.
        Pending = "pending",
        /// It was judged.
        Succeeded = "succeeded",
        /// It is a dead letter again.
        Failed = "failed",
    }
}

/// What is known of a letter that was sent through again.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Redrive {
    /// The letter.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub letter: LetterId,
    /// How often it was sent.
    pub attempts: u32,
    /// RFC 3339.
    pub last_at: String,
    /// What came of the last time.
    pub outcome: RedriveOutcome,
}

/// Whether a letter may be sent through again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// It may, for the so many-th time.
    Attempt(u32),
    /// It was sent often enough.
    Exhausted,
    /// It was judged the last time.
    Succeeded,
    /// The last attempt is not over yet.
    UnderWay,
}

/// An attempt that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Of which letter.
    pub letter: LetterId,
    /// The so many-th.
    pub number: u32,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It was judged.
    Succeeded,
    /// It is a dead letter again.
    Failed,
    /// Nothing was judged: it does not count.
    Void,
}

impl Redrive {
    /// Why the letter cannot be sent again at `now`; none when it can.
    pub fn refusal(&self, attempts_max: u32, now: Millis) -> Option<Claim> {
        let answer_max_ms = Millis::try_from(REDRIVE_ANSWER_MAX.as_millis()).unwrap_or(Millis::MAX);
        match self.outcome {
            RedriveOutcome::Succeeded => Some(Claim::Succeeded),
            RedriveOutcome::Pending if self.last_at >= rfc3339_millis(now - answer_max_ms) => Some(Claim::UnderWay),
            _ => (self.attempts >= attempts_max).then_some(Claim::Exhausted),
        }
    }
}

impl Catalog {
    /// Counts an attempt for each of the letters that may be sent again, and has had less than `attempts_max`; in order
    /// of `letters`.
    pub async fn claim_redrives(
        &self,
        letters: &[LetterId],
        attempts_max: u32,
        change: &Change<'_>,
    ) -> Result<Vec<Claim>> {
        if letters.len() > REDRIVE_LETTERS_MAX {
            let reason = format!("{} letters are asked for, {REDRIVE_LETTERS_MAX} is the most", letters.len());
            return Err(Error::invalid(Action::DeadLettersRedrive.operation(), DEAD_LETTERS, reason));
        }
        let mut write = self.change(Action::DeadLettersRedrive, DEAD_LETTERS, change).await?;
        let result = claim(&mut write, letters, attempts_max).await;
        write.finish(result).await
    }

    /// Says what came of attempts. One that somebody else has taken for dead meanwhile is passed over.
    pub async fn finish_redrives(&self, ended: &[(Attempt, AttemptEnd)], now: Millis) -> Result<()> {
        let mut transaction = self.write("finish redrive of", DEAD_LETTERS).await?;
        for (Attempt { letter, number }, end) in ended {
            let (attempts, outcome) = match end {
                AttemptEnd::Succeeded => (*number, RedriveOutcome::Succeeded),
                AttemptEnd::Failed => (*number, RedriveOutcome::Failed),
                AttemptEnd::Void => (number.saturating_sub(1), RedriveOutcome::Failed),
            };
            let statement = match attempts {
                0 => "DELETE FROM dead_letter_redrives",
                _ => "UPDATE dead_letter_redrives SET attempts = ?6, outcome = ?7, last_at = ?8",
            };
            let query = format!(
                "{statement} WHERE topic = ?1 AND partition_number = ?2 AND record_offset = ?3 AND rule = ?4 \
                 AND attempts = ?5 AND outcome = 'pending'"
            );
            let query = sqlx::query(&query)
                .bind(&letter.topic)
                .bind(letter.partition)
                .bind(letter.offset)
                .bind(&letter.rule)
                .bind(number);
            let query = match attempts {
                0 => query,
                _ => query.bind(attempts).bind(outcome).bind(rfc3339_millis(now)),
            };
            query.execute(&mut *transaction).await.stored("finish redrive of", letter)?;
        }
        transaction.commit().await.stored("finish redrive of", DEAD_LETTERS)
    }

    /// What is known of a letter; none when it was never sent through again.
    pub async fn redrive(&self, letter: &LetterId) -> Result<Option<Redrive>> {
        find(&self.readers, letter).await
    }
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)?;
        if self.rule.is_empty() { Ok(()) } else { write!(f, " of {}", self.rule) }
    }
}

async fn find(executor: impl SqliteExecutor<'_>, letter: &LetterId) -> Result<Option<Redrive>> {
    sqlx::query_as(
        "SELECT * FROM dead_letter_redrives \
         WHERE topic = ? AND partition_number = ? AND record_offset = ? AND rule = ?",
    )
    .bind(&letter.topic)
    .bind(letter.partition)
    .bind(letter.offset)
    .bind(&letter.rule)
    .fetch_optional(executor)
    .await
    .stored("find redrive of", letter)
}

async fn claim(write: &mut Write<'_>, letters: &[LetterId], attempts_max: u32) -> Result<Written<Vec<Claim>>> {
    let mut claims = Vec::with_capacity(letters.len());
    let mut sent = Vec::new();
    for letter in letters {
        let known = find(&mut *write.transaction, letter).await?;
        if let Some(refusal) = known.and_then(|known| known.refusal(attempts_max, write.change.at)) {
            claims.push(refusal);
            continue;
        }
        let number: u32 = sqlx::query_scalar(
            "INSERT INTO dead_letter_redrives VALUES (?1, ?2, ?3, ?4, 1, ?5, 'pending') ON CONFLICT DO UPDATE \
             SET attempts = attempts + 1, last_at = ?5, outcome = 'pending' RETURNING attempts",
        )
        .bind(&letter.topic)
        .bind(letter.partition)
        .bind(letter.offset)
        .bind(&letter.rule)
        .bind(write.at())
        .fetch_one(&mut *write.transaction)
        .await
        .stored(write.operation(), letter)?;
        claims.push(Claim::Attempt(number));
        sent.push(letter.to_string());
    }
    let count = |wanted: Claim| claims.iter().filter(|claim| **claim == wanted).count();
    let after = json!({
        "sent": sent, "exhausted": count(Claim::Exhausted), "succeeded": count(Claim::Succeeded),
        "under_way": count(Claim::UnderWay),
    });
    Ok(Written { value: claims, before: Value::Null, after })
}
