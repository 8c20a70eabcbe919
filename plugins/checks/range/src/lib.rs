//! Numbers within their range: percents, scores, revenue.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Range {
    /// The columns, all of numbers. Nulls are not looked at.
    #[config(default = [])]
    columns: Vec<String>,
    /// The lowest number allowed; none = any.
    min: Option<f64>,
    /// The highest number allowed; none = any.
    max: Option<f64>,
}

/// The extent of a column.
#[derive(State)]
pub struct Extent {
    numbers: u64,
    not_a_number: u64,
    lowest: f64,
    highest: f64,
    /// Digits behind the point that all numbers of the column have, when its type says so.
    places: u64,
    floating: bool,
}

impl Default for Extent {
    fn default() -> Self {
        let (lowest, highest) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { numbers: 0, not_a_number: 0, lowest, highest, places: 0, floating: false }
    }
}

impl Observe for Extent {
    fn observe(&mut self, values: &Values<'_>) -> Result<(), String> {
        let number_type = values.numbers(|number| self.add(number)).ok_or("does not hold numbers")?;
        self.places = if number_type == NumberType::Decimal { 2 } else { 0 };
        self.floating = number_type == NumberType::Float;
        Ok(())
    }
}

impl Extent {
    fn add(&mut self, number: f64) {
        self.numbers += 1;
        self.not_a_number += u64::from(number.is_nan());
        // Of a NaN and a number, `min` and `max` give the number.
        self.lowest = self.lowest.min(number);
        self.highest = self.highest.max(number);
    }

    fn describe(&self) -> String {
        if self.numbers == 0 {
            return "no numbers".to_owned();
        }
        let number = |value: f64| match self.floating {
            true => value.to_string(),
            false => format!("{value:.*}", self.places as usize),
        };
        let mut parts = Vec::new();
        if self.not_a_number > 0 {
            parts.push(format!("{} NaN", self.not_a_number));
        }
        if self.numbers > self.not_a_number {
            parts.push(format!("min {}, max {}", number(self.lowest), number(self.highest)));
        }
        parts.join(", ")
    }
}

/// Judges a column.
#[check(title = "Numbers within their range", owner = "data")]
pub fn range(config: &Range, column: &Extent) -> Verdict {
    let fits = config.min.is_none_or(|min| column.lowest >= min) && config.max.is_none_or(|max| column.highest <= max);
    let expected = match (config.min, config.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "numbers".to_owned(),
    };
    Verdict { passed: column.not_a_number == 0 && fits, observed: column.describe(), expected }
}

#[cfg(test)]
mod tests;
