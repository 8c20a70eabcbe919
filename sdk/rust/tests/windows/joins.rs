//! `Joined`.

use super::rules::{joined, joined_any};
use super::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn payment(time: i64, amount: i64) -> Record {
    Record::new(time, format!("p{time}")).with("order_id", "o").with("amount", amount).of(Some("o"), Some("c"))
}

fn order(time: i64, event_type: &str, total: Option<i64>) -> Record {
    Record::new(time, format!("e{time}"))
        .of_input(1)
        .with("order_id", "o")
        .with("event_type", event_type)
        .with("total", total)
}

fn check<P: RulePlugin>(records: &[Record], expected: &[&str]) {
    for batch_size in 1..=records.len() {
        let fired = run::<P>("{}", records, batch_size);
        assert_eq!(
            ids(&fired),
            expected.iter().map(|id| (*id).to_owned()).collect(),
            "{records:?} in batches of {batch_size}"
        );
    }
}

#[test]
fn whichever_arrives_last() {
    check::<joined::Plugin>(&[order(1, "created", Some(100)), payment(2, 101)], &["p2"]);
    check::<joined::Plugin>(&[payment(2, 101), order(1, "created", Some(100))], &["p2"]);
    check::<joined::Plugin>(&[payment(2, 100), order(1, "created", Some(100))], &[]);
}

#[test]
fn at_most_a_day_apart() {
    check::<joined::Plugin>(&[payment(0, 1), order(DAY, "created", Some(2))], &["p0"]);
    check::<joined::Plugin>(&[payment(0, 1), order(DAY + 1, "created", Some(2))], &[]);
    check::<joined::Plugin>(&[order(0, "created", Some(2)), payment(DAY, 1)], &[&format!("p{DAY}")]);
    check::<joined::Plugin>(&[order(0, "created", Some(2)), payment(DAY + 1, 1)], &[]);
}

#[test]
fn the_first_to_arrive_counts_even_with_a_null_total() {
    check::<joined::Plugin>(&[order(5, "created", None), order(6, "created", Some(2)), payment(7, 1)], &[]);
    check::<joined::Plugin>(&[payment(7, 1), order(6, "created", Some(1)), order(5, "created", Some(2))], &[]);
    check::<joined::Plugin>(
        &[order(0, "created", Some(1)), order(5, "created", Some(2)), payment(DAY + 1, 1)],
        &[&format!("p{}", DAY + 1)],
    );
}

#[test]
fn any_pairing_looks_at_each() {
    check::<joined_any::Plugin>(&[order(5, "created", None), order(6, "created", Some(2)), payment(7, 1)], &["p7"]);
    check::<joined_any::Plugin>(&[payment(7, 1), order(6, "created", Some(1)), order(5, "created", Some(2))], &["p7"]);
}

#[test]
fn other_event_types_do_not_count() {
    check::<joined::Plugin>(&[order(5, "shipped", Some(9)), order(6, "created", Some(1)), payment(7, 1)], &[]);
    check::<joined::Plugin>(&[order(5, "shipped", Some(9)), payment(7, 1)], &[]);
}

#[test]
fn late_records_are_paired() {
    check::<joined::Plugin>(
        &[payment(DAY / 2, 1), payment(0, 2), order(3, "created", Some(2))],
        &[&format!("p{}", DAY / 2)],
    );
}

#[test]
fn records_more_than_a_day_behind_are_not() {
    // The watermark is ten seconds behind the newest record.
    let newest = payment(DAY + 10_000, 7);
    let check = |behind: &[Record], expected: &[&str]| {
        check::<joined::Plugin>(&[std::slice::from_ref(&newest), behind].concat(), expected)
    };
    check(&[payment(0, 1), order(1, "created", Some(2))], &["p0"]);
    check(&[payment(-1, 1), order(1, "created", Some(2))], &[]);
    check(&[payment(1, 1), order(0, "created", Some(2))], &["p1"]);
    check(&[payment(1, 1), order(-1, "created", Some(2))], &[]);
    check(&[payment(1, 1), order(-1, "created", Some(2)), order(2, "created", Some(3))], &["p1"]);
    let manifest = Run::<joined::Plugin>::new("{}").manifest().clone();
    assert_eq!((&manifest["late"], &manifest["late_ms_max"]), (&"judge".into(), &DAY.into()));
}

#[test]
fn findings_name_both_sides() {
    let fired = run::<joined::Plugin>("{}", &[payment(2, 101), order(1, "created", Some(100))], 1);
    let names: Vec<_> = fired[0].context.keys().map(String::as_str).collect();
    assert_eq!(names, ["amount", "joined_time", "total"]);
    assert_eq!(fired[0].customer_id.as_deref(), Some("c"));
}

proptest! {
    /// Against each payment with the first of the order events in reach, in the order of arrival.
    #[test]
    fn pairs_as_the_contract_does(
        arrivals in prop::collection::vec((any::<bool>(), 0..3 * DAY, 0..3i64), 0..20),
        batch_size in 1..8usize,
    ) {
        let record = |(i, (is_payment, time, amount)): (usize, &(bool, i64, i64))| match is_payment {
            true => Record::new(*time, format!("p{i}")).with("order_id", "o").with("amount", *amount),
            false => order(*time, "created", (*amount > 0).then_some(*amount)),
        };
        let records: Vec<_> = arrivals.iter().enumerate().map(record).collect();
        let mut newest = i64::MIN;
        let is_judged = |(_, (_, time, _)): &(usize, &(bool, i64, i64))| {
            let watermark = newest.saturating_sub(10_000);
            newest = newest.max(*time);
            *time >= watermark.saturating_sub(DAY)
        };
        let judged: Vec<_> = arrivals.iter().enumerate().filter(is_judged).collect();
        let first_order =
            |time: i64| judged.iter().find(|(_, (is_payment, t, _))| !is_payment && (t - time).abs() <= DAY);
        let fires = |(is_payment, time, amount): &(bool, i64, i64)| {
            *is_payment && first_order(*time).is_some_and(|(_, (_, _, total))| *total > 0 && total != amount)
        };
        let expected: BTreeSet<_> =
            judged.iter().filter(|(_, arrival)| fires(arrival)).map(|(i, _)| format!("p{i}")).collect();
        prop_assert_eq!(ids(&run::<joined::Plugin>("{}", &records, batch_size)), expected);
    }
}
