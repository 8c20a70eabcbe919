//! A member of the group with the tasks of its slices.
//!
//! It gives a slice up when its tasks have taken a last checkpoint, and not before. A task that fails is begun again after a while,
//! as long as the slice is this member's; one that another host has fenced ends the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tamis_connectors::kafka::{Asked, KafkaMember, KafkaMemberSettings, KafkaTopics, Share};
use tamis_engine::Restoring;
use tamis_engine::exchange::Part;
use tamis_engine::rules::RuleSet;
use tamis_model::position::Partition;
use tamis_model::{Error, Kind, Result};

use super::rules::RuleReader;
use super::seen::{Doing, Seen};
use super::task::{PARTS, Running, Task, parts};
use super::{Topics, require_topics};
use crate::kafka::KafkaPlan;
use crate::plan::Plan;

/// How long a task that failed rests.
const PAUSE: Duration = Duration::from_secs(1);
/// A member that does not ask what is asked of it for so long has died. Giving up a slice takes a checkpoint, and a broker may be away.
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// A member of the group, and what it does.
pub(crate) struct Worker {
    plan: Arc<Plan>,
    kafka: KafkaPlan,
    reader: RuleReader,
    rules: Option<RuleSet>,
    work: Option<Work>,
    tasks: TaskPlan,
    /// What a task says that cannot go on with other rules.
    refusals: (Sender<Error>, Receiver<Error>),
    /// Why the rules that were said last do not run everywhere.
    refused: Option<String>,
}

/// What tasks are made of.
struct TaskPlan {
    template: Task,
    slices: u32,
}

/// Since it is a member.
struct Work {
    member: KafkaMember,
    /// Whether the group has said what is this member's, be it nothing.
    joined: bool,
    /// By slice and part.
    tasks: BTreeMap<(u32, usize), State>,
}

enum State {
    Runs(Box<Running>),
    /// It begins then, and why not now.
    Rests(Instant, Option<String>),
}

impl Worker {
    /// A worker that is no member yet: it becomes one as soon as it knows which rules run.
    pub fn new(plan: &Arc<Plan>, kafka: &KafkaPlan) -> Result<Self> {
        let exchange = Topics::of(kafka).exchange;
        let topics = KafkaTopics::new(kafka.connection.clone());
        topics.require(std::slice::from_ref(&exchange))?;
        let (mut partitions, mut slices) = (Vec::new(), 0);
        for topic in topics.overview()? {
            if topic.topic == exchange {
                slices = topic.partitions.len() as u32;
            } else if plan.schemas.iter().any(|schema| schema.name == topic.topic) {
                let of = |number| Partition { topic: topic.topic.clone(), number };
                partitions.extend(topic.partitions.iter().map(|partition| of(partition.number)));
            }
        }
        let template = Task {
            kafka: kafka.clone(),
            slice: Share { number: 0, of: slices },
            part: Part::Whole,
            schemas: plan.schemas.clone(),
            partitions: partitions.into(),
            rows_max: plan.config.streams.rows_max,
            checkpoint_interval_ms: i64::try_from(plan.checkpoint_interval_ms()).unwrap_or(i64::MAX),
        };
        Ok(Self {
            plan: Arc::clone(plan),
            kafka: kafka.clone(),
            reader: RuleReader::open(plan, kafka)?,
            rules: None,
            work: None,
            tasks: TaskPlan { template, slices },
            refusals: channel(),
            refused: None,
        })
    }

    /// Looks at rules, the group's wishes and the tasks, and does what is to be done.
    pub fn turn(&mut self) -> Result<()> {
        if let Some(rules) = self.reader.look()? {
            require_topics(&self.plan, &self.kafka, &rules)?;
            self.refused = None;
            for running in self.work.iter().flat_map(Work::running) {
                running.tell(rules.clone(), self.refusals.0.clone());
            }
            self.rules = Some(rules);
        }
        let Some(rules) = &self.rules else { return Ok(()) };
        if let Ok(error) = self.refusals.1.try_recv() {
            tracing::error!(revision = rules.revision, "the rules cannot be put to work: {}", error.chain());
            self.refused = Some(error.chain());
        }
        let work = match &mut self.work {
            Some(work) => work,
            None => self.work.insert(Work::join(&self.kafka)?),
        };
        work.answer()?;
        work.look_after(&self.tasks, rules)
    }

    /// The revision of the rules that all its tasks have; 0 while one of them has none yet.
    pub fn revision(&self) -> u64 {
        let of_task = |state: &State| match state {
            State::Runs(running) => running.revision(),
            State::Rests(..) => 0,
        };
        let tasks = self.work.iter().flat_map(|work| work.tasks.values()).map(of_task);
        tasks.chain(self.rules.as_ref().map(|rules| rules.revision)).min().unwrap_or(0)
    }

    /// How its tasks are.
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::new(self.rules.as_ref().map_or(0, |rules| rules.revision));
        if !self.work.as_ref().is_some_and(|work| work.joined) {
            seen.doing = Doing::Starting;
        }
        let mut restoring = Restoring::default();
        self.work.iter().flat_map(Work::running).for_each(|running| restoring.add(running.restoring()));
        seen.restoring = Some(restoring);
        for state in self.work.iter().flat_map(|work| work.tasks.values()) {
            let task = match state {
                State::Runs(running) => running.seen().map(|task| (&running.task.part, task)),
                State::Rests(_, why) => {
                    seen.doing =
                        std::mem::take(&mut seen.doing).max(why.clone().map_or(Doing::Starting, Doing::Failed));
                    None
                }
            };
            match task {
                Some((part, task)) => seen.add(part, task),
                // What has not begun has no rules yet.
                None => (seen.report.revision, seen.doing) = (0, std::mem::take(&mut seen.doing).max(Doing::Starting)),
            }
        }
        if let Some(why) = &self.refused {
            seen.doing = Doing::Failed(why.clone());
        }
        seen
    }

    /// Ends all tasks with a checkpoint, and leaves the group.
    pub fn leave(self) -> Result<()> {
        let Some(mut work) = self.work else { return Ok(()) };
        let all: Vec<u32> = (0..self.tasks.slices).collect();
        work.end(&all)
    }
}

impl Work {
    fn join(kafka: &KafkaPlan) -> Result<Self> {
        let settings = KafkaMemberSettings {
            group: kafka.group.clone(),
            topic: Topics::of(kafka).exchange,
            session_max: kafka.session_max,
            silence_max: SILENCE_MAX,
        };
        Ok(Self { member: KafkaMember::join(&kafka.connection, settings)?, joined: false, tasks: BTreeMap::new() })
    }

    fn running(&self) -> impl Iterator<Item = &Running> {
        self.tasks.values().filter_map(|state| match state {
            State::Runs(running) => Some(&**running),
            State::Rests(..) => None,
        })
    }

    /// Does what the group asks.
    fn answer(&mut self) -> Result<()> {
        match self.member.asked()? {
            None => return Ok(()),
            Some(Asked::TakeOn(slices)) => {
                if !slices.is_empty() {
                    tracing::info!(?slices, "taking on");
                }
                let now = Instant::now();
                let tasks = slices.iter().flat_map(|slice| (0..PARTS).map(|part| (*slice, part)));
                self.tasks.extend(tasks.map(|task| (task, State::Rests(now, None))));
                self.joined = true;
            }
            Some(Asked::GiveUp { partitions, lost }) => {
                tracing::info!(slices = ?partitions, lost, "giving up");
                self.joined &= !lost;
                // What a task could not save is read again by whoever takes it over.
                if let Err(error) = self.end(&partitions) {
                    tracing::warn!("a slice was given up without a last checkpoint: {}", error.chain());
                }
            }
        }
        self.member.accept()
    }

    /// Ends the tasks of slices, all at a time. The first failure, when all have ended.
    fn end(&mut self, slices: &[u32]) -> Result<()> {
        let (ending, others) =
            std::mem::take(&mut self.tasks).into_iter().partition(|((slice, _), _)| slices.contains(slice));
        self.tasks = others;
        let ending: BTreeMap<_, State> = ending;
        let running = ending.into_values().filter_map(|state| match state {
            State::Runs(running) => Some(running),
            State::Rests(..) => None,
        });
        let running: Vec<_> = running.inspect(|running| running.stop()).collect();
        running.into_iter().map(|running| running.join()).fold(Ok(()), Result::and)
    }

    /// Begins what is due, and looks for what has failed. An error where no retry can help.
    fn look_after(&mut self, plan: &TaskPlan, rules: &RuleSet) -> Result<()> {
        for ((slice, part), state) in &mut self.tasks {
            match state {
                State::Rests(until, _) if Instant::now() >= *until => {
                    let slice = Share { number: *slice, of: plan.slices };
                    let part = parts(&plan.template.kafka, slice)[*part].clone();
                    let task = Task { slice, part, ..plan.template.clone() };
                    *state = State::Runs(Box::new(Running::start(task, rules.clone())));
                }
                State::Runs(running) if running.has_ended() => {
                    let rests = State::Rests(Instant::now() + PAUSE, None);
                    let State::Runs(running) = std::mem::replace(state, rests) else { unreachable!("it ran") };
                    let name = running.task.to_string();
                    // Nobody has told it to end.
                    let error = running.join().err().unwrap_or_else(|| Error::new(Kind::Outage, "go on with", &name));
                    if !error.can_retry() && error.kind() != Kind::Conflict {
                        return Err(error);
                    }
                    tracing::warn!(task = name, "it stopped, and begins again: {}", error.chain());
                    *state = State::Rests(Instant::now() + PAUSE, Some(error.chain()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// However it ends, its tasks end before it leaves the group.
impl Drop for Work {
    fn drop(&mut self) {
        let all: Vec<u32> = self.tasks.keys().map(|(slice, _)| *slice).collect();
        if let Err(error) = self.end(&all) {
            tracing::debug!("{}", error.chain());
        }
    }
}
