//! Changing the rule set while the stream runs.

use std::sync::Arc;
use std::sync::mpsc::channel;

use tamis_engine::memory::MemoryCheckpoints;
use tamis_engine::{Checkpoint, CheckpointStore, Command, Progress, Restored, Role, RulePlan, RuleSet, Stream};
use tamis_model::{Error, Kind, Result};

use crate::feed::{NOON, Payment, Reading, World, settle, sinks};
use crate::rules::{burst, high_amount, rate};

fn set(revision: u64, rules: Vec<RulePlan>) -> RuleSet {
    RuleSet { revision, rules: rules.into_iter().map(Arc::new).collect() }
}

fn payment(n: i64) -> Payment {
    Payment::new(0, NOON + n, "s1", 160_000)
}

#[test]
fn state_stays_and_a_parameter_counts_from_the_next_event() {
    let world = World::of(&[payment(0), payment(1), payment(2)]);
    let mut stream = world.open(vec![burst(3, 5_000)], Reading::LIVE);
    settle(&mut stream);
    stream.swap_rules(&set(2, vec![high_amount(150_000), burst(2, 5_000)])).unwrap().unwrap();
    world.append("p3", &payment(3));
    settle(&mut stream);
    // p2 has more than two with it now, but nothing arrived that touches its window.
    assert_eq!(world.raised(), ["burst p3", "high-amount p3"]);
    stream.swap_rules(&set(3, vec![high_amount(150_000)])).unwrap().unwrap();
    stream.swap_rules(&set(4, vec![burst(2, 5_000)])).unwrap().unwrap();
    world.append("p4", &payment(4));
    settle(&mut stream);
    assert_eq!(world.raised(), ["burst p3", "high-amount p3"], "a rule that was gone begins anew");
    assert_eq!(stream.report().revision, 4);
}

/// How many keys have state when everything is judged.
fn keys_left_by(stream: &mut Stream) -> u64 {
    let (commands, received) = channel();
    let mut keys = 0;
    let observe = &mut |progress: &Progress<'_>| {
        if progress.idle {
            keys = progress.rules().iter().map(|rule| rule.keys).sum();
            let _ = commands.send(Command::Stop);
        }
    };
    stream.run(&received, observe).unwrap();
    keys
}

#[test]
fn keys_expire_but_a_window_that_became_longer_keeps_them() {
    const LATER: i64 = 20_000;
    let other = |n: i64| Payment::new(0, NOON + n, "s2", 100);
    for (longer, keys_left, raised) in [(false, 1, vec![]), (true, 2, vec!["burst p4"])] {
        let world = World::of(&[payment(0), other(0), payment(1)]);
        let mut stream = world.open(vec![burst(9, 5_000)], Reading::LIVE);
        settle(&mut stream);
        if longer {
            stream.swap_rules(&set(2, vec![burst(2, 60_000)])).unwrap().unwrap();
        }
        world.append("p3", &other(LATER));
        assert_eq!(keys_left_by(&mut stream), keys_left, "longer: {longer}");
        world.append("p4", &payment(LATER));
        settle(&mut stream);
        assert_eq!(world.raised(), raised, "longer: {longer}");
    }
}

#[test]
fn a_set_that_does_not_fit_the_topics_changes_nothing() {
    let mut no_json = high_amount(1);
    no_json.config = "many".to_owned();
    let mut no_column = high_amount(1);
    Arc::make_mut(&mut no_column.manifest).inputs[0].columns[0].name = "montant".to_owned();
    let mut other_type = high_amount(1);
    Arc::make_mut(&mut other_type.manifest).inputs[0].columns[0].name = "status".to_owned();
    let mut required = rate("session_id", 1, 1);
    Arc::make_mut(&mut required.manifest).inputs[0].columns[0].required = true;
    let mut personal = rate("customer_id", 1, 1);
    Arc::make_mut(&mut personal.manifest).inputs[0].columns[0].name = "customer_id".to_owned();
    let mut no_topic = high_amount(1);
    Arc::make_mut(&mut no_topic.manifest).inputs[0].topic = Some("refunds".to_owned());
    let twice = high_amount(1);
    let refused = [
        (vec![no_json], "its configuration is no JSON"),
        (vec![no_column], "column montant of topic payments: the topic does not have it"),
        (vec![other_type], "column status of topic payments: it is Text there and declared as Decimal"),
        (vec![required], "column session_id of topic payments: it may be null there and is declared as required"),
        (
            vec![personal],
            "column customer_id of topic payments: it is personal there and not declared as such (in Rust: `#[row(personal)]`)",
        ),
        (vec![no_topic], "topic `refunds` has no schema here"),
        (vec![rate("amount", 1, 1)], "key amount is no text column of topic payments"),
        (vec![twice.clone(), twice], "another version of it has the same place in the set"),
    ];
    for (rules, reason) in refused {
        let world = World::of(&[payment(0), Payment::new(0, NOON, "s2", 1)]);
        let mut stream = world.open(vec![burst(1, 5_000)], Reading::LIVE);
        settle(&mut stream);
        let error = stream.swap_rules(&set(2, rules)).unwrap().expect_err(reason);
        assert!(error.chain().contains(reason), "{}", error.chain());
        world.append("p2", &payment(1));
        settle(&mut stream);
        assert_eq!(world.raised(), ["burst p2"], "the old set goes on with its state");
        assert_eq!(stream.report().revision, 1);
    }
}

/// Versions of `burst` that cannot be started, and why.
fn unstartable() -> [(RulePlan, &'static str); 2] {
    let version = |rule| RulePlan { version: 2, ..rule };
    let mut other_state = version(burst(2, 5_000));
    Arc::make_mut(&mut other_state.manifest).state_version = 2;
    let no_config = RulePlan { config: "[]".to_owned(), ..version(burst(2, 5_000)) };
    [(other_state, "2 keys have state version 1"), (no_config, "[] is no number")]
}

#[test]
fn a_version_that_cannot_be_started_leaves_its_rule_as_it_is_and_the_others_as_the_set_says() {
    for (bad, reason) in unstartable() {
        let world = World::of(&[payment(0), Payment::new(0, NOON, "s2", 1)]);
        let other = RulePlan { name: "other".to_owned(), ..high_amount(1) };
        let mut stream = world.open(vec![burst(1, 5_000), other], Reading::LIVE);
        settle(&mut stream);
        // `other` is killed, `high-amount` is new.
        let error = stream.swap_rules(&set(2, vec![bad, high_amount(150_000)])).unwrap().expect_err(reason);
        assert!(error.chain().contains(reason), "{}", error.chain());
        world.append("p2", &payment(1));
        settle(&mut stream);
        assert_eq!(world.raised(), ["burst p2", "high-amount p2", "other p0"], "the old version has its state");
        assert_eq!(stream.report().revision, 1);
        stream.swap_rules(&set(3, vec![high_amount(150_000)])).unwrap().unwrap();
        assert_eq!(stream.report().revision, 3);
    }
}

#[test]
fn after_a_restart_a_version_that_cannot_be_started_is_stopped_and_its_state_rests() {
    for (bad, reason) in unstartable() {
        let world = World::of(&[payment(0), Payment::new(0, NOON, "s2", 1)]);
        let mut stream = world.open(vec![burst(1, 5_000)], Reading::LIVE);
        settle(&mut stream);
        stream.stop().unwrap();
        drop(stream);
        for _ in 0..2 {
            let mut stream = world.open(vec![bad.clone(), high_amount(150_000)], Reading::LIVE);
            let [trip] = stream.trips() else { panic!("{:?}", stream.trips()) };
            assert_eq!((trip.rule.as_str(), trip.version, trip.trial), ("burst", 2, false));
            assert!(trip.reason.contains(reason), "{}", trip.reason);
            world.append("p2", &payment(1));
            settle(&mut stream);
            stream.stop().unwrap();
        }
        assert_eq!(world.raised(), ["high-amount p2"]);
        // Somebody points back.
        let mut stream = world.open(vec![bad], Reading::LIVE);
        stream.swap_rules(&set(2, vec![burst(1, 5_000)])).unwrap().unwrap();
        world.append("p3", &payment(2));
        settle(&mut stream);
        assert_eq!(world.raised(), ["burst p3", "high-amount p2"], "it goes on where it was");
    }
}

/// A shadow that does not read the state begins anew; active it would have to read it. A crash between the two does not matter.
#[test]
fn a_version_that_has_begun_anew_on_trial_can_be_activated_after_a_crash() {
    let world = World::of(&[payment(0)]);
    let mut other_state = RulePlan { version: 2, role: Role::Shadow, ..burst(1, 5_000) };
    Arc::make_mut(&mut other_state.manifest).state_version = 2;
    let mut stream = world.open(vec![burst(1, 5_000)], Reading::LIVE);
    settle(&mut stream);
    stream.stop().unwrap();
    stream.swap_rules(&set(2, vec![burst(1, 5_000), other_state.clone()])).unwrap().unwrap();
    drop(stream);
    let active = RulePlan { role: Role::Active, ..other_state };
    let stream = world.open(vec![active], Reading::LIVE);
    assert_eq!(stream.trips(), []);
}

/// A store whose second save fails.
struct FailsOnce(MemoryCheckpoints, u32);

impl CheckpointStore for FailsOnce {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        self.0.latest()
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        self.0.restore(take)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.1 += 1;
        if self.1 == 2 { Err(Error::new(Kind::Outage, "save", "a checkpoint")) } else { self.0.save(checkpoint) }
    }
}

/// What it took of the state counts as said: to go on would leave it out of all checkpoints.
#[test]
fn a_stream_ends_when_the_checkpoint_of_a_change_fails() {
    let world = World::of(&[payment(0)]);
    let sinks = sinks(Box::new(world.records.clone()), Box::new(world.alerts.clone()));
    let store = Box::new(FailsOnce(world.checkpoints.clone(), 0));
    let mut stream = world.open_with(vec![burst(1, 5_000)], Reading::LIVE, sinks, store).unwrap();
    settle(&mut stream);
    let mut other_state = RulePlan { version: 2, role: Role::Shadow, ..burst(1, 5_000) };
    Arc::make_mut(&mut other_state.manifest).state_version = 2;
    let rules = vec![burst(1, 5_000), other_state];
    let (send, commands) = channel();
    let swap = Command::Rules(set(2, rules.clone()), Box::new(|result| panic!("it replied {result:?}")));
    send.send(swap).unwrap();
    send.send(Command::Stop).unwrap();
    let error = stream.run(&commands, &mut |_| {}).unwrap_err();
    assert_eq!(error.chain(), "cannot save a checkpoint");
    drop(stream);
    let mut stream = world.open(rules, Reading::LIVE);
    world.append("p1", &payment(1));
    settle(&mut stream);
    assert_eq!(world.raised(), ["burst p1", "burst p1"], "both versions have seen both payments");
}

#[test]
fn a_running_stream_takes_commands_between_batches() {
    let world = World::of(&[payment(0)]);
    let mut stream = world.open(vec![], Reading::LIVE);
    let (send, commands) = channel();
    let (answer, answers) = channel();
    let reply = Box::new(move |result: Result<()>| answer.send(result).unwrap());
    send.send(Command::Rules(set(2, vec![high_amount(150_000)]), reply)).unwrap();
    let mut revisions = Vec::new();
    let report = stream.run(&commands, &mut |progress| {
        revisions.push(progress.report.revision);
        if progress.idle {
            send.send(Command::Stop).unwrap();
        }
    });
    assert_eq!(report.unwrap().counts.rules["high-amount"].findings, 1);
    assert!(revisions.iter().all(|revision| *revision == 2));
    assert!(answers.recv().unwrap().is_ok());
    drop(stream);
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    assert_eq!(stream.report().counts.topics["payments"].records, 1, "the stop left a checkpoint");
}
