//! Table `plugin_versions`: every component that was uploaded: what it says of itself, or why it was refused.

use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::manifest::Manifest;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::change::{Action, Actor, Change, Write, Written};
use crate::named::named;
use crate::page::{self, Page, PageQuery};
use crate::{Catalog, Stored};

named! {
    /// How a plugin version stands.
    pub enum PluginState: "state of a plugin version" {
        /// It is being checked and compiled.
        Pending = "pending",
        /// It can be put to work, and never changes any more.
        Ready = "ready",
        /// It was refused.
        Error = "error",
    }
}

/// A component that was uploaded.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct PluginVersion {
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Its name; none as long as nobody could ask it.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// How it stands.
    pub state: PluginState,
    /// Why it was refused.
    pub reason: Option<String>,
    /// What it says of itself, once it is ready.
    #[sqlx(json(nullable))]
    #[schema(value_type = Option<Object>)]
    pub manifest: Option<Manifest>,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// RFC 3339.
    pub uploaded_at: String,
}

/// What came of checking and compiling a component.
#[derive(Clone, Debug, PartialEq)]
pub enum Build {
    /// It can be put to work.
    Ready(Box<Manifest>),
    /// It is refused.
    Error {
        /// Its name and version, if it could be asked.
        identity: Option<(String, String)>,
        /// Why.
        reason: String,
    },
}

/// The row of a version that is ready comes first, then the newest.
const PREFERRED: &str = "ORDER BY state = 'ready' DESC, id DESC LIMIT 1";

impl Catalog {
    /// Takes an upload in. The same bytes are the same version: when they are `ready` already nothing is to be done.
    /// Else they are `pending` now and the caller builds them, refused ones anew, as the host may have learned.
    pub async fn begin_upload(&self, sha256: &str, size_bytes: u64, change: &Change<'_>) -> Result<PluginVersion> {
        let mut write = self.change(Action::PluginUpload, sha256, change).await?;
        let result = take_in(&mut write, size_bytes).await;
        write.finish(result).await
    }

    /// Says what came of a build. What is ready stays so. When other bytes of the same name and version are ready,
    /// these are refused: the row comes back in state `error`.
    pub async fn finish_upload(&self, sha256: &str, build: Build, now: Millis) -> Result<PluginVersion> {
        let system = Actor::system();
        let change = Change { actor: &system, why: None, at: now };
        let mut write = self.change(Action::PluginBuild, sha256, &change).await?;
        let result = settle(&mut write, build).await;
        write.finish(result).await
    }

    /// Refuses the uploads whose process died over them; the same bytes can be uploaded again. The caller holds the
    /// lock of the home: nothing can be at work on them.
    pub async fn close_dead_uploads(&self, now: Millis) -> Result<()> {
        let query = sqlx::query_as("SELECT * FROM plugin_versions WHERE state = 'pending' ORDER BY id");
        let dead: Vec<PluginVersion> = query.fetch_all(&self.readers).await.stored("find", "dead uploads")?;
        for PluginVersion { sha256, name, version, .. } in dead {
            let reason = "the host ended before it was built".to_owned();
            self.finish_upload(&sha256, Build::Error { identity: name.zip(version), reason }, now).await?;
        }
        Ok(())
    }

    /// The plugin version of these bytes.
    pub async fn plugin_by_sha256(&self, sha256: &str) -> Result<Option<PluginVersion>> {
        find(&self.readers, sha256).await
    }

    /// The plugin version of this name and version: the one that is ready, else the refused one that came last.
    pub async fn plugin(&self, name: &str, version: &str) -> Result<Option<PluginVersion>> {
        sqlx::query_as(&format!("SELECT * FROM plugin_versions WHERE name = ? AND version = ? {PREFERRED}"))
            .bind(name)
            .bind(version)
            .fetch_optional(&self.readers)
            .await
            .stored("find plugin", format_args!("{name} {version}"))
    }

    /// The version that was uploaded last of the ready ones of this name, else of all.
    pub async fn newest_plugin(&self, name: &str) -> Result<Option<PluginVersion>> {
        sqlx::query_as(&format!("SELECT * FROM plugin_versions WHERE name = ? {PREFERRED}"))
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .stored("find plugin", name)
    }

    /// The newest version of each plugin as in [`Catalog::newest_plugin`], by name.
    pub async fn plugins(&self, page: &PageQuery<'_>) -> Result<Page<PluginVersion>> {
        let query = format!(
            "SELECT * FROM plugin_versions AS newest WHERE name IS NOT NULL AND name > ?1 AND id = \
             (SELECT id FROM plugin_versions WHERE name = newest.name {PREFERRED}) ORDER BY name LIMIT ?2"
        );
        let query = sqlx::query_as(&query).bind(page.after());
        page.fetch(&self.readers, query, |plugin: &PluginVersion| plugin.name.clone().unwrap_or_default())
            .await
            .stored("list", "plugins")
    }

    /// All versions of a plugin, refused ones included, newest first.
    pub async fn plugin_versions(&self, name: &str, page: &PageQuery<'_>) -> Result<Page<PluginVersion>> {
        if let Some(cursor) = page.cursor
            && self.plugin_by_sha256(cursor).await?.is_none()
        {
            return Err(page::unknown(cursor));
        }
        let query = "SELECT * FROM plugin_versions WHERE name = ?1 AND (?2 IS NULL OR id < \
             (SELECT id FROM plugin_versions WHERE sha256 = ?2)) ORDER BY id DESC LIMIT ?3";
        let query = sqlx::query_as(query).bind(name).bind(page.cursor);
        page.fetch(&self.readers, query, |plugin: &PluginVersion| plugin.sha256.clone())
            .await
            .stored("list versions of plugin", name)
    }

    /// Records a component that a job put to work; one that is known stays as it is.
    pub async fn record_plugin(&self, manifest: &Manifest, sha256: &str, now: Millis) -> Result<()> {
        let text = serde_json::to_string(manifest).invalid("record plugin", &manifest.name)?;
        sqlx::query("INSERT INTO plugins VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(&manifest.name)
            .bind(&manifest.version)
            .bind(sha256)
            .bind(text)
            .bind(rfc3339_millis(now))
            .execute(&self.writer)
            .await
            .map(drop)
            .stored("record plugin", &manifest.name)
    }
}

async fn take_in(write: &mut Write<'_>, size_bytes: u64) -> Result<Written<PluginVersion>> {
    let (sha256, subject, at) = (write.object, write.subject(), write.at());
    let query = sqlx::query(
        "INSERT INTO plugin_versions (sha256, state, size_bytes, uploaded_by, uploaded_at) \
         VALUES (?, 'pending', ?, ?, ?) ON CONFLICT (sha256) DO UPDATE \
         SET state = 'pending', reason = NULL WHERE state = 'error'",
    );
    let query = query.bind(sha256).bind(size_bytes.cast_signed()).bind(subject).bind(at);
    write.execute(query).await?;
    written(write, Value::Null).await
}

async fn settle(write: &mut Write<'_>, build: Build) -> Result<Written<PluginVersion>> {
    let (state, identity, reason, manifest) = match refuse_other_bytes(write, build).await? {
        Build::Ready(manifest) => {
            let identity = (manifest.name.clone(), manifest.version.clone());
            (PluginState::Ready, Some(identity), None, Some(Json(manifest)))
        }
        Build::Error { identity, reason } => (PluginState::Error, identity, Some(reason), None),
    };
    let (name, version) = identity.unzip();
    let query = sqlx::query(
        "UPDATE plugin_versions SET state = ?, name = ?, version = ?, reason = ?, manifest = ? \
         WHERE sha256 = ? AND state <> 'ready'",
    );
    let query = query.bind(state).bind(name).bind(version).bind(reason).bind(manifest).bind(write.object);
    write.execute(query).await?;
    written(write, json!({"state": PluginState::Pending})).await
}

/// A build that is good but for its name and version, which other bytes have, is refused.
async fn refuse_other_bytes(write: &mut Write<'_>, build: Build) -> Result<Build> {
    let Build::Ready(manifest) = build else {
        return Ok(build);
    };
    let query = "SELECT sha256 FROM plugin_versions WHERE name = ? AND version = ? AND sha256 <> ? AND state = 'ready'";
    let other: Option<String> = sqlx::query_scalar(query)
        .bind(&manifest.name)
        .bind(&manifest.version)
        .bind(write.object)
        .fetch_optional(&mut *write.transaction)
        .await
        .stored(write.operation(), write.object)?;
    Ok(match other {
        None => Build::Ready(manifest),
        Some(other) => {
            let Manifest { name, version, .. } = *manifest;
            let reason = format!("{name} {version} has other bytes already ({other}): give it a new version");
            Build::Error { identity: Some((name, version)), reason }
        }
    })
}

async fn written(write: &mut Write<'_>, before: Value) -> Result<Written<PluginVersion>> {
    let found = find(&mut *write.transaction, write.object).await?;
    let plugin = found.ok_or_else(|| write.missing("it was not uploaded"))?;
    let after = json!({
        "state": plugin.state, "name": plugin.name, "version": plugin.version, "reason": plugin.reason,
    });
    Ok(Written { value: plugin, before, after })
}

async fn find(executor: impl SqliteExecutor<'_>, sha256: &str) -> Result<Option<PluginVersion>> {
    sqlx::query_as("SELECT * FROM plugin_versions WHERE sha256 = ?")
        .bind(sha256)
        .fetch_optional(executor)
        .await
        .stored("find plugin", sha256)
}
