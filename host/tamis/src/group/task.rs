//! A task: one stream of a slice, on a thread of its own.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamis_connectors::kafka::{KafkaChangelog, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTransactions, Share};
use tamis_engine::exchange::{Demux, Exchange, Part};
use tamis_engine::report::Progress;
use tamis_engine::rules::RuleSet;
use tamis_engine::stream::{Command, Stream, StreamParts, StreamSettings};
use tamis_engine::{Commands, Decisions, Restoring, Sinks, Source, SystemClock, Told};
use tamis_model::position::Partition;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind, Result};

use super::Topics;
use super::outcome::{Outcome, Outcomes};
use super::seen::Seen;
use crate::kafka::{Delivery, KafkaPlan};

/// Between two looks at how the stream is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A stream of a slice.
#[derive(Clone)]
pub(super) struct Task {
    pub kafka: KafkaPlan,
    /// Which of the slices.
    pub slice: Share,
    pub part: Part,
    pub schemas: Vec<TopicSchema>,
    /// The partitions of the topics, in all slices.
    pub partitions: Arc<[Partition]>,
    pub rows_max: usize,
    pub checkpoint_interval_ms: i64,
}

impl fmt::Display for Task {
    /// Its name in the group: whoever runs it writes under this name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = if matches!(self.part, Part::Keyed { .. }) { "keyed" } else { "unkeyed" };
        write!(f, "{}.{part}-{}", self.kafka.group, self.slice.number)
    }
}

/// A task at work.
pub(super) struct Running {
    pub task: Task,
    commands: Commands,
    shown: Arc<Mutex<Shown>>,
    thread: JoinHandle<Result<()>>,
}

/// What a task shows of itself.
#[derive(Default)]
struct Shown {
    /// None before it has begun.
    seen: Option<Seen>,
    restoring: Restoring,
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub fn start(task: Task, rules: RuleSet) -> Self {
        let decisions = Decisions::default();
        let (commands, received) = Commands::new(decisions.waker().clone());
        let shown = Arc::default();
        let thread = std::thread::spawn({
            let (task, shown) = (task.clone(), Arc::clone(&shown));
            move || task.run(rules, decisions, &received, &shown)
        });
        Self { task, commands, shown, thread }
    }

    /// How it was last; none before it has begun.
    pub fn seen(&self) -> Option<Seen> {
        lock(&self.shown).seen.clone()
    }

    /// How far it has come in taking its state back.
    pub fn restoring(&self) -> Restoring {
        lock(&self.shown).restoring
    }

    /// The revision of its rules; 0 before it has begun.
    pub fn revision(&self) -> u64 {
        lock(&self.shown).seen.as_ref().map_or(0, |seen| seen.report.revision)
    }

    /// Tells it to go on with other rules; `refused` gets why it does not.
    pub fn tell(&self, rules: RuleSet, refused: Sender<Error>) {
        let reply = Box::new(move |result: Result<()>| {
            // Whoever asked may be gone.
            let _ = result.map_err(|error| refused.send(error));
        });
        // One that has ended opens with them again.
        self.commands.send(Command::Rules(rules, reply));
    }

    /// Tells it to end, with a checkpoint.
    pub fn stop(&self) {
        self.commands.send(Command::Stop);
    }

    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for its end.
    pub fn join(self) -> Result<()> {
        let panicked = |_| Err(Error::new(Kind::Corrupt, "run", format!("{}, which panicked", self.task)));
        self.thread.join().unwrap_or_else(panicked)
    }
}

impl Task {
    fn run(
        &self,
        rules: RuleSet,
        decisions: Decisions,
        commands: &Receiver<Command>,
        shown: &Arc<Mutex<Shown>>,
    ) -> Result<()> {
        // Whoever had it before writes nothing any more from here on.
        let kafka = &self.kafka;
        let transactions = KafkaTransactions::open(&kafka.connection, &self.to_string(), kafka.transaction_max)?;
        let outcomes = Outcomes { transactions, topic: Topics::of(&self.kafka).outcomes };
        let mut stream = Stream::open(self.parts(rules, decisions, &outcomes, Arc::clone(shown))?)?;
        tracing::info!(task = %self, "runs here");
        let (mut looked, mut revision, mut failed) = (Instant::now(), None, Ok(()));
        let observer = &mut |progress: &Progress<'_>| {
            if !progress.trips.is_empty() && failed.is_ok() {
                failed = outcomes.write_all(progress.trips.iter().cloned().map(Outcome::Trip));
            }
            if revision != Some(progress.report.revision) || looked.elapsed() >= LOOK_EVERY {
                (looked, revision) = (Instant::now(), Some(progress.report.revision));
                lock(shown).seen = Some(progress.into());
            }
        };
        stream.run(commands, observer).map(drop).and(failed)
    }

    fn parts(
        &self,
        rules: RuleSet,
        decisions: Decisions,
        outcomes: &Outcomes,
        shown: Arc<Mutex<Shown>>,
    ) -> Result<StreamParts> {
        let Self { kafka, part, schemas, .. } = self;
        let connection = &kafka.connection;
        let exchange = Topics::of(kafka).exchange;
        let read = match part {
            Part::Keyed { .. } => vec![exchange.clone()],
            _ => schemas.iter().map(|schema| schema.name.clone()).collect(),
        };
        // Positions are committed with the checkpoints, and only so: who is no member of the group may not do it otherwise.
        let settings = KafkaSourceSettings {
            share: self.slice,
            tells_positions: false,
            ..KafkaSourceSettings::new(read, &kafka.group)
        };
        let source = KafkaSource::new(connection.clone(), settings);
        let changelog = KafkaChangelog::open(
            connection.clone(),
            &format!("{self}.changelog"),
            kafka.topics.replication,
            outcomes.transactions.clone(),
            Some(source.group()),
        )?;
        let source: Box<dyn Source> = match part {
            Part::Keyed { partition, .. } => {
                let exchange = Partition { topic: exchange, number: *partition };
                let partitions = self.partitions.iter().cloned();
                Box::new(Demux::new(Box::new(source), exchange, partitions, Arc::new(SystemClock)))
            }
            _ => Box::new(source),
        };
        let records = match kafka.delivery {
            Delivery::AtLeastOnce => KafkaSink::at_least_once(connection)?,
            Delivery::ExactlyOnce => KafkaSink::exactly_once(outcomes.transactions.clone()),
        };
        Ok(StreamParts {
            settings: StreamSettings {
                rows_max: self.rows_max,
                part: part.clone(),
                checkpoint_interval_ms: self.checkpoint_interval_ms,
                commits: kafka.delivery.commits(),
                ..StreamSettings::default()
            },
            source,
            schemas: schemas.clone(),
            rules,
            sinks: Sinks {
                records: Box::new(records),
                alerts: vec![("outcomes".to_owned(), Box::new(outcomes.clone()))],
                aggregates: Some(Box::new(outcomes.clone())),
            },
            checkpoints: Box::new(Told {
                store: Box::new(changelog),
                tell: move |restoring| lock(&shown).restoring = restoring,
            }),
            clock: Arc::new(SystemClock),
            decisions,
        })
    }
}

/// How many tasks a slice has.
pub(super) const PARTS: usize = 2;

/// The parts of a slice.
pub(super) fn parts(kafka: &KafkaPlan, slice: Share) -> [Part; PARTS] {
    let exchange = Exchange { topic: Topics::of(kafka).exchange, partitions: slice.of };
    [Part::Unkeyed(exchange), Part::Keyed { partition: slice.number, partitions: slice.of }]
}
