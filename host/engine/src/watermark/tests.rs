//! Tables: what happens to the partitions, and where the watermark stands behind each step.

use super::*;

const LATENESS_MS: i64 = 10_000;
const QUIET_MS: i64 = 30_000;

enum Do {
    /// A partition yields an event of this time.
    Saw(u32, Millis),
    /// A partition was asked at this clock time and has nothing more.
    CaughtUp(u32, Millis),
    Ended(u32),
    /// Clock time passes.
    Clock(Millis),
    /// The process starts again, and a partition is there.
    Reopen,
    Register(u32),
}
use Do::*;

/// Does one after the other and compares where the watermark stands behind each.
#[track_caller]
fn check(partitions: u32, steps: &[(Do, Millis)]) {
    let mut topic = TopicTime::default();
    (0..partitions).for_each(|number| topic.register(number));
    let mut now = 0;
    for (n, (step, expected)) in steps.iter().enumerate() {
        match *step {
            Saw(number, time) => {
                topic.reading(number);
                topic.partition(number).observe(time, LATENESS_MS);
            }
            CaughtUp(number, at) => {
                now = at;
                topic.caught_up(number, now, QUIET_MS);
            }
            Ended(number) => topic.ended(number),
            Clock(at) => now = at,
            Reopen => topic.reopen(),
            Register(number) => topic.register(number),
        }
        topic.advance(now, LATENESS_MS);
        assert_eq!(topic.stands_at(), *expected, "behind step {n}");
    }
}

#[test]
fn the_lowest_partition_holds_and_one_that_was_not_read_yet_holds_too() {
    check(
        2,
        &[(Saw(0, 50_000), BEGINNING), (Saw(1, 20_000), 10_000), (Saw(0, 90_000), 10_000), (Saw(1, 60_000), 50_000)],
    );
}

#[test]
fn it_never_goes_back() {
    check(1, &[(Saw(0, 50_000), 40_000), (Saw(0, 20_000), 40_000), (Saw(0, 50_001), 40_001)]);
}

#[test]
fn an_ended_partition_does_not_hold() {
    check(
        2,
        &[
            (Saw(0, 50_000), BEGINNING),
            (Ended(1), 40_000),
            (Saw(0, 60_000), 50_000),
            (Ended(0), 50_000),
            (Clock(9), 50_000),
        ],
    );
}

#[test]
fn a_partition_is_quiet_after_half_a_minute_without_records() {
    check(
        2,
        &[
            (Saw(0, 20_000), BEGINNING),
            (Saw(1, 90_000), 10_000),
            (CaughtUp(0, 1_000), 10_000),
            (CaughtUp(0, 30_999), 10_000),
            (Clock(60_000), 10_000),
            (CaughtUp(0, 60_000), 80_000),
            (Saw(1, 95_000), 85_000),
        ],
    );
}

#[test]
fn records_interrupt_the_quiet() {
    check(
        1,
        &[
            (Saw(0, 20_000), 10_000),
            (CaughtUp(0, 0), 10_000),
            (Saw(0, 21_000), 11_000),
            (CaughtUp(0, 29_000), 11_000),
            (CaughtUp(0, 58_999), 11_000),
            (CaughtUp(0, 59_000), 11_000),
            (Clock(59_500), 11_500),
        ],
    );
}

#[test]
fn when_all_are_quiet_it_goes_on_at_clock_speed() {
    check(
        2,
        &[
            (Saw(0, 20_000), BEGINNING),
            (Saw(1, 40_000), 10_000),
            (CaughtUp(0, 0), 10_000),
            (CaughtUp(1, 5_000), 10_000),
            (CaughtUp(0, 30_000), 30_000),
            (CaughtUp(1, 35_000), 30_000),
            (Clock(36_000), 31_000),
            (Clock(95_000), 90_000),
            // An event of a partition that wakes is held to the topic's time, and stops the clock.
            (Saw(0, 30_000), 90_000),
            (Clock(99_000), 90_000),
            (Saw(0, 101_000), 91_000),
        ],
    );
}

#[test]
fn an_empty_partition_holds_until_it_is_quiet_and_silence_stands_nowhere() {
    check(2, &[(Saw(0, 50_000), BEGINNING), (CaughtUp(1, 0), BEGINNING), (CaughtUp(1, 30_000), 40_000)]);
    check(1, &[(CaughtUp(0, 0), BEGINNING), (CaughtUp(0, 30_000), BEGINNING), (Clock(90_000), BEGINNING)]);
}

#[test]
fn a_restart_and_a_new_partition_hold_again() {
    check(
        1,
        &[
            (Saw(0, 50_000), 40_000),
            (Register(1), 40_000),
            (Saw(0, 90_000), 40_000),
            (Saw(1, 60_000), 50_000),
            (Ended(1), 80_000),
            (Reopen, 80_000),
            (Saw(0, 99_000), 80_000),
            (Saw(1, 99_000), 89_000),
        ],
    );
}

#[test]
fn exactly_ten_seconds_behind_is_in_time() {
    let mut partition = PartitionTime::new(BEGINNING);
    let late = [50_000, 40_000, 39_999, 60_000, 50_000, 49_999].map(|time| partition.observe(time, LATENESS_MS) > 0);
    assert_eq!(late, [false, false, true, false, false, true]);
}

#[test]
fn a_partition_that_wakes_is_late_against_its_topic() {
    let mut topic = TopicTime::default();
    (0..2).for_each(|number| topic.register(number));
    topic.partition(0).observe(20_000, LATENESS_MS);
    topic.partition(1).observe(90_000, LATENESS_MS);
    topic.caught_up(0, 0, QUIET_MS);
    topic.caught_up(0, QUIET_MS, QUIET_MS);
    topic.advance(QUIET_MS, LATENESS_MS);
    topic.reading(0);
    let late = [79_999, 80_000, 79_999].map(|time| topic.partition(0).observe(time, LATENESS_MS) > 0);
    assert_eq!(late, [true, false, true], "in time of its own watermark is not enough, for the second record either");
}

#[test]
fn behind_the_end_every_partition_goes_on_where_it_stands() {
    let mut topic = TopicTime::default();
    (0..2).for_each(|number| topic.register(number));
    topic.partition(0).observe(20_000, LATENESS_MS);
    topic.partition(1).observe(90_000, LATENESS_MS);
    topic.ended(0);
    topic.advance(0, LATENESS_MS);
    assert_eq!(topic.watermark(), Some(80_000));
    topic.ended(1);
    assert_eq!(topic.watermark(), None, "who has ended holds nobody up");
    topic.close();
    topic.reopen();
    topic.advance(0, LATENESS_MS);
    assert_eq!(topic.watermark(), Some(10_000));
    assert_eq!(topic.partition(0).observe(15_000, LATENESS_MS), 0);
}
