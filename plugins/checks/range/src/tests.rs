//! The function against batches, through the plugin's own calls.

use tamis_sdk::bindings::types::{Batch, Column, Values as Raw};
use tamis_sdk::check::CheckPlugin;

use super::*;

/// What the plugin says of `batches` of one column `x`.
fn check(config: &str, batches: Vec<Raw>) -> Result<(bool, String, String), String> {
    let plugin = Plugin::configure(config)?;
    let mut state = Vec::new();
    for values in batches {
        let rows = match &values {
            Raw::Float64(values) => values.len(),
            Raw::Int64(values) | Raw::Decimal(values) => values.len(),
            _ => 1,
        };
        let columns = vec![Column { values, validity: None }];
        state = plugin.observe(&Batch { rows: rows as u32, columns }, &state)?;
    }
    let mut results = plugin.finish(&state)?;
    let result = results.remove(0);
    assert_eq!((result.column.as_deref(), results.len()), (Some("x"), 0));
    Ok((result.passed, result.observed, result.expected))
}

const PERCENT: &str = r#"{"columns": ["x"], "min": 0, "max": 100}"#;

#[test]
fn the_bounds_are_included() {
    let verdict = |passed, observed: &str| Ok((passed, observed.to_owned(), "0 to 100".to_owned()));
    assert_eq!(check(PERCENT, vec![Raw::Float64(vec![0.0, 100.0])]), verdict(true, "min 0, max 100"));
    assert_eq!(
        check(PERCENT, vec![Raw::Float64(vec![0.5]), Raw::Float64(vec![100.1])]),
        verdict(false, "min 0.5, max 100.1")
    );
    assert_eq!(check(PERCENT, vec![Raw::Decimal(vec![-100, 4000])]), verdict(false, "min -1.00, max 40.00"));
    assert_eq!(check(PERCENT, vec![Raw::Int64(vec![7])]), verdict(true, "min 7, max 7"));
    assert_eq!(check(PERCENT, vec![]), verdict(true, "no numbers"));
}

#[test]
fn a_nan_is_out_of_every_range() {
    assert_eq!(check(PERCENT, vec![Raw::Float64(vec![f64::NAN])]).map(|v| (v.0, v.1)), Ok((false, "1 NaN".into())));
    let all = check(r#"{"columns": ["x"]}"#, vec![Raw::Float64(vec![f64::NAN, 2.0, f64::INFINITY])]);
    assert_eq!(all, Ok((false, "1 NaN, min 2, max inf".into(), "numbers".into())));
}

#[test]
fn a_bound_may_be_missing() {
    let check = |config, cents| check(config, vec![Raw::Decimal(vec![cents])]).map(|v| (v.0, v.2));
    assert_eq!(check(r#"{"columns": ["x"], "min": 0.1}"#, 10), Ok((true, "at least 0.1".into())));
    assert_eq!(check(r#"{"columns": ["x"], "min": 0.1}"#, 9), Ok((false, "at least 0.1".into())));
    assert_eq!(check(r#"{"columns": ["x"], "max": 0.1}"#, 11), Ok((false, "at most 0.1".into())));
}

#[test]
fn a_column_of_other_values_is_an_error_that_names_it() {
    assert_eq!(check(PERCENT, vec![Raw::Boolean(vec![1])]), Err("column `x` does not hold numbers".into()));
}
