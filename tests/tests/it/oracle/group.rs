//! A feed through streams: one that reads all of it to its end, or those of the slices that the hosts of a group share.

use std::sync::Arc;

use serde_json::Value as Json;
use tamis_engine::exchange::{Demux, Exchange, Part};
use tamis_engine::memory::{ManualClock, MemoryBroker, MemoryCheckpoints, MemoryTopics};
use tamis_engine::{Decisions, RuleSet, Sinks, Source, Step, Stream, StreamParts, StreamSettings};
use tamis_model::position::Partition;
use tamis_model::topic::TopicSchema;

use super::engine::{Outputs, Way};
use super::feed::{LATER, Record, closing};

const EXCHANGE: &str = "exchange";
/// On the clock of a group between two rounds in which nothing was left to do: long enough for what is told of times.
const ROUND_MS: i64 = 200;
/// So many rounds in which nothing was left to do are the end: what the last one told has come to all others.
const STILL_ROUNDS: u32 = 3;

/// How streams judge.
#[derive(Clone, Copy)]
pub struct Judging<'a> {
    pub way: Way,
    pub schemas: &'a [TopicSchema],
    pub rules: &'a RuleSet,
}

impl<'a> Judging<'a> {
    /// What all hosts together write of a feed.
    pub fn outputs(self, feed: &[Record]) -> Vec<Outputs> {
        let tasks = if self.way.hosts == 1 { vec![self.alone(feed)] } else { self.shared(feed) };
        tasks.into_iter().map(|task| task.outputs).collect()
    }

    /// One stream, which reads everything to its end.
    fn alone(self, feed: &[Record]) -> Task<'a> {
        let topics = topics_of(feed);
        let source = if self.way.framed { MemoryTopics::framed_source } else { MemoryTopics::source };
        let source = move || Box::new(source(&topics, true, self.way.chunk_records)) as _;
        let mut task = Task::new(self, ManualClock::new(LATER), Part::Whole, None, Box::new(source));
        // What has to be looked at again after a restart takes steps, too: each process gets a few more than the last.
        let mut lives = (1..).map(|life| if self.way.restarted { 3 * life + 2 } else { usize::MAX });
        while !lives.next().is_some_and(|steps| task.comes_to(Step::Finished, steps)) {
            task.stream = None;
        }
        task
    }

    /// The two streams of each host's slice, which all take turns until nothing is left to do.
    fn shared(self, feed: &[Record]) -> Vec<Task<'a>> {
        let mut tasks = self.slices(&[feed, &closing(feed)].concat());
        let mut still = 0;
        for round in 1.. {
            let mut rest = true;
            for task in &mut tasks {
                if !task.comes_to(Step::Waited, 8 * round + 2) {
                    rest = false;
                    if self.way.restarted {
                        task.stream = None;
                    }
                }
            }
            still = if rest { still + 1 } else { 0 };
            match still {
                0 => {}
                STILL_ROUNDS => break,
                _ => tasks[0].clock.advance(ROUND_MS),
            }
        }
        tasks
    }

    fn slices(self, feed: &[Record]) -> Vec<Task<'a>> {
        let (topics, clock) = (topics_of(feed), ManualClock::new(LATER));
        let partitions: Vec<Partition> = topics.framed_source(false, 1).partitions().unwrap();
        let (slices, chunk_records) = (self.way.hosts, self.way.chunk_records);
        let mut tasks = Vec::new();
        for slice in 0..slices {
            let exchange = Partition { topic: EXCHANGE.to_owned(), number: slice };
            topics.create(&exchange);
            let own: Vec<_> =
                partitions.iter().filter(|partition| partition.number % slices == slice).cloned().collect();
            let read = topics.clone();
            let source: MakeSource =
                Box::new(move || Box::new(read.framed_source(false, chunk_records).of(own.clone())));
            let unkeyed = Part::Unkeyed(Exchange { topic: EXCHANGE.to_owned(), partitions: slices });
            tasks.push(Task::new(self, clock.clone(), unkeyed, Some(topics.clone()), source));
            let (read, all, time) = (topics.clone(), partitions.clone(), clock.clone());
            let source: MakeSource = Box::new(move || {
                let handed_on = Box::new(read.framed_source(false, chunk_records));
                Box::new(Demux::new(handed_on, exchange.clone(), all.clone(), Arc::new(time.clone())))
            });
            let keyed = Part::Keyed { partition: slice, partitions: slices };
            tasks.push(Task::new(self, clock.clone(), keyed, Some(topics.clone()), source));
        }
        tasks
    }
}

fn topics_of(feed: &[Record]) -> MemoryTopics {
    let topics = MemoryTopics::new();
    for record in feed {
        let partition = Partition { topic: record.topic.to_owned(), number: record.partition };
        match serde_json::from_str::<Json>(&record.value) {
            Ok(_) => topics.append(&partition, record.time, None, &record.value),
            Err(_) => topics.append_bytes(&partition, record.time, record.value.as_bytes()),
        };
    }
    topics
}

type MakeSource = Box<dyn Fn() -> Box<dyn Source>>;

/// A stream that may die and be begun again.
struct Task<'a> {
    judging: Judging<'a>,
    clock: ManualClock,
    part: Part,
    /// Where the exchange is, in a group.
    exchange: Option<MemoryTopics>,
    source: MakeSource,
    outputs: Outputs,
    checkpoints: MemoryCheckpoints,
    stream: Option<Stream>,
}

impl<'a> Task<'a> {
    fn new(
        judging: Judging<'a>,
        clock: ManualClock,
        part: Part,
        exchange: Option<MemoryTopics>,
        source: MakeSource,
    ) -> Self {
        let (outputs, checkpoints) = Default::default();
        Self { judging, clock, part, exchange, source, outputs, checkpoints, stream: None }
    }

    /// Whether it does this within so many steps.
    fn comes_to(&mut self, end: Step, steps: usize) -> bool {
        let mut stream = self.stream.take().unwrap_or_else(|| self.open());
        let comes = (0..steps).any(|_| stream.step().unwrap_or_else(|error| panic!("{}", error.chain())) == end);
        self.stream = Some(stream);
        comes
    }

    fn open(&self) -> Stream {
        let Judging { way: Way { rows_max, shards, restarted, .. }, schemas, rules } = self.judging;
        let Outputs { records, raised, emitted } = self.outputs.clone();
        let parts = StreamParts {
            settings: StreamSettings {
                rows_max,
                shards,
                part: self.part.clone(),
                bounded: self.exchange.is_none(),
                checkpoint_interval_ms: if restarted { 0 } else { i64::MAX },
                ..StreamSettings::default()
            },
            source: (self.source)(),
            schemas: schemas.to_vec(),
            rules: rules.clone(),
            sinks: Sinks {
                records: match &self.exchange {
                    Some(topics) => Box::new(MemoryBroker::new(EXCHANGE, topics, &records)),
                    None => Box::new(records),
                },
                alerts: vec![("oracle".to_owned(), Box::new(raised))],
                aggregates: Some(Box::new(emitted)),
            },
            checkpoints: Box::new(self.checkpoints.clone()),
            clock: Arc::new(self.clock.clone()),
            decisions: Decisions::default(),
        };
        Stream::open(parts).unwrap_or_else(|error| panic!("{}", error.chain()))
    }
}
