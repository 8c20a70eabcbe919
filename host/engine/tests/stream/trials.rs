//! Two versions of a rule beside each other, versions that the host stops by itself, and what becomes of state.

use std::sync::Arc;

use tamis_engine::rules::{Budget, OnFailure, OnStateChange, Trip};
use tamis_engine::{Role, RulePlan, RuleSet, Stream};
use tamis_model::alert::Alert;
use tamis_model::rule::{Judged, Keyed, NEVER, Rule};
use tamis_model::{Kind, Result};

use crate::feed::{NOON, Payment, Reading, World, finish, settle};
use crate::rules::{burst, high_amount, manifest, plan, rate, volume};

fn set(revision: u64, rules: Vec<RulePlan>) -> RuleSet {
    RuleSet { revision, rules: rules.into_iter().map(Arc::new).collect() }
}

fn version(version: u32, role: Role, rule: RulePlan) -> RulePlan {
    RulePlan { version, role, ..rule }
}

fn canary(percent: u8) -> Role {
    Role::Canary { percent, budget: Budget { rows_min: 1, ..Budget::default() } }
}

/// Each session has the same payments.
fn append(world: &World, from: i64, count: i64, amount: i64) {
    const SESSIONS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for n in from..from + count {
        for session in SESSIONS {
            world.append(&format!("{session}{n}"), &Payment::new(0, NOON + n, session, amount));
        }
    }
}

/// The sessions or payments for which a version of a rule raised live alerts.
fn spoken_for(world: &World, version: u32) -> Vec<String> {
    let alerts = world.alerts.content();
    let by = |alert: &&Alert| alert.rule_version == version && alert.mode == tamis_model::alert::AlertMode::Live;
    let mut keys: Vec<_> =
        alerts.iter().filter(by).map(|a| a.key.clone().or_else(|| a.payment_id.clone()).unwrap()).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn trips(stream: &mut Stream) -> Vec<Trip> {
    let (stop, commands) = std::sync::mpsc::channel();
    let mut trips = Vec::new();
    let observe = &mut |progress: &tamis_engine::Progress<'_>| {
        trips.extend(progress.trips.iter().cloned());
        if progress.idle {
            let _ = stop.send(tamis_engine::Command::Stop);
        }
    };
    stream.run(&commands, observe).unwrap();
    trips
}

#[test]
fn a_canary_and_the_active_version_share_the_keys_and_every_alert_is_of_one() {
    let rules = || [version(1, Role::Active, burst(2, 5_000)), version(2, canary(50), burst(2, 5_000))];
    let world = World::new();
    append(&world, 0, 4, 100);
    let mut stream = world.open(rules().into(), Reading::LIVE);
    settle(&mut stream);
    let (old, new) = (spoken_for(&world, 1), spoken_for(&world, 2));
    assert!(!old.is_empty() && !new.is_empty(), "{old:?} {new:?}");
    assert!(old.iter().all(|key| !new.contains(key)), "{old:?} {new:?}");
    assert_eq!(old.len() + new.len(), 8, "together they speak for every session");
    assert_eq!(world.alerts.content().len(), 16, "two payments of each session are too many");

    // The canary becomes the active version: it has seen everything.
    stream.swap_rules(&set(2, vec![version(2, Role::Active, burst(2, 5_000))])).unwrap().unwrap();
    append(&world, 4, 1, 100);
    settle(&mut stream);
    assert_eq!(spoken_for(&world, 2).len(), 8);
    assert_eq!(world.alerts.content().len(), 24);

    // And back: nothing is forgotten.
    stream.swap_rules(&set(3, vec![version(1, Role::Active, burst(2, 5_000))])).unwrap().unwrap();
    append(&world, 5, 1, 100);
    settle(&mut stream);
    assert_eq!(spoken_for(&world, 1).len(), 8);
    assert_eq!(world.alerts.content().len(), 32);
}

#[test]
fn a_shadow_begins_with_a_copy_and_leaves_the_active_version_alone() {
    let world = World::new();
    append(&world, 0, 2, 100);
    let mut stream = world.open(vec![version(1, Role::Active, burst(2, 5_000))], Reading::LIVE);
    settle(&mut stream);
    let both = vec![version(1, Role::Active, burst(2, 5_000)), version(2, Role::Shadow, burst(1, 5_000))];
    stream.swap_rules(&set(2, both)).unwrap().unwrap();
    append(&world, 2, 1, 100);
    settle(&mut stream);
    let (live, shadow): (Vec<Alert>, Vec<Alert>) =
        world.alerts.content().into_iter().partition(|alert| alert.rule_version == 1);
    assert_eq!((live.len(), shadow.len()), (8, 8), "the third payment is too many for both");
    let counts = &stream.report().counts;
    assert_eq!((counts.rules["burst"].judged, counts.trials["burst"].judged), (24, 8));
    // Another trial counts anew; without one nothing is left of it.
    let other = vec![version(1, Role::Active, burst(2, 5_000)), version(3, Role::Shadow, burst(1, 5_000))];
    stream.swap_rules(&set(3, other)).unwrap().unwrap();
    assert_eq!(stream.report().counts.trials.get("burst"), None);
}

#[test]
fn a_canary_outside_of_its_budget_ends_and_the_active_version_has_its_keys_again() {
    let world = World::new();
    append(&world, 0, 1, 160_000);
    let rules = || {
        vec![
            version(1, Role::Active, high_amount(150_000)),
            version(2, canary(50), RulePlan { config: "1".to_owned(), ..high_amount(1) }),
        ]
    };
    let mut stream = world.open(rules(), Reading { rows_max: 1, checkpoint_interval_ms: 0, ..Reading::LIVE });
    settle(&mut stream);
    assert_eq!(world.alerts.content().len(), 8);
    // Amounts of 6.66 are more than it can bear.
    append(&world, 1, 1, 666);
    append(&world, 2, 4, 160_000);
    let trips = trips(&mut stream);
    let [trip] = &trips[..] else { panic!("{trips:?}") };
    assert_eq!((&trip.rule[..], trip.version, trip.trial), ("high-amount", 2, true));
    assert!(trip.reason.starts_with("it failed on 1 of 9 events"), "{}", trip.reason);
    assert_eq!(spoken_for(&world, 1).len() + spoken_for(&world, 2).len(), 40, "no payment is without its alert");
    drop(stream);
    // What was stopped stays stopped, and is told of again: whoever was told may have died.
    let mut stream = world.open(rules(), Reading::LIVE);
    assert_eq!(self::trips(&mut stream), trips);
}

#[test]
fn a_rule_that_fails_too_often_is_stopped_and_the_others_go_on() {
    let world = World::new();
    append(&world, 0, 4, 666);
    append(&world, 4, 1, 160_000);
    let budget = Budget { rows_min: 10, ..Budget::default() };
    let failing = RulePlan { on_failure: OnFailure::Disable(budget), ..high_amount(1) };
    let other = RulePlan { name: "burst".to_owned(), ..burst(2, 5_000) };
    let reading = Reading { rows_max: 4, ..Reading::LIVE };
    let mut stream = world.open(vec![failing, other], reading);
    let trips = trips(&mut stream);
    assert_eq!(trips.len(), 1);
    assert_eq!(trips[0].reason, "it failed on 12 of 12 events, more than 5 %");
    let counts = &stream.report().counts;
    assert_eq!((counts.rules["high-amount"].poisoned, counts.dead_letters), (12, 12));
    assert_eq!(counts.rules["burst"].judged, 40);
}

/// Gives up on each batch that has a row of session `a`.
struct GivesUp;

impl Rule for GivesUp {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let keys = 0..rows.keys.len();
        let mut judged = Judged { exhausted: keys.clone().any(|key| rows.keys.get(key) == b"a"), ..Judged::default() };
        for _ in keys {
            judged.states.push(b"");
            judged.wakes.push(NEVER);
        }
        Ok(judged)
    }

    fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
        panic!("no key has a wake");
    }
}

/// The calls of other shards, in which nothing fails, do not count as batches of their own.
#[test]
fn a_rule_that_holds_everybody_up_in_one_shard_is_stopped() {
    for shards in [1, 2] {
        let world = World::new();
        for n in 0..32 {
            let session = if n % 2 == 0 { "a" } else { ["b", "c", "d", "e", "f", "g", "h", "i"][n as usize / 2 % 8] };
            world.append(&format!("p{n}"), &Payment::new(0, NOON + n, session, 100));
        }
        let giving_up = plan(manifest("gives-up", "session_id", Some("session_id"), &[]), "0", || GivesUp);
        let mut stream = world.open(vec![giving_up], Reading { shards, rows_max: 8, ..Reading::LIVE });
        let trips = trips(&mut stream);
        let reason = "it failed on 3 batches in a row so often that not all their rows could be tried";
        assert_eq!(trips.iter().map(|trip| trip.reason.as_str()).collect::<Vec<_>>(), [reason], "{shards} shards");
    }
}

#[test]
fn a_rule_that_halts_stops_the_stream_before_the_event_and_nothing_is_skipped() {
    let world = World::new();
    world.append("p0", &Payment::new(0, NOON, "s", 160_000));
    world.append("p1", &Payment::new(0, NOON, "s", 666));
    world.append("p2", &Payment::new(0, NOON, "s", 160_000));
    let halting = RulePlan { on_failure: OnFailure::Halt, ..high_amount(150_000) };
    let reading = Reading { rows_max: 1, checkpoint_interval_ms: 0, ..Reading::LIVE };
    let mut stream = world.open(vec![halting], reading);
    let error = loop {
        if let Err(error) = stream.step() {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::Plugin);
    let words = "cannot judge the batch at payments/0/1: cannot judge with rule high-amount version 1 (high-amount 1.2.3): its failure policy is to halt: trap: cannot bear it";
    assert_eq!(error.chain(), words);
    drop(stream);
    assert_eq!(world.raised(), ["high-amount p0"]);
    // With another policy it goes on where it stood.
    let mut stream = world.open(vec![high_amount(150_000)], Reading::WHOLE);
    finish(&mut stream);
    assert_eq!(world.raised(), ["high-amount p0", "high-amount p2"]);
    assert_eq!(stream.report().counts.dead_letters, 1);
}

#[test]
fn state_is_kept_migrated_or_reset() {
    let check = |on_state_change, version, shape: &str, expected: Result<i64, &str>| {
        let world = World::new();
        for n in 0..2 {
            world.append(&format!("p{n}"), &Payment::new(0, NOON + n, "s", 100));
        }
        let mut stream = world.open(vec![rate("session_id", 0, 60_000)], Reading::LIVE);
        settle(&mut stream);
        let mut newer = RulePlan { version: 2, on_state_change, ..rate("session_id", 0, 60_000) };
        let manifest = Arc::make_mut(&mut newer.manifest);
        (manifest.state_version, manifest.state_shape) = (version, shape.to_owned());
        manifest.migrates_from = vec![1];
        let swapped = stream.swap_rules(&set(2, vec![newer])).unwrap();
        match (swapped, expected) {
            (Ok(()), Ok(count)) => {
                world.append("p2", &Payment::new(0, NOON + 2, "s", 100));
                world.append("p3", &Payment::new(0, NOON + 90_000, "s", 100));
                settle(&mut stream);
                assert_eq!(world.alerts.content()[0].context["count"], count);
            }
            (Err(error), Err(reason)) => assert!(error.chain().contains(reason), "{}", error.chain()),
            (swapped, _) => panic!("{swapped:?}"),
        }
    };
    check(OnStateChange::Keep, 1, "", Ok(3));
    check(
        OnStateChange::Keep,
        2,
        "",
        Err("1 keys have state version 1 of rate 1.2.3, and rate 1.2.3 wants state version 2"),
    );
    check(OnStateChange::Keep, 1, "tens", Err("and it is written otherwise: ``, not `tens`"));
    check(OnStateChange::Migrate, 2, "", Ok(21));
    check(OnStateChange::Reset, 2, "", Ok(1));
    check(OnStateChange::Reset, 1, "", Ok(3));
}

#[test]
fn rows_of_an_aggregate_leave_when_their_window_has_closed() {
    let world = World::new();
    for (n, time) in [0, 1, 59_999, 60_000].into_iter().enumerate() {
        world.append(&format!("p{n}"), &Payment::new(0, NOON + time, "s", 100));
    }
    let mut stream =
        world.open(vec![volume(), RulePlan { name: "v".to_owned(), role: Role::Shadow, ..volume() }], Reading::WHOLE);
    finish(&mut stream);
    let rows = world.aggregates.content();
    let live: Vec<_> = rows.iter().filter(|row| !row.shadow).map(|row| row.json.as_str()).collect();
    let expected = [
        r#"{"window":"1m","window_start":"2026-03-18T12:00:00.000Z","count":3}"#,
        r#"{"window":"1m","window_start":"2026-03-18T12:01:00.000Z","count":1}"#,
    ];
    assert_eq!(live, expected);
    assert_eq!(rows.len(), 4, "what is on trial is kept apart");
    assert_eq!(stream.report().counts.rules["volume"].emitted, 2);
}

/// A row is about all events of its window: two that count would be one too many.
#[test]
fn the_rows_of_a_canary_are_kept_apart() {
    let world = World::new();
    append(&world, 0, 2, 100);
    let rules = vec![version(1, Role::Active, volume()), version(2, canary(50), volume())];
    finish(&mut world.open(rules, Reading::WHOLE));
    let rows = world.aggregates.content();
    let of_trials = rows.iter().filter(|row| row.shadow).count();
    assert_eq!((rows.len(), of_trials), (16, 8), "one for each session, and the canary's");
}

#[test]
fn a_version_on_trial_holds_nobody_up() {
    for role in [Role::Shadow, canary(50)] {
        let world = World::new();
        append(&world, 0, 2, 666);
        let halting = RulePlan { on_failure: OnFailure::Halt, ..version(2, role, high_amount(1)) };
        let mut stream = world.open(vec![burst(100, 5_000), halting], Reading::LIVE);
        settle(&mut stream);
        assert_eq!(stream.report().counts.rules["burst"].judged, 16);
    }
}

/// A canary judges every key, so its share does not make a flood of alerts look small.
#[test]
fn the_alerts_of_a_canary_are_measured_over_all_that_it_judges() {
    let world = World::new();
    append(&world, 0, 20, 160_000);
    let budget = Budget { rows_min: 100, alerts_percent_max: Some(20.0), ..Budget::default() };
    let role = Role::Canary { percent: 10, budget };
    let rules = vec![version(1, Role::Active, high_amount(200_000)), version(2, role, high_amount(150_000))];
    let trips = trips(&mut world.open(rules, Reading::LIVE));
    assert_eq!(trips[0].reason, "it raised 160 alerts for 160 events, more than 20 %");
}
