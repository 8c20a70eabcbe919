//! The French calendar: public holidays and working days (Code du travail, L3133-1).

use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Easter Sunday of a year of the Gregorian calendar.
///
/// The anonymous Gregorian algorithm (Nature, 20 April 1876, p. 487; Meeus, *Astronomical Algorithms*,
/// chapter 8); the letters are its own. `None` outside the years that [`NaiveDate`] can hold.
fn easter_sunday(year: i32) -> Option<NaiveDate> {
    let a = year.rem_euclid(19);
    let (b, c) = (year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b.div_euclid(4), b.rem_euclid(4));
    let f = (b + 8).div_euclid(25);
    let g = (b - f + 1).div_euclid(3);
    let h = (19 * a + b - d - g + 15).rem_euclid(30);
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k).rem_euclid(7);
    let m = (a + 11 * h + 22 * l) / 451;
    let month_and_day = h + l - 7 * m + 114;
    NaiveDate::from_ymd_opt(year, (month_and_day / 31).cast_unsigned(), (month_and_day % 31 + 1).cast_unsigned())
}

/// Whether `date` is a French public holiday: eight fixed days, Easter Monday, Ascension, Whit Monday.
pub fn is_holiday(date: NaiveDate) -> bool {
    match (date.month(), date.day()) {
        (1, 1) | (5, 1 | 8) | (7, 14) | (8, 15) | (11, 1 | 11) | (12, 25) => true,
        (3..=6, _) => {
            let days_after_easter = easter_sunday(date.year()).map(|easter| (date - easter).num_days());
            matches!(days_after_easter, Some(1 | 39 | 50))
        }
        _ => false,
    }
}

/// Whether `date` is Monday to Friday and not a public holiday.
pub fn is_working_day(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !is_holiday(date)
}

/// How many working days d there are with `a` < d <= `b`; counted backwards it is negative.
pub fn working_days(a: NaiveDate, b: NaiveDate) -> i64 {
    if b < a {
        return -working_days(b, a);
    }
    let days = (b - a).num_days().cast_unsigned();
    let whole_weeks = days / 7;
    let rest = (whole_weeks * 7 + 1..=days).filter_map(|n| a.checked_add_days(Days::new(n)));
    let weekdays = 5 * whole_weeks.cast_signed() + count(rest.filter(|date| date.weekday().number_from_monday() <= 5));
    let holidays = (a.year()..=b.year()).flat_map(holidays_of);
    weekdays - count(holidays.filter(|day| a < *day && *day <= b && day.weekday().number_from_monday() <= 5))
}

fn count(dates: impl Iterator<Item = NaiveDate>) -> i64 {
    i64::try_from(dates.count()).expect("a calendar has less than 2^63 days")
}

/// The public holidays of a year, each once (Ascension can fall on 1 or 8 May).
fn holidays_of(year: i32) -> impl Iterator<Item = NaiveDate> {
    let fixed = [(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)];
    let fixed = fixed.into_iter().filter_map(move |(month, day)| NaiveDate::from_ymd_opt(year, month, day));
    let easter = easter_sunday(year);
    let moving = [1, 39, 50].into_iter().filter_map(move |days| easter?.checked_add_days(Days::new(days)));
    let moving = moving.filter(|date| !matches!((date.month(), date.day()), (5, 1 | 8)));
    fixed.chain(moving)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// Dates as published by the Bureau des longitudes and national almanacs.
    #[test]
    fn easter() {
        for day in [
            "1818-03-22",
            "1943-04-25",
            "1961-04-02",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2038-04-25",
            "2285-03-22",
        ] {
            assert_eq!(easter_sunday(date(day).year()), Some(date(day)));
        }
    }

    #[test]
    fn the_holidays_of_2026() {
        let first = date("2026-01-01");
        let holidays: Vec<_> = first.iter_days().take(365).filter(|day| is_holiday(*day)).collect();
        let expected = [
            "2026-01-01",
            "2026-04-06",
            "2026-05-01",
            "2026-05-08",
            "2026-05-14",
            "2026-05-25",
            "2026-07-14",
            "2026-08-15",
            "2026-11-01",
            "2026-11-11",
            "2026-12-25",
        ];
        assert_eq!(holidays, expected.map(date));
    }

    #[test]
    fn working_days_between_known_dates() {
        for (a, b, expected) in [
            ("2026-03-18", "2026-03-18", 0),
            ("2026-03-18", "2026-03-19", 1),
            ("2026-03-20", "2026-03-23", 1),   // over a week-end
            ("2026-03-21", "2026-03-22", 0),   // within one
            ("2026-04-03", "2026-04-07", 1),   // Easter Monday
            ("2026-05-13", "2026-05-15", 1),   // Ascension
            ("2026-12-31", "2027-01-01", 0),   // a holiday is not counted
            ("2025-12-31", "2026-12-31", 252), // 261 weekdays less 9 holidays on weekdays
            ("2008-04-30", "2008-05-02", 1),   // Ascension on 1 May counts once
            ("2026-03-19", "2026-03-18", -1),
            ("2026-04-07", "2026-04-03", -1),
        ] {
            assert_eq!(working_days(date(a), date(b)), expected, "{a} to {b}");
        }
    }

    proptest! {
        #[test]
        fn counting_agrees_with_walking(start in 0_i32..60_000, length in 0_u64..1_500) {
            let a = NaiveDate::from_num_days_from_ce_opt(700_000 + start).unwrap();
            let b = a.checked_add_days(Days::new(length)).unwrap();
            let walked = a.iter_days().skip(1).take(length as usize).filter(|day| is_working_day(*day)).count();
            prop_assert_eq!(working_days(a, b), walked as i64);
            prop_assert_eq!(working_days(b, a), -(walked as i64));
        }
    }
}
