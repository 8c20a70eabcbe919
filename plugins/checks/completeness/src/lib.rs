//! No null in keys and critical columns.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Complete {
    /// The columns that may not be null.
    #[config(default = [])]
    columns: Vec<String>,
}

/// The nulls of a column.
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

/// Judges a column.
#[check(title = "No null in columns that must not have any", owner = "data")]
pub fn completeness(_: &Complete, column: &Nulls) -> Verdict {
    Verdict {
        passed: column.nulls == 0,
        observed: format!("{} of {} null", column.nulls, column.rows),
        expected: "0 null".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_null_is_one_too_many() {
        let check = |rows, nulls| completeness(&Complete::default(), &Nulls { rows, nulls });
        let expected = "0 null".to_owned();
        assert_eq!(
            check(1200, 0),
            Verdict { passed: true, observed: "0 of 1200 null".into(), expected: expected.clone() }
        );
        assert_eq!(check(1200, 1), Verdict { passed: false, observed: "1 of 1200 null".into(), expected });
        assert!(check(0, 0).passed);
    }
}
