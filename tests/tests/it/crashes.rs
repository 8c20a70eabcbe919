//! Every operation on a real device fails once, before and after its effect, while rules change: each row is visible exactly once.

mod archive;
mod fuse;
mod registry;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tamis_engine::Step;
use tamis_model::Result;

use self::fuse::{Fails, Fuse, Swept};
use self::world::{Machine, World};
use crate::results::{Results, assert_each_once, assert_same, counting};

/// The devices, and what each is asked to do.
const OPERATIONS: [(&str, &[&str]); 6] = [
    ("source", &["open", "partitions", "read", "release"]),
    ("records", &["write", "stage", "commit", "settle"]),
    ("lake", &["write", "stage", "commit", "settle"]),
    ("warehouse", &["write", "stage", "commit", "settle"]),
    ("aggregates", &["write", "stage", "commit", "settle"]),
    ("checkpoints", &["latest", "save"]),
];
/// Operations of an undisturbed run at least.
const OPERATIONS_MIN: u64 = 100;
/// A second crash, where there is one, hits one of so many first operations of the recovery.
const RECOVERY_OPERATIONS: u64 = 23;
/// Crashes at work at a time: most of the time goes by waiting for the disk.
const THREADS: usize = 4;
/// Batches between two changes of the rules.
const BATCHES_A_CHANGE: u32 = 2;

/// A sweep: how operations fail, and whether the recovery fails too.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    fails: Fails,
    again: bool,
}

/// Runs until the input has ended or an operation fails. The rules change at the start and on the way.
fn run(world: &World<'_>, machine: &Machine, changes: &mut u32, fuse: &Fuse) -> Result<()> {
    let mut stream = world.open(machine.rule_set(*changes), fuse)?;
    let mut batches = 0;
    loop {
        match stream.step()? {
            Step::Finished => return Ok(()),
            Step::Judged => {
                batches += 1;
                if batches % BATCHES_A_CHANGE == 0 {
                    *changes += 1;
                    stream.swap_rules(&machine.rule_set(*changes))??;
                }
            }
            Step::Looked | Step::Waited | Step::Checkpointed => {}
        }
    }
}

/// What is there when nothing fails and no rule changes.
fn undisturbed(machine: &Machine) -> Results {
    let world = World::new(machine);
    let mut stream = world.open(machine.rule_set(0), &Fuse::holding()).unwrap();
    while stream.step().unwrap() != Step::Finished {}
    drop(stream);
    let results = world.results();
    for (place, least) in [
        ("topic alerts_fraud_payments", 15),
        ("topic alerts_advanced_fraud", 20),
        ("topic alerts_psp_payments", 6),
        ("topic dead_letters", 10),
        ("live alerts in the lake", 41),
        ("live alerts in the warehouse", 41),
        ("aggregates", 20),
    ] {
        let rows = results.get(place).map_or(0, Vec::len);
        assert!(rows >= least, "{place}: {rows} rows are too few to test with");
    }
    assert_each_once(&results, "undisturbed");
    results
}

/// Crashes in an operation, starts again, and compares. Which operations failed; none when there are not so many.
fn crash(machine: &Machine, number: u64, sweep: Sweep, expected: &Results) -> Option<(Vec<fuse::Operation>, usize)> {
    let (world, mut changes) = (World::new(machine), 0);
    let fuse = Fuse::blowing_at(number, sweep.fails);
    let crashed = run(&world, machine, &mut changes, &fuse);
    let operation = fuse.blown();
    let mut failed: Vec<_> = operation.into_iter().collect();
    assert_eq!(crashed.is_err(), operation.is_some(), "{crashed:?}: only the fuse ends a stream");
    changes += 1;
    if sweep.again && operation.is_some() {
        let fuse = Fuse::blowing_at(number % RECOVERY_OPERATIONS, sweep.fails);
        run(&world, machine, &mut changes, &fuse).unwrap_err();
        failed.extend(fuse.blown());
        changes += 1;
    }
    run(&world, machine, &mut changes, &Fuse::holding()).unwrap_or_else(|error| panic!("{}", error.chain()));
    let when = format!("operation {number} ({operation:?}), {sweep:?}");
    let results = world.results();
    assert_same(&counting(&results), expected, &when);
    assert_each_once(&results, &when);
    operation.map(|_| (failed, results.get("topic shadow_alerts").map_or(0, Vec::len)))
}

/// Lets every operation fail. Which failed how often, and how many rows of shadows there were.
fn sweep(machine: &Machine, sweep: Sweep, expected: &Results) -> (Swept, usize) {
    let (next, over, swept) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new((Swept::default(), 0)));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match crash(machine, next.fetch_add(1, Ordering::Relaxed), sweep, expected) {
                        Some((failed, shadow_alerts)) => {
                            let mut swept = swept.lock().unwrap();
                            failed.into_iter().for_each(|operation| swept.0.add(operation));
                            swept.1 += shadow_alerts;
                        }
                        None => over.store(true, Ordering::Relaxed),
                    }
                }
            });
        }
    });
    swept.into_inner().unwrap()
}

#[test]
#[allow(clippy::print_stderr, reason = "a sweep says what it swept")]
fn every_operation_fails_once_and_every_row_is_there_once() {
    let machine = Machine::new();
    let expected = undisturbed(&machine);
    for how in [
        Sweep { fails: Fails::Before, again: false },
        Sweep { fails: Fails::After, again: false },
        Sweep { fails: Fails::After, again: true },
    ] {
        let began = Instant::now();
        let (swept, shadow_alerts) = sweep(&machine, how, &expected);
        eprintln!("{how:?}: {} operations, {:?}, {:?}", swept.total(), began.elapsed(), swept.0);
        assert!(swept.total() >= OPERATIONS_MIN, "{} operations", swept.total());
        for (device, operations) in OPERATIONS {
            for operation in operations {
                assert!(swept.0.contains_key(&(device, *operation)), "{operation} of {device} never failed");
            }
        }
        let restores = swept.0.get(&("checkpoints", "restore")).copied().unwrap_or(0);
        assert_eq!(restores > 0, how.again, "only a recovery takes state back");
        assert!(shadow_alerts > 0, "shadows ran beside");
    }
}
