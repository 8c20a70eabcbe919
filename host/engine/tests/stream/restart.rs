//! A stream that is stopped or crashes anywhere and is opened again writes what an undisturbed one writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use tamis_engine::report::Counts;
use tamis_engine::rules::OnStateChange;
use tamis_engine::stream::Commits;
use tamis_engine::{Checkpoint, CheckpointStore, Restored, Settle, Sink, Staging, Step, Stream};
use tamis_model::alert::Alert;
use tamis_model::{Error, Kind, Result};

use crate::feed::{NOON, Payment, Reading, World, all_rules, finish, payments, settle, sinks};
use crate::rules::high_amount;

const EVERY_BATCH: Reading = Reading {
    rows_max: 2,
    shards: 2,
    chunk_records: 3,
    bounded: true,
    checkpoint_interval_ms: 0,
    commits: Commits::InStep,
};

/// All ways in which output and checkpoints become durable.
fn every_commits() -> [Reading; 3] {
    let beside = |records_at_once| Commits::Beside { records_at_once };
    [Commits::InStep, beside(true), beside(false)].map(|commits| Reading { commits, ..EVERY_BATCH })
}

/// Two partitions, alerts of every rule, refused, late and poisoned records, and a line that is no record.
fn world() -> World {
    let mut feed = Vec::new();
    for n in 0..36 {
        let late = if n % 11 == 10 { 14_000 } else { 0 };
        let amount = if n % 9 == 4 { 160_000 } else { 1_000 };
        let session = if n % 3 == 0 { "s1" } else { "s2" };
        let payment = Payment::new(n as u32 / 2 % 2, NOON + n * 700 - late, session, amount);
        feed.push(Payment { valid: n % 7 != 6, ..payment });
    }
    feed[16].amount = 666;
    let world = World::of(&feed);
    world.topics.append_line(&payments(1), "not a record");
    world.append("last", &Payment::new(1, NOON + 200_000, "s1", 160_000));
    world
}

fn undisturbed() -> (Vec<String>, Counts) {
    let world = world();
    let mut stream = world.open(all_rules(), EVERY_BATCH);
    finish(&mut stream);
    let raised = world.raised();
    for rule in ["burst", "high-amount", "rate"] {
        assert!(raised.iter().any(|alert| alert.starts_with(rule)), "the feed tests {rule}");
    }
    let counts = stream.report().counts.clone();
    assert!(counts.topics["payments"].late > 0 && counts.rules["high-amount"].poisoned > 0);
    (world.output(), counts)
}

#[track_caller]
fn assert_undisturbed(world: &World, stream: &Stream, undisturbed: &(Vec<String>, Counts), when: &str) {
    assert_eq!(world.output(), undisturbed.0, "{when}");
    assert_eq!(stream.report().counts, undisturbed.1, "{when}");
}

#[test]
fn stopped_after_any_step() {
    let undisturbed = undisturbed();
    for reading in every_commits() {
        for stopped_after in 0.. {
            let world = world();
            let mut stream = world.open(all_rules(), reading);
            let ended = (0..stopped_after).any(|_| stream.step().unwrap() == Step::Finished);
            drop(stream);
            let mut stream = world.open(all_rules(), reading);
            finish(&mut stream);
            let when = format!("stopped after step {stopped_after}, {:?}", reading.commits);
            assert_undisturbed(&world, &stream, &undisturbed, &when);
            if ended {
                let steps_min = if reading.commits == Commits::InStep { 24 } else { 12 };
                assert!(stopped_after > steps_min, "every batch, and in step every checkpoint, is a step");
                break;
            }
        }
    }
}

#[test]
fn stopped_after_every_batch() {
    let undisturbed = undisturbed();
    for (gently, reading) in
        [true, false].into_iter().flat_map(|gently| every_commits().map(|reading| (gently, reading)))
    {
        let world = world();
        let mut stream = world.open(all_rules(), reading);
        let mut restarts = 0;
        loop {
            match stream.step().unwrap() {
                Step::Finished => break,
                Step::Checkpointed | Step::Judged => {}
                Step::Looked | Step::Waited => continue,
            }
            // A crash right behind a batch undoes it, so let every second one reach its checkpoint.
            if gently || restarts % 2 == 0 {
                stream.stop().unwrap();
            }
            restarts += 1;
            if restarts < 200 {
                drop(stream);
                // Every process may have as many shards as it likes.
                stream = world.open(all_rules(), Reading { shards: 2 + restarts % 2, ..reading });
            }
        }
        assert!(restarts > 12);
        assert_undisturbed(&world, &stream, &undisturbed, "stopped after every batch");
    }
}

/// Counts operations down; the one that finds none left fails, before or after it has its effect.
#[derive(Clone)]
struct Fuse {
    left: Arc<AtomicI64>,
    after_effect: bool,
}

impl Fuse {
    fn burn<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<T> {
        let blown = || Error::new(Kind::Outage, "work", "a device whose fuse is blown");
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => operation(),
            0 if self.after_effect => operation().and(Err(blown())),
            _ => Err(blown()),
        }
    }
}

/// A device behind a fuse.
struct Fused<D>(D, Fuse);

impl<T, D: Sink<T>> Sink<T> for Fused<D> {
    fn write(&mut self, output: &[T]) -> Result<()> {
        self.1.burn(|| self.0.write(output))
    }

    fn stage(&mut self) -> Result<Value> {
        self.1.burn(|| self.0.stage())
    }

    /// Blows where it is waited for.
    fn begin_stage(&mut self) -> Result<Staging> {
        let (staging, fuse) = (self.0.begin_stage()?, self.1.clone());
        Ok(Box::new(move || fuse.burn(staging)))
    }

    fn commit(&mut self, staged: &Value) -> Result<()> {
        self.1.burn(|| self.0.commit(staged))
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.1.burn(|| self.0.settle(what))
    }
}

impl<D: CheckpointStore> CheckpointStore for Fused<D> {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        self.0.latest()
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        self.0.restore(take)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.1.burn(|| self.0.save(checkpoint))
    }
}

/// Runs until the fuse blows. Returns whether it held to the end.
fn run_fused(world: &World, reading: Reading, fuse: &Fuse) -> bool {
    let sinks = sinks(
        Box::new(Fused(world.records.clone(), fuse.clone())),
        Box::new(Fused(world.alerts.clone(), fuse.clone())),
    );
    let checkpoints = Box::new(Fused(world.checkpoints.clone(), fuse.clone()));
    let Ok(mut stream) = world.open_with(all_rules(), reading, sinks, checkpoints) else { return false };
    loop {
        match stream.step() {
            Ok(Step::Finished) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[test]
fn crashed_in_any_operation() {
    let undisturbed = undisturbed();
    for (after_effect, reading) in
        [false, true].into_iter().flat_map(|after| every_commits().map(|reading| (after, reading)))
    {
        for operations in 0.. {
            let world = world();
            let held = run_fused(&world, reading, &Fuse { left: Arc::new(operations.into()), after_effect });
            // A second crash during the recovery, at its third operation.
            run_fused(&world, reading, &Fuse { left: Arc::new(2.into()), after_effect });
            let mut stream = world.open(all_rules(), reading);
            finish(&mut stream);
            let when = format!("crashed in operation {operations}, after its effect: {after_effect}, {reading:?}");
            assert_undisturbed(&world, &stream, &undisturbed, &when);
            if held {
                // Beside the stream several batches may have one checkpoint.
                let operations_min = if reading.commits == Commits::InStep { 60 } else { 12 };
                assert!(operations > operations_min, "stage, save and commit of every checkpoint are operations");
                break;
            }
        }
    }
}

/// Shows alerts to somebody.
struct Screen;

impl Sink<Alert> for Screen {
    fn write(&mut self, _: &[Alert]) -> Result<()> {
        Ok(())
    }

    fn stage(&mut self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn commit(&mut self, _: &Value) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_may_be_left_out_when_it_staged_nothing() {
    let world = world();
    let open = |names: &[&str]| {
        let mut sinks = sinks(Box::new(world.records.clone()), Box::new(world.alerts.clone()));
        if names.contains(&"screen") {
            sinks.alerts.push(("screen".to_owned(), Box::new(Screen)));
        }
        if !names.contains(&"files") {
            sinks.alerts.retain(|(name, _)| name != "files");
        }
        world.open_with(all_rules(), EVERY_BATCH, sinks, Box::new(world.checkpoints.clone()))
    };
    let mut stream = open(&["files", "screen"]).unwrap();
    for _ in 0..8 {
        stream.step().unwrap();
    }
    stream.stop().unwrap();
    let error = open(&["screen"]).err().unwrap();
    assert_eq!(error.chain(), "cannot go on with sink alerts/files: it has staged output and is not there");
    let mut stream = open(&["files"]).unwrap();
    finish(&mut stream);
    assert_undisturbed(&world, &stream, &undisturbed(), "stopped with a screen and opened without");
}

#[test]
fn a_rule_that_finds_the_state_of_another_version_is_stopped_unless_it_may_be_reset() {
    let world = world();
    let sinks = || sinks(Box::new(world.records.clone()), Box::new(world.alerts.clone()));
    let store = || Box::new(world.checkpoints.clone());
    let mut stream = world.open_with(all_rules(), EVERY_BATCH, sinks(), store()).unwrap();
    for _ in 0..8 {
        stream.step().unwrap();
    }
    stream.stop().unwrap();
    drop(stream);
    let newer = |on_state_change| {
        let mut rules = all_rules();
        let manifest = Arc::make_mut(&mut rules[1].manifest);
        manifest.state_version = 2;
        rules[1].on_state_change = on_state_change;
        rules
    };
    let stream = world.open_with(newer(OnStateChange::Keep), EVERY_BATCH, sinks(), store()).unwrap();
    let words = "cannot go on with the state of rule burst: 2 keys have state version 1 of burst 1.2.3, \
                 and burst 1.2.3 wants state version 2";
    assert_eq!(stream.trips().iter().map(|trip| trip.reason.as_str()).collect::<Vec<_>>(), [words]);
    let stream = world.open_with(newer(OnStateChange::Reset), EVERY_BATCH, sinks(), store()).unwrap();
    assert_eq!(stream.trips(), []);
}

/// A line without an offset lies in front of a position: it may be refused twice, and no record is passed over.
#[test]
fn a_restart_behind_a_line_without_an_offset_loses_no_record() {
    let world = World::of(&[Payment::new(0, NOON, "s", 160_000)]);
    world.topics.append_line(&payments(0), "garbage");
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    stream.stop().unwrap();
    drop(stream);
    let value = r#"{"payment_id":"p1","session_id":"s","amount":2000.00,"method":"card","status":"succeeded"}"#;
    world.topics.append_line(&payments(0), &format!(r#"{{"offset":1,"timestamp":{NOON},"value":{value}}}"#));
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    assert_eq!(world.raised(), ["high-amount p0", "high-amount p1"]);
}
