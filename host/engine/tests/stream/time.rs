//! Time in a running stream: late and future records, quiet topics, windows that close by the clock, the end of input.

use tamis_engine::{RulePlan, Step, Stream};
use tamis_model::Result;
use tamis_model::manifest::Late;
use tamis_model::rule::{Finding, Judged, Keyed, NEVER, NOT_JUDGED, Rule, Severity, Subject};

use crate::feed::{NOON, Payment, Reading, World, finish, payments, settle};
use crate::rules::{burst, manifest, plan, rate};

const MINUTE: i64 = 60_000;

/// Fires for every row that it judges.
fn every(name: &str, late: Late, late_ms_max: Option<u64>) -> RulePlan {
    struct Every;
    impl Rule for Every {
        fn configure(&mut self, _: &str) -> Result<()> {
            Ok(())
        }
        fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
            let judged = (0..rows.rows).filter(|row| rows.groups[*row] != NOT_JUDGED);
            let findings = judged.map(|row| Finding {
                subject: Subject::Row(row as u32),
                severity: Severity::Info,
                criteria: 0,
                context: vec![],
            });
            let mut judged = Judged { findings: findings.collect(), ..Judged::default() };
            for _ in 0..rows.keys.len() {
                judged.states.push(b"");
                judged.wakes.push(NEVER);
            }
            Ok(judged)
        }
        fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
            panic!("it keeps no state");
        }
    }
    let mut manifest = manifest(name, "session_id", Some("session_id"), &[]);
    manifest.late = late;
    manifest.late_ms_max = late_ms_max;
    plan(manifest, "0", || Every)
}

/// Lets clock time pass in a stream that has nothing to read. Waiting moves a test's clock.
fn wait(world: &World, stream: &mut Stream, duration_ms: i64) {
    world.clock.advance(duration_ms);
    settle(stream);
    settle(stream);
}

#[test]
fn late_records_are_judged_by_who_wants_them_and_counted() {
    let times = [0, -10_000, -10_001, 5_000, -5_001, -5_000];
    let feed = times.map(|time| Payment::new(0, NOON + time, "s1", 100));
    for rows_max in 1..7 {
        let world = World::of(&feed);
        let reading = Reading { rows_max, ..Reading::WHOLE };
        let mut stream =
            world.open(vec![every("every-one", Late::Judge, None), every("every-timely", Late::Ignore, None)], reading);
        finish(&mut stream);
        let one = (0..6).map(|n| format!("every-one p{n}"));
        let timely = [0, 1, 3, 5].map(|n| format!("every-timely p{n}"));
        assert_eq!(world.raised(), one.chain(timely).collect::<Vec<_>>(), "rows_max {rows_max}");
        let counts = &stream.report().counts;
        assert_eq!((counts.topics["payments"].late, counts.rules["every-timely"].judged), (2, 4));
    }
}

#[test]
fn how_late_a_record_may_be_is_up_to_the_rule() {
    let times = [0, -10_500, -11_000, -11_001];
    let world = World::of(&times.map(|time| Payment::new(0, NOON + time, "s1", 100)));
    finish(&mut world.open(vec![every("within", Late::Judge, Some(1_000))], Reading::WHOLE));
    assert_eq!(world.raised(), ["within p0", "within p1", "within p2"]);
}

#[test]
fn a_refused_record_moves_time_and_a_null_key_is_not_judged() {
    let mut feed = [0, 30_000, 20_000, 19_999].map(|time| Payment::new(0, NOON + time, "s1", 100));
    feed[1].valid = false;
    feed[2].session = None;
    let world = World::of(&feed);
    let mut stream = world
        .open(vec![every("every-one", Late::Judge, None), every("every-timely", Late::Ignore, None)], Reading::WHOLE);
    finish(&mut stream);
    assert_eq!(world.raised(), ["every-one p0", "every-one p3", "every-timely p0"]);
    let topic = &stream.report().counts.topics["payments"];
    assert_eq!((topic.records, topic.late, topic.refused["not_in_enum"]), (4, 1, 1));
}

#[test]
fn a_record_from_the_future_is_refused_and_does_not_move_time() {
    let times = [0, 5 * MINUTE, 5 * MINUTE + 1, 5 * MINUTE - 10_000, 50 * MINUTE];
    let mut feed = times.map(|time| Payment::new(0, NOON + time, "s1", 100));
    feed[4].valid = false;
    for rows_max in 1..6 {
        let world = World::of(&feed);
        let mut live =
            world.open(vec![every("every-timely", Late::Ignore, None)], Reading { rows_max, ..Reading::LIVE });
        settle(&mut live);
        assert_eq!(world.raised(), ["every-timely p0", "every-timely p1", "every-timely p3"], "rows_max {rows_max}");
        let topic = &live.report().counts.topics["payments"];
        assert_eq!((topic.refused["future_timestamp"], topic.refused.len(), topic.late), (2, 1, 0));
        let letters: Vec<_> = world.records.content().into_iter().filter(|r| r.topic == "dead_letters").collect();
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[0].timestamp, NOON + 5 * MINUTE + 1);
        assert!(letters[0].headers.contains(&("tamis.reason".to_owned(), b"future_timestamp".to_vec())));
    }
    let world = World::of(&feed);
    let mut bounded = world.open(vec![every("every-timely", Late::Ignore, None)], Reading::WHOLE);
    finish(&mut bounded);
    assert!(!bounded.report().counts.topics["payments"].refused.contains_key("future_timestamp"), "it has no clock");
}

#[test]
fn a_record_that_is_too_long_is_refused_and_moves_time() {
    let (long, room) = (1 << 20, 400);
    let fits = |pad: usize| {
        let world = World::new();
        let value = |id: &str, pad: usize| {
            let pad = "x".repeat(pad);
            format!(
                r#"{{"payment_id":"{id}","amount":1,"method":"card","status":"failed","session_id":"s1","pad":"{pad}"}}"#
            )
        };
        for (id, time, pad) in [("p0", 0, 0), ("p1", 30_000, pad), ("p2", 19_999, 0), ("p3", 30_001, 0)] {
            world.topics.append(&payments(0), NOON + time, None, &value(id, pad));
        }
        let mut stream = world.open(vec![every("every-timely", Late::Ignore, None)], Reading::WHOLE);
        finish(&mut stream);
        let topic = &stream.report().counts.topics["payments"];
        assert_eq!((topic.records, topic.late), (4, 1), "p2 is late whatever becomes of p1");
        let letters: Vec<_> = world.records.content().into_iter().filter(|r| r.topic == "dead_letters").collect();
        let refused = topic.refused.get("too_large").copied().unwrap_or(0);
        assert_eq!(letters.len() as u64, refused);
        for letter in letters {
            assert!(letter.headers.contains(&("tamis.reason".to_owned(), b"too_large".to_vec())));
            assert!(letter.value.unwrap().len() > pad, "it is there as it came");
        }
        match world.raised().iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["every-timely p0", "every-timely p1", "every-timely p3"] if refused == 0 => true,
            ["every-timely p0", "every-timely p3"] if refused == 1 => false,
            ref other => panic!("{other:?}"),
        }
    };
    assert!(fits(long - room));
    assert!(!fits(long));
}

#[test]
fn the_clock_closes_the_windows_of_an_outage() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 100), Payment::new(1, NOON + 30_000, "s1", 100)]);
    let mut stream = world.open(vec![rate("session_id", 1, MINUTE)], Reading::LIVE);
    settle(&mut stream);
    // The watermark stands ten seconds behind noon. It is quiet after half a minute, and seventy seconds later the window ends.
    wait(&world, &mut stream, 31_000);
    assert_eq!(stream.report().watermarks["payments"] / 1_000, NOON / 1_000 + 20);
    wait(&world, &mut stream, 39_000);
    assert_eq!(world.raised(), [""; 0]);
    wait(&world, &mut stream, 2_000);
    assert_eq!(world.raised(), ["rate s1 2026-03-18T12:00:00.000Z"]);
    assert_eq!(stream.report().counts.rules["rate"].findings, 1);
}

#[test]
fn a_partition_with_records_holds_the_windows_open() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 100), Payment::new(1, NOON, "s1", 100)]);
    let mut stream = world.open(vec![rate("all", 1, MINUTE)], Reading::LIVE);
    settle(&mut stream);
    world.append("p2", &Payment::new(0, NOON + 3 * MINUTE, "s1", 100));
    wait(&world, &mut stream, 20_000);
    assert_eq!(world.raised(), [""; 0], "partition 1 is not quiet yet");
    world.append("p3", &Payment::new(1, NOON + 59_999, "s1", 100));
    wait(&world, &mut stream, 20_000);
    assert_eq!(world.raised(), [""; 0], "and has spoken");
    wait(&world, &mut stream, 31_000);
    wait(&world, &mut stream, 100);
    assert_eq!(world.raised(), ["rate all 2026-03-18T12:00:00.000Z"]);
    let alert = &world.alerts.content()[0];
    assert_eq!(alert.context["count"], 3);
    assert!(world.records.content().iter().all(|record| record.key.as_deref() == Some(b"all")));
}

#[test]
fn new_partitions_are_found_while_it_runs() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 100)]);
    let mut stream = world.open(vec![every("every-one", Late::Judge, None)], Reading::LIVE);
    settle(&mut stream);
    world.append("p1", &Payment::new(7, NOON, "s1", 100));
    settle(&mut stream);
    settle(&mut stream);
    assert_eq!(world.raised(), ["every-one p0", "every-one p1"]);
}

#[test]
fn stopping_closes_no_window_and_the_end_closes_all() {
    let feed: Vec<_> = (0..4).map(|n| Payment::new(0, NOON + n, "s1", 100)).collect();
    let world = World::of(&feed[..2]);
    let rules = || vec![rate("session_id", 3, MINUTE), burst(3, MINUTE)];
    let mut live = world.open(rules(), Reading::LIVE);
    settle(&mut live);
    live.stop().unwrap();
    assert_eq!(world.raised(), [""; 0]);
    drop(live);
    world.append("p2", &feed[2]);
    world.append("p3", &feed[3]);
    let mut rest = world.open(rules(), Reading::WHOLE);
    finish(&mut rest);
    assert_eq!(world.raised(), ["burst p3", "rate s1 2026-03-18T12:00:00.000Z"]);
    assert_eq!(rest.step().unwrap(), Step::Finished, "and it stays so");
    assert_eq!(rest.report().counts.topics["payments"].records, 4);
}

#[test]
fn what_is_appended_behind_the_end_is_judged_by_the_next_run() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 100), Payment::new(1, NOON + MINUTE, "s1", 100)]);
    finish(&mut world.open(vec![every("every-timely", Late::Ignore, None)], Reading::WHOLE));
    world.append("p2", &Payment::new(0, NOON - 10_000, "s1", 100));
    world.append("p3", &Payment::new(0, NOON - 10_001, "s1", 100));
    world.topics.create(&payments(2));
    finish(&mut world.open(vec![every("every-timely", Late::Ignore, None)], Reading::WHOLE));
    assert_eq!(world.raised(), ["every-timely p0", "every-timely p1", "every-timely p2"]);
}
