//! The stream pipeline: one loop over a closed set of events.
//!
//! [`Stream::run`] is the whole of it; [`Stream::step`] does one event, for tests.
//!
//! Each step decides what is next (`next_event`) and does it: judge rows, move time, take a checkpoint, wait.
//! A batch is judged with the watermark before it and timers fire behind it, so neither batch bounds nor the
//! interleaving of partitions change what is raised.

mod batch;
mod checkpointing;
mod deciding;
mod event;
mod parts;
mod reader;
mod redrive;
mod restoring;
mod swap;
mod time;
mod turn;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use hashbrown::DefaultHashBuilder;
use tamis_model::Result;
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;

use self::deciding::Deciding;
use self::event::Event;
pub use self::parts::{
    Command, Commands, Commits, Redrive, RedriveRule, Redriven, Reply, Step, StreamParts, StreamSettings,
};
use self::reader::Reader;
use self::restoring::Last;
use self::turn::Bench;
use crate::clock::Clock;
use crate::committer::{Committer, Committing};
use crate::decisions::Decisions;
use crate::exchange::{Part, Router};
use crate::judge::RuleRun;
use crate::kept::Kept;
use crate::meters::Meters;
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::pool::Pool;
use crate::report::{Progress, Report, timed};
use crate::rules::{RuleSet, Trip};
use crate::sink::Sink;
use crate::source::Source;
use crate::watermark::TopicTime;

/// How long an idle stream waits at most before it looks again, unless it is woken.
const IDLE_MS_MAX: u64 = 20;

/// A stream of records through rules to alerts.
///
/// After an error it is to be dropped; what is opened next goes on at the last checkpoint.
pub struct Stream {
    settings: StreamSettings,
    schemas: Vec<TopicSchema>,
    /// The sink of records that leave with their batch; none when they go the way of everything else.
    prompt: Option<Box<dyn Sink<Record>>>,
    /// It goes before the source, which a checkpoint that is on its way may still ask for its group.
    committing: Committing,
    source: Box<dyn Source>,
    /// Whether a checkpoint is on its way.
    is_saving: bool,
    /// Whether there is a sink for the rows of aggregates.
    takes_rows: bool,
    clock: Arc<dyn Clock>,
    plan: Plan,
    router: Option<Router>,
    /// By the index of the rule.
    runs: Vec<RuleRun>,
    reader: Reader,
    positions: Positions,
    /// By the index of the topic.
    times: Vec<TopicTime>,
    outbox: Outbox,
    decisions: Decisions,
    deciding: Deciding,
    report: Report,
    meters: Meters,
    /// What versions left that are in the set and cannot be started.
    resting: Vec<Kept>,
    /// Versions that were stopped and that nobody was told of yet.
    trips: Vec<Trip>,
    checkpoint_number: u64,
    checkpointed_at: Millis,
    /// Whether anything changed since the last checkpoint.
    changed: bool,
    /// The positions in it.
    noted: Positions,
    finished: bool,
    idle_ms: u64,
    hasher: DefaultHashBuilder,
    pool: Pool,
    /// By shard.
    benches: Vec<Bench>,
}

impl Stream {
    /// Goes on at the last checkpoint: commits its output again, restores state, opens the source at its positions.
    /// Without one it takes the first, so that everything written later can be undone.
    pub fn open(parts: StreamParts) -> Result<Self> {
        let StreamParts { settings, source, schemas, rules, sinks, checkpoints, clock, decisions } = parts;
        settings.check()?;
        let (own, routed) = swap::parts_of(&settings.part, &rules);
        Plan::new(&schemas, &own, &routed)?;
        let takes_rows = sinks.aggregates.is_some();
        swap::check_sinks(&own, takes_rows)?;
        let hasher = DefaultHashBuilder::default();
        let mut committer = Committer { sinks, checkpoints };
        let last = Last::restore(&mut committer, &*clock, settings.shards, &hasher)?;
        let (prompt, committing) = committer.commit(settings.commits);
        let mut stream = Self {
            times: vec![TopicTime::default(); schemas.len()],
            checkpointed_at: clock.now(),
            report: Report { revision: rules.revision, ..Report::default() },
            pool: Pool::new(settings.shards)?,
            benches: (0..settings.shards).map(|_| Bench::default()).collect(),
            plan: Plan::new(&schemas, &RuleSet::default(), &RuleSet::default())?,
            router: match &settings.part {
                Part::Unkeyed(exchange) => Some(Router::new(exchange.clone())),
                Part::Whole | Part::Keyed { .. } => None,
            },
            settings,
            schemas,
            source,
            prompt,
            committing,
            is_saving: false,
            takes_rows,
            clock,
            runs: Vec::new(),
            reader: Reader::default(),
            positions: Positions::default(),
            outbox: Outbox::default(),
            decisions,
            deciding: Deciding::default(),
            meters: Meters::default(),
            resting: Vec::new(),
            trips: Vec::new(),
            checkpoint_number: 0,
            changed: false,
            noted: Positions::default(),
            finished: false,
            idle_ms: 1,
            hasher,
        };
        let is_new = stream.go_on(last, &rules)?;
        stream.take_stock();
        stream.source.wake(stream.decisions.waker());
        stream.source.open(&stream.positions)?;
        stream.discover()?;
        for (topic, time) in stream.times.iter_mut().enumerate() {
            let slots = &stream.reader.slots;
            time.end_missing(|number| slots.iter().any(|slot| slot.topic == topic && slot.partition.number == number));
        }
        if is_new {
            stream.checkpoint()?;
        }
        Ok(stream)
    }

    /// Runs until the bounded input has ended or [`Command::Stop`] arrives; `observer` sees every step.
    pub fn run(&mut self, commands: &Receiver<Command>, observer: &mut dyn FnMut(&Progress<'_>)) -> Result<Report> {
        loop {
            match commands.try_recv() {
                Ok(Command::Stop) => {
                    self.stop()?;
                    return Ok(self.report.clone());
                }
                Ok(Command::Rules(rules, reply)) => {
                    self.wait_saved()?;
                    // What a version has said stays said, whatever crashes: it is not replayed with another one in its place.
                    if self.would_be_unsaid(&rules) {
                        self.checkpoint()?;
                    }
                    reply(self.swap_rules(&rules)?);
                }
                Ok(Command::Redrive(records, reply)) => {
                    // What failed in the middle is not to be committed: the stream ends with the error that it replied. What is said to
                    // be judged stays judged: nothing would replay a record that lies before the positions.
                    let redriven = self.redrive(&records)?;
                    self.checkpoint()?;
                    reply(Ok(redriven));
                }
                // Nobody is left who could tell it anything.
                Err(_) => {}
            }
            let step = self.step()?;
            if !self.trips.is_empty() {
                // Whoever is told may write it beside the output: what the version raised before is to be there first, not after it.
                self.wait_saved()?;
            }
            let Self { report, runs, trips, meters, source, .. } = self;
            observer(&Progress { report, trips, runs, meters, source: &**source, idle: step == Step::Waited });
            self.trips.clear();
            if step == Step::Finished {
                return Ok(self.report.clone());
            }
        }
    }

    /// Does what is next.
    pub fn step(&mut self) -> Result<Step> {
        self.look_saved()?;
        let event = self.next_event()?;
        let step = match event {
            Event::Rows(pending) => {
                self.judge_rows(pending)?;
                Step::Judged
            }
            Event::CaughtUp(slot) => {
                self.reader.caught_up(slot);
                let slot = &self.reader.slots[slot];
                self.times[slot.topic].caught_up(slot.partition.number, self.clock.now(), self.settings.quiet_ms);
                Step::Looked
            }
            Event::Waiting(slot) => {
                self.reader.pass_over(slot);
                let slot = &self.reader.slots[slot];
                self.times[slot.topic].reading(slot.partition.number);
                Step::Looked
            }
            Event::Passed(slot, highest) => {
                let slot = &self.reader.slots[slot];
                self.times[slot.topic].reading(slot.partition.number);
                self.times[slot.topic].partition(slot.partition.number).raise(highest);
                self.changed = true;
                Step::Looked
            }
            Event::Ended(slot) => {
                self.reader.ended(slot);
                let slot = &self.reader.slots[slot];
                self.times[slot.topic].ended(slot.partition.number);
                Step::Looked
            }
            Event::Idle => {
                if !self.changed {
                    let positions = self.noted_positions();
                    self.changed = positions != self.positions && positions != self.noted;
                }
                if !self.changed {
                    self.committing.settle_due()?;
                }
                let woken = self.clock.wait(self.idle_ms, self.decisions.waker());
                self.idle_ms = if woken { 1 } else { (self.idle_ms * 2).min(IDLE_MS_MAX) };
                self.discover()?;
                self.reader.ask_again();
                Step::Waited
            }
            Event::EndOfInput => {
                self.close_windows()?;
                self.checkpoint()?;
                self.committing.settle_all()?;
                self.finished = true;
                return Ok(Step::Finished);
            }
            Event::CheckpointDue => {
                self.begin_checkpoint()?;
                self.look_saved()?;
                if !self.settings.bounded {
                    // A stream that always has work is never idle.
                    self.discover()?;
                }
                return Ok(Step::Checkpointed);
            }
            Event::Finished => return Ok(Step::Finished),
        };
        if step != Step::Judged {
            self.move_time()?;
        }
        if self.decisions.is_behind() && self.reader.is_caught_up() {
            self.decisions.caught_up();
        }
        self.tell_time();
        self.flush()?;
        Ok(step)
    }

    /// Takes a checkpoint if anything changed, and shows everything that was gathered. No window closes.
    pub fn stop(&mut self) -> Result<()> {
        if self.changed {
            self.checkpoint()?;
        }
        self.wait_saved()?;
        self.committing.settle_all()
    }

    /// What was done so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The versions that the host has stopped and that no observer was told of yet.
    pub fn trips(&self) -> &[Trip] {
        &self.trips
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(router) = &mut self.router {
            self.outbox.hand_on(router.drain());
        }
        let Self { outbox, prompt, committing, .. } = self;
        timed(&mut self.report.spent.sinks_ns, || {
            if let Some(prompt) = prompt.as_mut().filter(|_| !outbox.output.records.is_empty()) {
                prompt.write(&outbox.output.records)?;
                outbox.output.records.clear();
            }
            committing.offer(&mut outbox.output)
        })?;
        self.deciding.tell(&self.decisions);
        let Self { outbox, meters, settings, clock, .. } = self;
        if outbox.triggers.is_empty() {
            return Ok(());
        }
        let now = clock.now();
        for time in outbox.triggers.drain(..).filter(|_| !settings.bounded) {
            meters.alerts.record_ns(u64::try_from(now.saturating_sub(time)).unwrap_or(0).saturating_mul(1_000_000));
        }
        Ok(())
    }
}
