//! What a process measures of its stream, and what is counted of failures.

use std::sync::mpsc::channel;

use tamis_engine::Command;
use tamis_engine::meters::Measures;
use tamis_engine::report::RuleGauge;

use crate::feed::{AMOUNT_MAX, NOON, Payment, RATE_MAX, RATE_MS, Reading, World};
use crate::rules::{high_amount, rate};

/// Runs until the input has been judged. What was measured, how the rules do and why they failed.
fn run(reading: Reading) -> (Measures, Vec<RuleGauge>, Vec<(String, u64)>) {
    let payment = |after, amount| Payment::new(0, NOON - 2_000 + after, "s1", amount);
    let world = World::of(&[payment(0, 666), payment(1_500, 160_000), payment(1_000, 1), payment(1_990, 666)]);
    let rules = vec![high_amount(AMOUNT_MAX), rate("session_id", RATE_MAX, RATE_MS)];
    let mut stream = world.open(rules, reading);
    let (commands, received) = channel();
    let mut seen = None;
    let report = stream.run(&received, &mut |progress| {
        if progress.report.counts.topics.get("payments").is_some_and(|counts| counts.records == 4) {
            seen = Some((progress.measures(), progress.rules()));
            let _ = commands.send(Command::Stop);
        }
    });
    let (measures, rules) = seen.unwrap();
    let reasons = report.unwrap().counts.rules["high-amount"].poisoned_by.clone();
    (measures, rules, reasons.into_iter().collect())
}

#[test]
fn what_happens_is_measured() {
    let (measures, rules, reasons) = run(Reading { rows_max: 2, ..Reading::LIVE });
    assert_eq!((measures.batches, measures.checkpoints.count), (2, 1), "there is one before anything is written");
    assert_eq!((measures.alerts.count, measures.alerts.sum), (1, 0.5), "from the time of its record to the clock's");
    let within = |bound: f64| measures.alerts.at_most.iter().find(|(at_most, _)| *at_most == bound).unwrap().1;
    assert_eq!((within(0.25), within(0.5)), (0, 1));
    assert_eq!(reasons, [("trap".to_owned(), 2)]);
    let state: Vec<_> = rules.iter().map(|rule| (&*rule.rule, rule.keys, rule.state_bytes > 0)).collect();
    assert_eq!(state, [("high-amount", 0, false), ("rate", 1, true)]);
    assert!(rules.iter().all(|rule| rule.call_latencies.count == rule.calls && rule.calls >= 2));
}

#[test]
fn a_bounded_stream_has_no_latency() {
    let (measures, ..) = run(Reading::WHOLE);
    assert_eq!((measures.batches, measures.alerts.count), (1, 0), "its records are of another day");
}
