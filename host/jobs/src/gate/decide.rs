//! Whether tables may be published.

use tamis_connectors::warehouse::QualityResult;

/// Percent of the results that must pass.
const PASSED_PERCENT_MIN: usize = 80;
/// Failures that a refusal names.
const NAMED_MAX: usize = 5;

/// What the results of a run come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Percent of the results that passed; none when there were none.
    pub score: Option<f64>,
    /// Why the tables may not be published; none = they may.
    pub refusal: Option<String>,
}

/// Decides: at least 80 % pass and none that is blocking fails.
pub fn decide(results: &[QualityResult]) -> Verdict {
    let passed = results.iter().filter(|result| result.passed).count();
    let blocking: Vec<_> = results.iter().filter(|result| !result.passed && result.blocking).collect();
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    let refusal = if !blocking.is_empty() {
        Some(format!("{} blocking checks failed: {}", blocking.len(), named(&blocking)))
    } else if 100 * passed < PASSED_PERCENT_MIN * results.len() {
        let total = results.len();
        Some(format!("only {passed} of {total} checks passed, {PASSED_PERCENT_MIN} % must: {}", named(&failed)))
    } else {
        None
    };
    let score = (!results.is_empty()).then(|| 100.0 * passed as f64 / results.len() as f64);
    Verdict { score, refusal }
}

fn named(failed: &[&QualityResult]) -> String {
    let name = |result: &&QualityResult| {
        let column = result.column_name.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
        format!(
            "{} of {}{column} ({} instead of {})",
            result.check_name, result.dataset, result.observed, result.expected
        )
    };
    let mut names: Vec<String> = failed.iter().take(NAMED_MAX).map(name).collect();
    if failed.len() > NAMED_MAX {
        names.push(format!("and {} more", failed.len() - NAMED_MAX));
    }
    names.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(passed: usize, failed: usize, blocking: bool) -> Vec<QualityResult> {
        let result = |passed: bool| QualityResult {
            checked_at: "2026-03-20T01:00:00.000Z".to_owned(),
            dataset: "kpi_web_jour".to_owned(),
            check_name: "check-range".to_owned(),
            category: "range".to_owned(),
            column_name: Some("taux_5xx".to_owned()),
            passed,
            observed: "min 0.00, max 101.00".to_owned(),
            expected: "0 to 100".to_owned(),
            blocking: blocking && !passed,
        };
        (0..passed).map(|_| result(true)).chain((0..failed).map(|_| result(false))).collect()
    }

    fn check(passed: usize, failed: usize, blocking: bool, score: Option<f64>, publishes: bool) {
        let verdict = decide(&results(passed, failed, blocking));
        assert_eq!((verdict.score, verdict.refusal.is_none()), (score, publishes), "{:?}", verdict.refusal);
    }

    #[test]
    fn four_fifths_are_enough_unless_one_blocks() {
        check(100, 0, false, Some(100.0), true);
        check(80, 20, false, Some(80.0), true);
        check(79, 21, false, Some(79.0), false);
        check(4, 1, false, Some(80.0), true);
        check(3, 1, false, Some(75.0), false);
        check(99, 1, true, Some(99.0), false);
        check(0, 0, false, None, true);
    }

    #[test]
    fn a_refusal_says_what_failed() {
        let words = |passed, failed, blocking| decide(&results(passed, failed, blocking)).refusal.unwrap();
        assert_eq!(
            words(9, 1, true),
            "1 blocking checks failed: check-range of kpi_web_jour.taux_5xx (min 0.00, max 101.00 instead of 0 to 100)"
        );
        assert!(words(1, 8, false).starts_with("only 1 of 9 checks passed, 80 % must: "));
        assert!(words(1, 8, false).ends_with("; and 3 more"));
    }
}
