//! The nightly run: ingest → silver of every source → gold → gate → publish.
//!
//! Every step replaces what it makes as a whole, so a run that died anywhere is repaired by running again: Bronze
//! by its reservations, silver and gold by the Delta commit, the warehouse by its one switch, which comes last. What is
//! staged is in a folder that the next run clears.

mod publish;
mod recorder;
mod topics;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use tamis_catalog::Catalog;
use tamis_catalog::operations::{OperationalAlert, Trouble};
use tamis_catalog::run_details::RunColumn;
use tamis_catalog::runs::RunState;
use tamis_connectors::DeltaTables;
use tamis_connectors::warehouse::{QualityResult, Warehouse};
use tamis_engine::clock::Clock;
use tamis_model::Result;
use uuid::{Builder, Uuid};

use self::recorder::{Recorder, recorded};
pub use self::topics::silver_of_topics;
use crate::gate::{self, GatePlan, Verdict};
use crate::gold::{self, GoldReport};
use crate::ingest::{IngestReport, IngestSettings, LeftReason, ingest};
use crate::plans::{Plans, TransformPlan};
use crate::session::Session;
use crate::silver::{self, SilverJob, SilverProgress, SilverReport};
use crate::staging::StagingFolder;

/// The job's name in the catalogue.
const JOB: &str = "nightly";

/// Everything that jobs work with; the binary puts it together.
pub struct JobContext {
    /// `drop/<source>/…`.
    pub drop: PathBuf,
    /// The lake; `bronze`, `quarantine` and hidden staging folders lie in it, and the datasets of `tables`.
    pub lake: PathBuf,
    /// Held while a run is at work.
    pub lock: PathBuf,
    /// What is known.
    pub catalog: Catalog,
    /// The datasets of the lake.
    pub tables: DeltaTables,
    /// Where checked tables are published.
    pub warehouse: Arc<dyn Warehouse>,
    /// The plugins put to work.
    pub plans: Plans,
    /// What tables must pass.
    pub gate: GatePlan,
    /// How much the queries of a run may hold in memory.
    pub memory_bytes_max: usize,
    /// See [`IngestSettings::settle_ms`].
    pub settle_ms: u64,
    /// The time of day; the logical date comes with the run.
    pub clock: Arc<dyn Clock>,
}

/// Something that a run reports while it is at work.
#[derive(Clone, Debug, PartialEq)]
pub enum JobEvent {
    /// It has begun.
    Started {
        /// The run.
        run_id: String,
    },
    /// The drop has been looked through.
    Ingested {
        /// Files taken in.
        taken: usize,
        /// Files left for the next pass.
        left: usize,
    },
    /// A source is being read.
    Silver {
        /// The source.
        source: String,
        /// How far it is.
        progress: SilverProgress,
    },
    /// A source's dataset has been replaced.
    SilverDone {
        /// What was done.
        report: SilverReport,
    },
    /// A gold table has been computed.
    Gold {
        /// Its name.
        dataset: &'static str,
        /// Its rows.
        rows: u64,
    },
    /// The gate has decided.
    Checked {
        /// Checks that passed.
        passed: usize,
        /// All checks.
        total: usize,
    },
    /// The tables of the warehouse have been switched.
    Published {
        /// How many.
        tables: usize,
    },
}

/// Hears what a run does, from any thread.
pub type Observer = Arc<dyn Fn(&JobEvent) + Send + Sync>;

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct NightlyReport {
    /// The run.
    pub run_id: String,
    /// The logical date.
    pub as_of: NaiveDate,
    /// How it ended: succeeded, partial or gated.
    pub state: RunState,
    /// What was taken in.
    pub ingest: IngestReport,
    /// Each source that had files, by name.
    pub sources: Vec<SilverReport>,
    /// Sources in Bronze that no transform reads.
    pub unread_sources: Vec<String>,
    /// Gold tables with their rows; published unless the run was gated.
    pub tables: Vec<(String, u64)>,
    /// Gold tables that wait for a source that has never delivered.
    pub waiting: Vec<String>,
    /// The results of all checks.
    pub quality: Vec<QualityResult>,
    /// Percent of the checks that passed; none when none ran.
    pub quality_score: Option<f64>,
    /// Why the tables were not published.
    pub refusal: Option<String>,
    /// What the people who run Tamis must look at.
    pub alerts: Vec<OperationalAlert>,
}

/// Runs the night of `as_of`. A run that the gate refuses is a report with the state `gated`; an error is kept with
/// its causes in the run's record.
pub async fn nightly(context: &JobContext, as_of: NaiveDate, observer: Observer) -> Result<NightlyReport> {
    let end = |report: &NightlyReport| (report.state, report.quality_score);
    recorded(context, JOB, as_of, observer, async |run| run.execute().await, end).await
}

/// UUID version 7: the clock's milliseconds, so that runs sort by their start, then random bits.
pub fn run_id(clock: &dyn Clock) -> String {
    let mut random = [0; 10];
    random.copy_from_slice(&Uuid::new_v4().as_bytes()[6..]);
    Builder::from_unix_timestamp_millis(clock.now().max(0).cast_unsigned(), &random).into_uuid().to_string()
}

/// A run at work.
struct Run<'a> {
    context: &'a JobContext,
    as_of: NaiveDate,
    recorder: Recorder<'a>,
    observer: Observer,
}

impl Run<'_> {
    async fn execute(&self) -> Result<NightlyReport> {
        let (session, staging) = self.session()?;
        self.context.warehouse.discard().await?;
        for component in &self.context.plans.components {
            let now = self.context.clock.now();
            self.context.catalog.record_plugin(&component.manifest, &component.sha256, now).await?;
        }

        let ingested = self.ingest().await?;
        let sources = self.silver(&session, &staging, &|_| true).await?;
        let unread_sources = self.unread_sources().await?;
        let gold = self.gold(&session, &staging).await?;
        let (quality, verdict) = self.gate(&session, &gold).await?;
        if let Some(why) = &verdict.refusal {
            self.recorder.raise(Trouble::GateRefused, "gold", why).await?;
        } else {
            publish::publish(self.context, self.recorder.run_id(), &session, &gold.staged).await?;
            for table in &gold.staged {
                self.recorder.table(table.dataset.name, table.rows).await?;
            }
            (self.observer)(&JobEvent::Published { tables: gold.staged.len() });
        }
        let unreadable = ingested.left.iter().any(|left| matches!(left.reason, LeftReason::Unreadable(_)));
        let partial = unreadable || sources.iter().any(|source| source.quarantined().next().is_some());
        let state = match (&verdict.refusal, partial) {
            (Some(_), _) => RunState::Gated,
            (None, true) => RunState::Partial,
            (None, false) => RunState::Succeeded,
        };
        Ok(NightlyReport {
            run_id: self.recorder.run_id().to_owned(),
            as_of: self.as_of,
            state,
            ingest: ingested,
            sources,
            unread_sources,
            tables: gold.staged.iter().map(|table| (table.dataset.table().to_owned(), table.rows)).collect(),
            waiting: gold.waiting.iter().map(|dataset| dataset.table().to_owned()).collect(),
            quality,
            quality_score: verdict.score,
            refusal: verdict.refusal,
            alerts: self.context.catalog.operational_alerts(self.recorder.run_id()).await?,
        })
    }

    async fn ingest(&self) -> Result<IngestReport> {
        let settings = IngestSettings {
            drop: self.context.drop.clone(),
            bronze: self.context.lake.join("bronze"),
            settle_ms: self.context.settle_ms,
        };
        let report = ingest(&settings, &self.context.catalog, &self.context.clock).await?;
        for file in &report.taken {
            let subject = format!("{}/{}", file.source, file.original_path);
            self.recorder.event("file_taken", &subject, &file.bronze_path).await?;
        }
        for left in &report.left {
            match &left.reason {
                LeftReason::Growing => self.recorder.event("file_left", &left.path, "it is still growing").await?,
                LeftReason::Unreadable(why) => self.recorder.raise(Trouble::FileUnreadable, &left.path, why).await?,
            }
        }
        (self.observer)(&JobEvent::Ingested { taken: report.taken.len(), left: report.left.len() });
        Ok(report)
    }

    fn session(&self) -> Result<(Session, StagingFolder)> {
        let staging = StagingFolder::create(self.context.lake.join(".staging"))?;
        Ok((Session::open(self.context.memory_bytes_max, staging.path(), self.as_of)?, staging))
    }

    async fn silver(
        &self,
        session: &Session,
        staging: &StagingFolder,
        wanted: &(dyn Fn(&TransformPlan) -> bool + Sync),
    ) -> Result<Vec<SilverReport>> {
        let mut sources = Vec::new();
        for plan in self.context.plans.transforms.iter().filter(|plan| wanted(plan)) {
            let (observer, source) = (Arc::clone(&self.observer), plan.source.clone());
            let job = SilverJob {
                run_id: self.recorder.run_id(),
                as_of: self.as_of,
                catalog: &self.context.catalog,
                tables: &self.context.tables,
                session,
                staging,
                bronze: self.context.lake.join("bronze"),
                quarantine: self.context.lake.join("quarantine"),
                observer: Arc::new(move |progress| {
                    observer(&JobEvent::Silver { source: source.clone(), progress });
                }),
            };
            if let Some(report) = silver::run(&job, plan).await? {
                self.record_source(&report).await?;
                (self.observer)(&JobEvent::SilverDone { report: report.clone() });
                sources.push(report);
            }
        }
        Ok(sources)
    }

    async fn unread_sources(&self) -> Result<Vec<String>> {
        let read = |source: &String| self.context.plans.transforms.iter().any(|plan| plan.source == *source);
        let unread: Vec<_> = self.context.catalog.sources().await?.into_iter().filter(|source| !read(source)).collect();
        for source in &unread {
            self.recorder.event("source_unread", source, "no transform reads it").await?;
        }
        Ok(unread)
    }

    async fn record_source(&self, report: &SilverReport) -> Result<()> {
        let column = |(column, cells): (&String, &u64)| RunColumn {
            source: report.source.clone(),
            column_name: column.clone(),
            cells_nullified: cells.cast_signed(),
        };
        let columns: Vec<_> = report.nullified.iter().map(column).collect();
        self.context.catalog.record_source(self.recorder.run_id(), &report.files, &columns).await?;
        self.recorder.table(&report.dataset, report.counts().rows_out).await?;
        for (file, why) in report.quarantined() {
            let subject = format!("{}/{}", file.source, file.original_path);
            self.recorder.raise(Trouble::FileQuarantined, &subject, why).await?;
        }
        for file in report.mostly_rejected() {
            let subject = format!("{}/{}", file.source, file.original_path);
            let message = format!("{} of {} rows were rejected", file.counts.rejected, file.counts.rows_in);
            self.recorder.raise(Trouble::RejectedShare, &subject, &message).await?;
        }
        Ok(())
    }

    async fn gold(&self, session: &Session, staging: &StagingFolder) -> Result<GoldReport> {
        let observer = Arc::clone(&self.observer);
        let report = gold::compute(session, &self.context.tables, staging, &move |dataset, rows| {
            observer(&JobEvent::Gold { dataset: dataset.table(), rows });
        })
        .await?;
        for dataset in &report.waiting {
            self.recorder.event("table_waiting", dataset.name, "a source of it has never delivered").await?;
        }
        Ok(report)
    }

    async fn gate(&self, session: &Session, gold: &GoldReport) -> Result<(Vec<QualityResult>, Verdict)> {
        let staged: Vec<_> = gold.staged.iter().map(|table| table.dataset).collect();
        let now = self.context.clock.now();
        let results = gate::check(session, &self.context.gate, &staged, now).await?;
        self.context.warehouse.replace_quality_results(self.recorder.run_id(), &results).await?;
        let passed = results.iter().filter(|result| result.passed).count();
        (self.observer)(&JobEvent::Checked { passed, total: results.len() });
        let verdict = gate::decide(&results);
        Ok((results, verdict))
    }
}
