//! Values that Rust has no type of its own for: amounts, dates, instants.

use serde_json::{Value as Json, json};

use crate::config::Setting;
use crate::read;

/// An amount in hundredths: 12.34 is `Cents(1234)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(pub i64);

/// A day of the Gregorian calendar, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// An instant, as microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Written `YYYY-MM-DD` in a configuration.
impl Setting for Date {
    fn schema() -> Json {
        json!({"type": "string", "format": "date"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        let date = value.as_str().and_then(|text| read::date(text).ok().flatten());
        // Of the forms that files use this is the only one here: a date is written as it was read.
        date.filter(|date| date.json() == *value).ok_or_else(|| format!("expected a date, YYYY-MM-DD, found {value}"))
    }

    fn json(&self) -> Json {
        let (year, month, day) = self.ymd();
        format!("{year:04}-{month:02}-{day:02}").into()
    }
}

/// Written in a configuration as a number of euros, `1499.99`.
impl Setting for Cents {
    const IN_CONTEXT: bool = true;

    fn schema() -> Json {
        json!({"type": "number"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        // Below this a double tells cents apart, and what comes back as it was written has no digits behind them.
        let euros = value.as_f64().filter(|euros| euros.abs() < 1e13);
        let cents = euros.map(|euros| Self((euros * 100.0).round() as i64));
        let exact = cents.filter(|cents| Some(cents.euros()) == euros);
        exact.ok_or_else(|| format!("expected an amount of at most two digits behind the point, found {value}"))
    }

    fn json(&self) -> Json {
        if self.0 % 100 == 0 { (self.0 / 100).into() } else { self.euros().into() }
    }
}

impl Cents {
    /// The double next to it.
    fn euros(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

impl Date {
    /// The day `year`-`month`-`day`, or nothing when the calendar has no such day. Years run from 1 to 9999.
    pub fn from_ymd(year: i32, month: i32, day: i32) -> Option<Self> {
        let exists =
            (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        exists.then(|| Self(days_from_civil(year, month, day)))
    }

    /// Year, month 1–12 and day 1–31.
    pub fn ymd(self) -> (i32, i32, i32) {
        civil_from_days(self.0)
    }

    /// Full years from this day to `later`: the anniversary itself counts, and that of 29 February is 1 March in
    /// years without one. Negative when `later` is earlier.
    pub fn full_years_until(self, later: Self) -> i32 {
        let (from, to) = (self.ymd(), later.ymd());
        to.0 - from.0 - i32::from((to.1, to.2) < (from.1, from.2))
    }
}

impl Timestamp {
    /// The UTC date.
    pub fn date(self) -> Date {
        // i64::MIN microseconds are 107 million days: they fit.
        Date(i32::try_from(self.0.div_euclid(DAY_MICROS)).expect("days of a 64-bit microsecond count fit 32 bits"))
    }

    /// The instant `micros` microseconds after midnight UTC of `date`; `micros` may be negative.
    pub fn at(date: Date, micros: i64) -> Self {
        Self(i64::from(date.0) * DAY_MICROS + micros)
    }
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, by Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so
/// that the leap day is their last; 400 of them make an era of 146 097 days.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = year - i32::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i32) -> (i32, i32, i32) {
    // Eras are counted from a day that the whole range of `days` reaches only in 64 bits.
    let days = i64::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    // Days of 32 bits are less than six million years.
    (year as i32, month as i32, day as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: i32, day: i32) -> Date {
        Date::from_ymd(year, month, day).unwrap()
    }

    #[test]
    fn every_day_of_the_calendar_follows_the_last_and_reads_back() {
        let mut next = day(1, 1, 1);
        for year in 1..=9999 {
            for month in 1..=12 {
                for d in 1..=days_in(year, month) {
                    assert_eq!((day(year, month, d), next.ymd()), (next, (year, month, d)));
                    next.0 += 1;
                }
            }
        }
        assert_eq!(day(1970, 1, 1), Date(0));
        assert_eq!(day(2000, 3, 1), Date(11_017));
        assert_eq!(day(2026, 3, 18), Date(20_530));
    }

    #[test]
    fn days_that_do_not_exist() {
        for (year, month, d) in [
            (2026, 2, 29),
            (1900, 2, 29),
            (2026, 4, 31),
            (2026, 13, 1),
            (2026, 0, 1),
            (2026, 1, 0),
            (0, 1, 1),
            (10_000, 1, 1),
        ] {
            assert_eq!(Date::from_ymd(year, month, d), None, "{year}-{month}-{d}");
        }
        assert!(Date::from_ymd(2000, 2, 29).is_some());
    }

    #[test]
    fn a_setting_is_written_one_way() {
        assert_eq!(Date::read(&json!("2026-03-18")), Ok(day(2026, 3, 18)));
        assert_eq!(day(2026, 3, 8).json(), json!("2026-03-08"));
        for value in [json!("18/03/2026"), json!("2026-02-30"), json!("20260318"), json!(20_260_318), json!(null)] {
            assert!(Date::read(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_limit_in_euros_is_read_exactly() {
        let check = |value: Json, cents: i64| {
            assert_eq!(Cents::read(&value), Ok(Cents(cents)));
            assert_eq!(Cents(cents).json(), value);
        };
        check(json!(1500), 150_000);
        check(json!(1499.99), 149_999);
        check(json!(-0.07), -7);
        check(json!(0), 0);
        check(json!(9_999_999_999_999.99), 999_999_999_999_999);
        assert_eq!(Cents::read(&json!(1500.0)), Ok(Cents(150_000)));
        for value in
            [json!(0.001), json!(1499.995), json!("1500"), json!(null), json!(1e13), json!(-1e300), json!(i64::MAX)]
        {
            assert!(Cents::read(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn full_years() {
        let check = |born: Date, on: Date, years| {
            assert_eq!(born.full_years_until(on), years, "{:?} {:?}", born.ymd(), on.ymd())
        };
        check(day(1990, 3, 20), day(2026, 3, 19), 35);
        check(day(1990, 3, 20), day(2026, 3, 20), 36);
        check(day(2004, 2, 29), day(2026, 2, 28), 21);
        check(day(2004, 2, 29), day(2026, 3, 1), 22);
        check(day(2004, 2, 29), day(2028, 2, 29), 24);
        check(day(2026, 3, 21), day(2026, 3, 20), -1);
    }

    #[test]
    fn the_date_of_an_instant_is_the_utc_date() {
        assert_eq!(Timestamp(-1).date(), Date(-1));
        assert_eq!(Timestamp(DAY_MICROS).date(), Date(1));
        assert_eq!(Timestamp::at(Date(1), -1), Timestamp(DAY_MICROS - 1));
        assert_eq!(Timestamp(i64::MIN).date(), Date(-106_751_992));
        assert_eq!(Date(i32::MAX).ymd(), (5_881_580, 7, 11));
    }
}
