//! Judging records again.

use std::sync::Arc;
use std::sync::mpsc::channel;

use tamis_engine::decode::json::record_parts;
use tamis_engine::rules::OnFailure;
use tamis_engine::stream::{Command, Redrive, RedriveRule, Redriven};
use tamis_engine::{Role, RulePlan, RuleSet};
use tamis_model::Result;
use tamis_model::record::Record;

use crate::feed::{NOON, Payment, Reading, World, payments, settle};
use crate::rules::{burst, high_amount, volume};

fn line(id: &str, amount: &str, offset: i64) -> Vec<u8> {
    let value =
        format!(r#"{{"payment_id":"{id}","session_id":"s","amount":{amount},"method":"card","status":"succeeded"}}"#);
    format!(r#"{{"offset":{offset},"timestamp":{NOON},"key":"{id}","value":{value}}}"#).into_bytes()
}

fn redrive(line: Vec<u8>, rule: Option<&str>) -> Redrive {
    let rule = rule.map(|name| RedriveRule { name: name.to_owned(), version: 1, shadow: false });
    Redrive { partition: payments(0), line, rule, attempt: 2 }
}

fn set(rules: Vec<RulePlan>) -> RuleSet {
    RuleSet { revision: 2, rules: rules.into_iter().map(Arc::new).collect() }
}

fn attempts(world: &World) -> Vec<String> {
    let letters = world.records.content().into_iter().filter(|record| record.topic == "dead_letters");
    let attempt = |letter: Record| {
        let header = letter.headers.into_iter().find(|(name, _)| name == "tamis.attempt").unwrap();
        String::from_utf8(header.1).unwrap()
    };
    letters.map(attempt).collect()
}

#[test]
fn a_record_is_judged_again_by_the_rule_that_failed_and_moves_nothing() {
    let world = World::of(&[Payment::new(0, NOON, "s", 160_000), Payment::new(0, NOON + 1, "s", 666)]);
    let mut stream = world.open(vec![high_amount(150_000), burst(1, 5_000)], Reading::LIVE);
    settle(&mut stream);
    assert_eq!(world.raised(), ["burst p1", "high-amount p0"]);
    assert_eq!(attempts(&world), ["1"]);
    let before = stream.report().counts.topics.clone();

    // Nothing was mended: it fails again.
    let again = || [redrive(line("p1", "6.66", 1), Some("high-amount"))];
    assert_eq!(stream.redrive(&again()).unwrap(), [Redriven::Failed]);
    assert_eq!(attempts(&world), ["1", "2"]);

    // A rule that bears it judges it, and the others do not see it again.
    let mended = RulePlan { version: 2, on_failure: OnFailure::DeadLetter, ..high_amount(150_000) };
    let rules = RuleSet { revision: 2, rules: vec![mended.into(), burst(1, 5_000).into()] };
    stream.swap_rules(&rules).unwrap().unwrap();
    let records = [redrive(line("p1", "2000.00", 1), Some("high-amount")), redrive(line("p1", "1", 1), Some("gone"))];
    assert_eq!(stream.redrive(&records).unwrap(), [Redriven::Judged, Redriven::Left]);
    assert_eq!(world.raised(), ["burst p1", "high-amount p0", "high-amount p1"]);
    assert_eq!(stream.report().counts.topics, before, "no record was read");
}

#[test]
fn a_record_that_could_not_be_decoded_is_judged_by_every_rule() {
    let world = World::of(&[Payment::new(0, NOON, "s", 100)]);
    world.topics.append(&payments(0), NOON, None, "7");
    let mut stream = world.open(vec![high_amount(150_000), burst(1, 5_000)], Reading::LIVE);
    settle(&mut stream);
    assert_eq!(attempts(&world), ["1"]);
    let records = [redrive(line("p1", "2000.00", 1), None), redrive(line("p2", "\"1\"", 1), None)];
    assert_eq!(stream.redrive(&records).unwrap(), [Redriven::Judged, Redriven::Failed]);
    assert_eq!(world.raised(), ["burst p0", "burst p1", "high-amount p1"], "both payments have the same time");
    assert!(record_parts(&records[1].line).value.is_some());
    assert!(stream.redrive(&[redrive(b"{}\n{}".to_vec(), None)]).is_err(), "two lines are no record");
}

/// What is answered is kept, whatever crashes: the record lies before the positions and would not be read again.
#[test]
fn what_was_judged_again_survives_a_crash() {
    let world = World::of(&[Payment::new(0, NOON, "s", 666)]);
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    let (send, commands) = channel();
    let (answer, answers) = channel();
    let crash = send.clone();
    let reply = Box::new(move |redriven: Result<_>| {
        answer.send(redriven.unwrap()).unwrap();
        // No checkpoint and no stop comes after it.
        crash.send(Command::Redrive(vec![redrive(b"no record\nat all".to_vec(), None)], Box::new(|_| ()))).unwrap();
    });
    let records = vec![redrive(line("p0", "2000.00", 0), Some("high-amount"))];
    let mut command = Some(Command::Redrive(records, reply));
    let run = stream.run(&commands, &mut |progress| {
        if progress.idle {
            command.take().map(|command| send.send(command));
        }
    });
    assert!(run.is_err());
    assert_eq!(answers.recv().unwrap(), [Redriven::Judged]);
    drop(stream);
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    assert_eq!(world.raised(), ["high-amount p0"]);
}

/// Windows that the topic's watermark has closed stay closed, also when the record's own partition saw nothing of the time since.
#[test]
fn a_quiet_partition_is_as_late_as_its_topic() {
    let world = World::of(&[Payment::new(0, NOON, "s", 100)]);
    let mut stream = world.open(vec![volume()], Reading::LIVE);
    settle(&mut stream);
    for _ in 0..2 {
        world.clock.advance(3_600_000);
        settle(&mut stream);
    }
    assert_eq!(world.aggregates.content().len(), 1, "the clock has closed the minute");
    assert_eq!(stream.redrive(&[redrive(line("p1", "1.00", 1), Some("volume"))]).unwrap(), [Redriven::Judged]);
    world.clock.advance(3_600_000);
    settle(&mut stream);
    assert_eq!(world.aggregates.content().len(), 1, "and has it closed still");
}

#[test]
fn the_version_that_failed_judges_again_or_what_runs_in_its_place() {
    let rules = || {
        let shadow = RulePlan { version: 2, role: Role::Shadow, ..high_amount(1) };
        vec![high_amount(150_000), shadow]
    };
    let world = World::of(&[Payment::new(0, NOON, "s", 100)]);
    let mut stream = world.open(rules(), Reading::LIVE);
    settle(&mut stream);
    let failed = |version, shadow| Redrive {
        rule: Some(RedriveRule { name: "high-amount".to_owned(), version, shadow }),
        ..redrive(line("p1", "2000.00", 1), None)
    };
    let judged = |stream: &tamis_engine::Stream| {
        let counts = &stream.report().counts;
        (counts.rules["high-amount"].judged, counts.trials["high-amount"].judged)
    };
    assert_eq!(judged(&stream), (1, 1));
    for (version, shadow, expected) in [(2, true, (1, 2)), (1, false, (2, 2)), (7, true, (2, 3)), (7, false, (3, 3))] {
        assert_eq!(stream.redrive(&[failed(version, shadow)]).unwrap(), [Redriven::Judged]);
        assert_eq!(judged(&stream), expected, "version {version}, shadow: {shadow}");
    }
    stream.swap_rules(&set(vec![high_amount(150_000)])).unwrap().unwrap();
    assert_eq!(stream.redrive(&[failed(2, true)]).unwrap(), [Redriven::Left]);
}

#[test]
fn what_is_refused_again_was_read_once_and_the_future_stays_refused() {
    let world = World::of(&[Payment::new(0, NOON, "s", 100)]);
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    let before = stream.report().counts.topics.clone();
    let future = String::from_utf8(line("p1", "2000.00", 1)).unwrap().replace(&NOON.to_string(), "4076438400000");
    let records = [redrive(b"nothing".to_vec(), None), redrive(future.into_bytes(), None)];
    assert_eq!(stream.redrive(&records).unwrap(), [Redriven::Failed, Redriven::Failed]);
    assert_eq!(stream.report().counts.topics, before);
    assert_eq!(world.raised(), [""; 0]);
}

/// A record that is judged again holds nobody up, whatever the policy of the rule has become.
#[test]
fn a_rule_that_halts_does_not_halt_on_what_is_judged_again() {
    let world = World::of(&[Payment::new(0, NOON, "s", 666)]);
    let mut stream = world.open(vec![high_amount(150_000)], Reading::LIVE);
    settle(&mut stream);
    stream.swap_rules(&set(vec![RulePlan { on_failure: OnFailure::Halt, ..high_amount(150_000) }])).unwrap().unwrap();
    let again = [redrive(line("p0", "6.66", 0), Some("high-amount"))];
    assert_eq!(stream.redrive(&again).unwrap(), [Redriven::Failed]);
}
