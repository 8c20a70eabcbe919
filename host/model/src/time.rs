//! Event time: milliseconds since the Unix epoch, and its text form.

use chrono::{DateTime, Datelike, Timelike};

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;

/// RFC 3339 with milliseconds and `Z`, the form of every time that Tamis writes.
/// Times outside the years that RFC 3339 can write are clamped to them.
pub fn rfc3339_millis(time: Millis) -> String {
    // 0000-01-01 and 9999-12-31T23:59:59.999
    let time = time.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let at = DateTime::from_timestamp_millis(time).unwrap_or_default();
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], at.year().unsigned_abs());
    put(&mut text[5..7], at.month());
    put(&mut text[8..10], at.day());
    put(&mut text[11..13], at.hour());
    put(&mut text[14..16], at.minute());
    put(&mut text[17..19], at.second());
    put(&mut text[20..23], at.timestamp_subsec_millis());
    String::from_utf8(text.to_vec()).expect("digits are ASCII")
}

/// Writes a number over zeros.
fn put(zeros: &mut [u8], mut number: u32) {
    for digit in zeros.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
}

/// The UTC date of an event time, `YYYY-MM-DD`.
pub fn utc_date(time: Millis) -> String {
    rfc3339_millis(time)[..10].to_owned()
}

/// The start of the tumbling window of `length` milliseconds that `time` lies in; windows are aligned to the epoch.
pub fn window_start(time: Millis, length: Millis) -> Millis {
    time.div_euclid(length) * length
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_z() {
        assert_eq!(rfc3339_millis(1_773_842_400_000), "2026-03-18T14:00:00.000Z");
        assert_eq!(rfc3339_millis(i64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(utc_date(-1), "1969-12-31");
    }

    proptest::proptest! {
        #[test]
        fn times_are_written_as_chrono_writes_them(time in -62_167_219_200_000_i64..253_402_300_800_000) {
            let expected = DateTime::from_timestamp_millis(time).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true);
            proptest::prop_assert_eq!(rfc3339_millis(time), expected);
        }
    }

    #[test]
    fn windows_before_the_epoch_are_aligned_too() {
        assert_eq!(window_start(-1, 300_000), -300_000);
        assert_eq!(window_start(300_000, 300_000), 300_000);
    }
}
