//! What ends a backtest early, what is left out, and what a rule fails on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use serde_json::json;
use tamis_engine::rules::{Budget, OnFailure, RulePlan};
use tamis_jobs::backtest::{Backtest, BacktestContext, BacktestProgress, Bounds, Margins, backtest};
use tamis_model::dead_letter::PluginRef;
use tamis_model::rule::{FailureReason, Judged, Keyed, Poisoned, PoisonedSubject, Rule};
use tamis_model::{Kind, Result};

use super::feed::{MIDDLE, MINUTE_MS, SHOP, Shop, context, rules, run, whole};

#[test]
fn a_backtest_tells_how_far_it_is_and_reads_only_what_it_needs() {
    let mut told = Vec::new();
    let what = whole(rules()[1].clone(), MIDDLE);
    let report =
        backtest(&SHOP.context(), &what, &AtomicBool::new(false), &mut |progress| told.push(progress)).unwrap();
    assert!(told.len() > 5 && told.iter().is_sorted_by_key(|progress| progress.records_done), "{told:?}");
    let BacktestProgress { records_done, records_total } = told[told.len() - 1];
    assert_eq!((records_done, records_total), (report.records.read, report.records.read));
    assert!(told[0].records_total >= report.records.read && told[0].records_total < SHOP.records / 2, "{:?}", told[0]);
    assert!(report.records.late > 0 && report.records.refused["not_in_enum"] > 0, "{:?}", report.records);
    let judged = report.version.judged;
    assert!(
        0 < judged.in_window && judged.in_window < judged.total && judged.total < report.records.read,
        "{judged:?}"
    );
}

#[test]
fn a_cancelled_backtest_stops_before_the_next_batch() {
    let cancel = AtomicBool::new(false);
    let mut batches = 0;
    let result = backtest(&SHOP.context(), &whole(rules()[1].clone(), MIDDLE), &cancel, &mut |_| {
        batches += 1;
        cancel.store(batches == 3, Ordering::Relaxed);
    });
    assert_eq!((result.unwrap_err().kind(), batches), (Kind::Stopped, 3));
}

#[test]
fn a_report_says_that_it_is_truncated() {
    let [_, rule, ..] = rules();
    let what = Backtest { compared_with: Some(rule.clone()), ..whole(rule, MIDDLE) };
    let whole = run(&SHOP.context(), &what);
    let total = whole.version.alerts.total;
    assert!(total > 20 && !whole.truncated, "{total}");
    let bounds = Bounds { ids_max: 10, examples_max: 3, waiting_max: 100 };
    let report = run(&BacktestContext { bounds, ..context(&SHOP.topics()) }, &what);
    let overlap = report.overlap.unwrap();
    assert!(report.truncated);
    assert_eq!((overlap.both, overlap.only_new, overlap.only_old), (10, 0, 0));
    assert_eq!((overlap.not_compared_new, overlap.not_compared_old), (total - 10, total - 10));
    assert_eq!(report.version.alerts.total, total, "what is not compared is counted all the same");
    assert_eq!((overlap.examples.both.len(), report.version.alerts.examples.len()), (3, 3));
}

/// Fails on amounts that a number divides.
struct Failing {
    divisor: i128,
    /// Whether so often that not all rows could be tried.
    exhausted: bool,
}

impl Rule for Failing {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let amounts = rows.columns[0].as_primitive::<Decimal128Type>();
        let fails = |(_, amount): &(usize, &i128)| **amount % self.divisor == 0;
        let poisoned = amounts.values().iter().enumerate().filter(fails).map(|(row, amount)| Poisoned {
            subject: PoisonedSubject::Row(row as u32),
            reason: FailureReason::Trap,
            message: format!("cannot bear {amount}"),
        });
        Ok(Judged { poisoned: poisoned.collect(), exhausted: self.exhausted, ..Judged::default() })
    }

    fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
        Ok(Judged::default())
    }
}

fn failing(on_failure: OnFailure, exhausted: bool) -> RulePlan {
    let manifest = json!({
        "name": "failing", "version": "1.0.0", "title": "it fails", "world": "rule",
        "inputs": [{"topic": "payments", "columns": [{"name": "amount", "type": "decimal", "required": true}]}],
    });
    let plugin = PluginRef { name: "failing".to_owned(), version: "1.0.0".to_owned(), sha256: "00".to_owned() };
    let make = move |_: &str| Ok(Box::new(Failing { divisor: 100_00, exhausted }) as Box<dyn Rule>);
    let manifest = Arc::new(serde_json::from_value(manifest).unwrap());
    RulePlan { on_failure, ..RulePlan::new("failing", plugin, manifest, "{}".to_owned(), Arc::new(make)) }
}

#[test]
fn what_a_rule_fails_on_is_reported_whatever_its_policy() {
    let policies = [
        OnFailure::DeadLetter,
        OnFailure::Halt,
        OnFailure::Disable(Budget { rows_min: 1, errors_percent_max: 0.0, ..Budget::default() }),
    ];
    let bounds = Bounds { examples_max: 4, ..Bounds::default() };
    let context = BacktestContext { bounds, ..context(&SHOP.topics()) };
    let margins = Margins { warm_up_ms: 10 * MINUTE_MS, run_out_ms: 10 * MINUTE_MS };
    let reports =
        policies.map(|policy| run(&context, &Backtest { margins, ..whole(failing(policy, false), MIDDLE) }).version);
    for version in &reports {
        let errors = &version.errors;
        assert!(errors.total > 4 && errors.outside_window > 0, "{errors:?}");
        assert_eq!(errors.by_reason, [("trap".to_owned(), errors.total)].into());
        assert_eq!(errors, &reports[0].errors);
        assert_eq!((errors.examples.len(), &version.stopped), (4, &None));
        let example = &errors.examples[0];
        assert_eq!((example.topic.as_str(), example.reason.as_str()), ("payments", "trap"));
        assert!(example.partition.is_some_and(|number| number < 3) && example.offset.is_some_and(|offset| offset > 0));
        assert!(example.message.starts_with("cannot bear "), "{example:?}");
    }
}

#[test]
fn a_version_that_the_host_stops_says_why() {
    let report = run(&SHOP.context(), &whole(failing(OnFailure::DeadLetter, true), MIDDLE));
    let why = report.version.stopped.unwrap();
    assert!(why.contains("3 batches in a row"), "{why}");
    assert!(report.version.judged.total < report.records.read / 2, "it judges nothing any more");
}

#[test]
fn topics_that_are_not_there_have_no_records() {
    let shop = Shop::open(0);
    let report = run(&shop.context(), &whole(rules()[1].clone(), MIDDLE));
    assert_eq!((report.records.read, report.version.alerts.total, report.version.alerts.percent), (0, 0, 0.0));
}
