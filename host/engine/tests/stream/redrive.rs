//! Judging records again.

use tamis_engine::decode::json::record_parts;
use tamis_engine::rules::OnFailure;
use tamis_engine::stream::{Redrive, Redriven};
use tamis_engine::{RulePlan, RuleSet};
use tamis_model::record::Record;

use crate::feed::{NOON, Payment, Reading, World, payments, settle};
use crate::rules::{burst, high_amount};

fn line(id: &str, amount: &str, offset: i64) -> Vec<u8> {
    let value =
        format!(r#"{{"payment_id":"{id}","session_id":"s","amount":{amount},"method":"card","status":"succeeded"}}"#);
    format!(r#"{{"offset":{offset},"timestamp":{NOON},"key":"{id}","value":{value}}}"#).into_bytes()
}

fn redrive(line: Vec<u8>, rule: Option<&str>) -> Redrive {
    Redrive { partition: payments(0), line, rule: rule.map(str::to_owned), attempt: 2 }
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
    stream.swap_rules(&rules).unwrap();
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
