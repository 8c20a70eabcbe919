//! Few values of a column are null.

use tamis_sdk::check::Values;
use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Limits {
    /// The columns to look at.
    #[config(default = [])]
    columns: Vec<String>,
    /// Nulls in a thousand rows that are still normal.
    #[config(default = 50, min = 0, max = 1000)]
    nulls_per_thousand_max: u64,
}

/// What is kept of a column while the dataset is read, batch by batch.
#[derive(Default, State)]
pub struct Nulls {
    rows: u64,
    nulls: u64,
}

impl Observe for Nulls {
    fn observe(&mut self, values: &Values<'_>) -> Result<(), String> {
        self.rows += values.count();
        self.nulls += values.nulls();
        Ok(())
    }
}

/// Judges a column once all of it was read.
#[check(title = "Few nulls")]
pub fn my_plugin(limits: &Limits, column: &Nulls) -> Verdict {
    Verdict {
        passed: 1000 * column.nulls <= limits.nulls_per_thousand_max * column.rows,
        observed: format!("{} of {} null", column.nulls, column.rows),
        expected: format!("at most {} in a thousand", limits.nulls_per_thousand_max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_fifty_in_a_thousand() {
        let limits = Limits::default();
        assert!(my_plugin(&limits, &Nulls { rows: 1000, nulls: 50 }).passed);
        assert!(!my_plugin(&limits, &Nulls { rows: 1000, nulls: 51 }).passed);
        assert!(my_plugin(&limits, &Nulls { rows: 0, nulls: 0 }).passed);
    }
}
