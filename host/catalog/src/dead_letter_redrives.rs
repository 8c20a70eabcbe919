//! Table `dead_letter_redrives`: how often each dead letter was sent through again, so that none goes round for ever.

use serde_json::{Value, json};
use sqlx::FromRow;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Result};

use crate::change::{Action, Change, Write, Written};
use crate::named::named;
use crate::{Catalog, Stored};

/// Letters of a redrive at most.
pub const REDRIVE_LETTERS_MAX: usize = 1_000;

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
}

impl Catalog {
    /// Counts an attempt for each of the letters that has had less than `attempts_max`; in order of `letters`.
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

    /// Says what came of an attempt.
    pub async fn finish_redrive(&self, letter: &LetterId, outcome: RedriveOutcome, now: Millis) -> Result<()> {
        sqlx::query(
            "UPDATE dead_letter_redrives SET outcome = ?, last_at = ? \
             WHERE topic = ? AND partition_number = ? AND record_offset = ? AND rule = ?",
        )
        .bind(outcome)
        .bind(rfc3339_millis(now))
        .bind(&letter.topic)
        .bind(letter.partition)
        .bind(letter.offset)
        .bind(&letter.rule)
        .execute(&self.writer)
        .await
        .map(drop)
        .stored("finish redrive of", letter)
    }

    /// What is known of a letter; none when it was never sent through again.
    pub async fn redrive(&self, letter: &LetterId) -> Result<Option<Redrive>> {
        sqlx::query_as(
            "SELECT * FROM dead_letter_redrives \
             WHERE topic = ? AND partition_number = ? AND record_offset = ? AND rule = ?",
        )
        .bind(&letter.topic)
        .bind(letter.partition)
        .bind(letter.offset)
        .bind(&letter.rule)
        .fetch_optional(&self.readers)
        .await
        .stored("find redrive of", letter)
    }
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)?;
        if self.rule.is_empty() { Ok(()) } else { write!(f, " of {}", self.rule) }
    }
}

async fn claim(write: &mut Write<'_>, letters: &[LetterId], attempts_max: u32) -> Result<Written<Vec<Claim>>> {
    let mut claims = Vec::with_capacity(letters.len());
    let mut sent = Vec::new();
    for letter in letters {
        let attempts: Option<u32> = sqlx::query_scalar(
            "INSERT INTO dead_letter_redrives VALUES (?1, ?2, ?3, ?4, 1, ?5, 'pending') ON CONFLICT DO UPDATE \
             SET attempts = attempts + 1, last_at = ?5, outcome = 'pending' WHERE attempts < ?6 RETURNING attempts",
        )
        .bind(&letter.topic)
        .bind(letter.partition)
        .bind(letter.offset)
        .bind(&letter.rule)
        .bind(write.at())
        .bind(attempts_max)
        .fetch_optional(&mut *write.transaction)
        .await
        .stored(write.operation(), letter)?;
        claims.push(attempts.map_or(Claim::Exhausted, Claim::Attempt));
        sent.extend(attempts.map(|_| letter.to_string()));
    }
    let after = json!({"sent": sent, "exhausted": letters.len() - sent.len()});
    Ok(Written { value: claims, before: Value::Null, after })
}
