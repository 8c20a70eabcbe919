//! How much may go wrong before the host stops a version by itself. The engine counts; here they are kept and checked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a canary must keep to, or it is rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// It is not judged on fewer rows.
    pub rows_min: u64,
    /// Percent of the rows on which it may fail.
    pub errors_percent_max: f64,
    /// Percent of the rows that may raise an alert; none = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_percent_max: Option<f64>,
    /// Over how many rows it is counted.
    pub window_rows: u64,
}

/// How many rows are too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Percent of the rows on which it may fail.
    pub bad_percent_max: f64,
    /// It is not judged on fewer rows.
    pub rows_min: u64,
    /// Over how many rows it is counted.
    pub window_rows: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { bad_percent_max: 5.0, rows_min: 100, window_rows: 10_000 }
    }
}

impl Budget {
    /// Whether its numbers make sense.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let percents = [Some(self.errors_percent_max), self.alerts_percent_max];
        check(self.rows_min, self.window_rows, percents.into_iter().flatten())
    }
}

impl Breaker {
    /// Whether its numbers make sense.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        check(self.rows_min, self.window_rows, [self.bad_percent_max])
    }
}

fn check(rows_min: u64, window_rows: u64, percents: impl IntoIterator<Item = f64>) -> Result<(), &'static str> {
    if !percents.into_iter().all(|percent| (0.0..=100.0).contains(&percent)) {
        return Err("percentages are from 0 to 100");
    }
    // A window that ends before it may be judged would never be.
    if rows_min > window_rows {
        return Err("rows_min is at most window_rows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_must_make_sense() {
        let check = |rows_min, window_rows, errors, alerts, fits: bool| {
            let budget = Budget { rows_min, errors_percent_max: errors, alerts_percent_max: alerts, window_rows };
            assert_eq!(budget.check().is_ok(), fits, "{budget:?}");
            if alerts.is_none() {
                let breaker = Breaker { bad_percent_max: errors, rows_min, window_rows };
                assert_eq!(breaker.check().is_ok(), fits, "{breaker:?}");
            }
        };
        check(100, 10_000, 5.0, None, true);
        check(100, 100, 0.0, Some(100.0), true);
        check(101, 100, 5.0, None, false);
        check(1, 100, -0.1, None, false);
        check(1, 100, 100.1, None, false);
        check(1, 100, f64::NAN, None, false);
        check(1, 100, 5.0, Some(f64::INFINITY), false);
    }

    #[test]
    fn a_breaker_has_defaults() {
        let breaker: Breaker = serde_json::from_str(r#"{"rows_min": 7}"#).unwrap();
        assert_eq!(breaker, Breaker { bad_percent_max: 5.0, rows_min: 7, window_rows: 10_000 });
        assert!(serde_json::from_str::<Breaker>(r#"{"rows": 7}"#).is_err());
    }
}
