//! Enough rows: an empty dataset is a failed delivery more often than a quiet day.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Volume {
    /// The fewest rows that the dataset may have.
    #[config(default = 1, min = 0)]
    rows_min: u64,
}

/// Judges the dataset.
#[check(title = "At least so many rows", owner = "data")]
pub fn volume(config: &Volume, dataset: &Dataset) -> Verdict {
    let rows = |count: u64| format!("{count} row{}", if count == 1 { "" } else { "s" });
    Verdict {
        passed: dataset.rows >= config.rows_min,
        observed: rows(dataset.rows),
        expected: format!("at least {}", rows(config.rows_min)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_rows_are_enough() {
        let check = |rows, rows_min| volume(&Volume { rows_min }, &Dataset { rows }).passed;
        assert!(check(1, 1) && !check(0, 1) && check(0, 0) && check(10, 10) && !check(9, 10));
        let verdict = volume(&Volume::default(), &Dataset { rows: 1200 });
        assert_eq!((verdict.observed.as_str(), verdict.expected.as_str()), ("1200 rows", "at least 1 row"));
    }
}
