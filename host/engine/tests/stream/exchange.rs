//! Several hosts judge what one alone would: unkeyed parts hand records on, keyed parts judge them, and any of them may die at any time.

use std::sync::Arc;

use proptest::prelude::*;
use tamis_engine::exchange::{Demux, Exchange, Part};
use tamis_engine::memory::{ManualClock, MemoryBroker, MemoryCheckpoints, MemorySink};
use tamis_engine::{Decisions, RulePlan, RuleSet, Sinks, Source, Stream, StreamParts, StreamSettings};
use tamis_model::alert::Alert;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::time::Millis;

use crate::feed::{
    NOON, Payment, RATE_MAX, RATE_MS, World, all_rules, customer, expected, expected_rates, payments, schemas, settle,
};
use crate::order::feed;
use crate::rules::rate;

const EXCHANGE: &str = "exchange";

/// A part of the work that a host can take over from another.
struct Task {
    part: Part,
    partition: Partition,
    alerts: MemorySink<Alert>,
    records: MemorySink<Record>,
    checkpoints: MemoryCheckpoints,
    stream: Option<Stream>,
}

impl Task {
    fn new(part: Part, partition: Partition) -> Self {
        let (alerts, records, checkpoints) = Default::default();
        Self { part, partition, alerts, records, checkpoints, stream: None }
    }
}

struct Group {
    world: World,
    partitions: u32,
    tasks: Vec<Task>,
}

impl Group {
    fn new(feed: &[Payment], partitions: u32, keyed_partitions: u32) -> Self {
        let world = World::of(feed);
        // Nothing is refused as a record of the future.
        world.clock.advance(24 * 3_600_000);
        (0..partitions).for_each(|number| world.topics.create(&payments(number)));
        let exchange = |number| Partition { topic: EXCHANGE.to_owned(), number };
        (0..keyed_partitions).for_each(|number| world.topics.create(&exchange(number)));
        let unkeyed = Part::Unkeyed(Exchange { topic: EXCHANGE.to_owned(), partitions: keyed_partitions });
        let tasks = (0..partitions).map(|number| Task::new(unkeyed.clone(), payments(number)));
        let keyed = |partition| Part::Keyed { partition, partitions: keyed_partitions };
        let keyed = (0..keyed_partitions).map(|number| Task::new(keyed(number), exchange(number)));
        Self { world, partitions, tasks: tasks.chain(keyed).collect() }
    }

    /// The stream of a task; another host begins it where the last one left it.
    fn stream(&mut self, index: usize, chunk_records: usize) -> &mut Stream {
        let Self { world, partitions, tasks } = self;
        let task = &mut tasks[index];
        if task.stream.is_none() {
            task.stream = Some(open(world, *partitions, task, chunk_records));
        }
        task.stream.as_mut().unwrap()
    }

    /// Lets everything come to rest.
    fn settle(&mut self) {
        for _ in 0..2 {
            (0..self.tasks.len()).for_each(|index| settle(self.stream(index, 7)));
            self.world.clock.advance(200);
        }
        (0..self.tasks.len()).for_each(|index| settle(self.stream(index, 7)));
    }

    fn raised(&self) -> Vec<String> {
        let of_task = |task: &Task| World { alerts: task.alerts.clone(), ..World::new() }.raised();
        let mut raised: Vec<String> = self.tasks.iter().flat_map(of_task).collect();
        raised.sort();
        raised
    }
}

fn open(world: &World, partitions: u32, task: &Task, chunk_records: usize) -> Stream {
    let source = world.topics.framed_source(false, chunk_records).of([task.partition.clone()]);
    let source: Box<dyn Source> = match task.part {
        Part::Keyed { .. } => {
            let partitions = (0..partitions).map(payments);
            Box::new(Demux::new(Box::new(source), task.partition.clone(), partitions, Arc::new(world.clock.clone())))
        }
        _ => Box::new(source),
    };
    let records = MemoryBroker::new(EXCHANGE, &world.topics, &task.records);
    let clock: ManualClock = world.clock.clone();
    Stream::open(StreamParts {
        settings: StreamSettings {
            part: task.part.clone(),
            rows_max: 5,
            checkpoint_interval_ms: 1,
            ..StreamSettings::default()
        },
        source,
        schemas: schemas(),
        rules: RuleSet { revision: 1, rules: rules().into_iter().map(Arc::new).collect() },
        sinks: Sinks {
            records: Box::new(records),
            alerts: vec![("files".to_owned(), Box::new(task.alerts.clone()))],
            aggregates: None,
        },
        checkpoints: Box::new(task.checkpoints.clone()),
        clock: Arc::new(clock),
        decisions: Decisions::default(),
    })
    .unwrap()
}

/// Rules whose keys are none of them the partitions' own.
fn rules() -> Vec<RulePlan> {
    let by = |name: &str, key| RulePlan { name: name.to_owned(), ..rate(key, RATE_MAX, RATE_MS) };
    all_rules().into_iter().chain([by("by-customer", "customer_id"), by("of-all", "all")]).collect()
}

fn expected_of_all(feed: &[Payment]) -> Vec<String> {
    let mut raised = expected(feed);
    raised.extend(expected_rates(feed, "by-customer", |payment| Some(customer(payment))));
    raised.extend(expected_rates(feed, "of-all", |_| Some("all".to_owned())));
    raised.sort();
    raised
}

/// What happens to a task.
#[derive(Clone, Copy, Debug)]
enum Do {
    Steps(usize),
    /// It is given up with a checkpoint.
    Stop,
    /// Its host dies.
    Crash,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn a_group_raises_what_one_host_raises(
        feed in (1..4_u32).prop_flat_map(feed),
        keyed_partitions in 1..4_u32,
        doings in prop::collection::vec(
            (0..6_usize, 1..9_usize, prop_oneof![6 => (1..12_usize).prop_map(Do::Steps), 1 => Just(Do::Stop), 1 => Just(Do::Crash)]),
            0..80,
        ),
    ) {
        let partitions = feed.iter().map(|payment| payment.partition + 1).max().unwrap_or(1);
        let mut feed = feed;
        // Time goes on until every window has closed.
        let last = feed.iter().map(|payment| payment.time).max().unwrap_or(NOON) + 600_000;
        feed.extend((0..partitions).map(|partition| Payment { partition, time: last, session: None, amount: 1, valid: true }));
        let mut group = Group::new(&feed, partitions, keyed_partitions);
        for (task, chunk_records, doing) in doings {
            let task = task % group.tasks.len();
            match doing {
                Do::Steps(steps) => {
                    let stream = group.stream(task, chunk_records);
                    (0..steps).for_each(|_| { stream.step().unwrap(); });
                }
                Do::Stop => {
                    group.stream(task, chunk_records).stop().unwrap();
                    group.tasks[task].stream = None;
                }
                Do::Crash => group.tasks[task].stream = None,
            }
        }
        group.settle();
        prop_assert_eq!(group.raised(), expected_of_all(&feed));
    }
}

/// A partition whose host is gone may have records that nobody reads: it holds windows open until somebody does.
#[test]
fn a_partition_of_which_nothing_is_heard_is_not_quiet() {
    let payment = |partition, second: Millis| Payment::new(partition, NOON + second * 1_000, "s1", 100);
    let begun: Vec<Payment> = vec![payment(0, 0), payment(1, 0)];
    let mut group = Group::new(&begun, 2, 1);
    group.settle();
    // Both go on, and the host that reads the second one is gone.
    let mut feed = begun;
    for second in 1..100 {
        for partition in 0..2 {
            group.world.append(&format!("p{}", feed.len()), &payment(partition, second));
            feed.push(payment(partition, second));
        }
    }
    for _ in 0..120 {
        for task in [0, 2] {
            settle(group.stream(task, 7));
        }
        group.world.clock.advance(1_000);
    }
    let closing: Vec<Payment> = (0..2).map(|partition| payment(partition, 1_000)).collect();
    for payment in closing {
        group.world.append(&format!("p{}", feed.len()), &payment);
        feed.push(payment);
    }
    group.settle();
    assert_eq!(group.raised(), expected_of_all(&feed));
}
