//! The SQL functions that gold queries use besides DataFusion's own.
//!
//! | function | gives |
//! |---|---|
//! | `date_id(date)` | Int32 `yyyymmdd` |
//! | `date_of_id(int)` | the date of a `date_id`; null when it is none |
//! | `est_ferie(date)`, `est_jour_ouvre(date)` | see [`crate::calendar`] |
//! | `slug(text)` | accents off, lower case, all but a–z and 0–9 become one `-` |
//! | `sha256_32(text)` | the first 32 hex digits of SHA-256 of the text |

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type};
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Int32Array, StringArray};
use arrow_schema::DataType;
use chrono::{Datelike, NaiveDate};
use datafusion::common::Result as SqlResult;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::calendar::{is_holiday, is_working_day};

/// Makes the functions known to `session`.
pub fn register(session: &SessionContext) {
    use DataType::{Boolean, Date32, Int32, Utf8};
    session.register_udf(function("date_id", Date32, Int32, |dates| {
        Arc::new(dates.as_primitive::<Date32Type>().iter().map(|day| date_id(date(day?)?)).collect::<Int32Array>())
    }));
    session.register_udf(function("date_of_id", Int32, Date32, |ids| {
        let day = |id: i32| Some(Date32Type::from_naive_date(date_of_id(id)?));
        Arc::new(ids.as_primitive::<Int32Type>().iter().map(|id| day(id?)).collect::<Date32Array>())
    }));
    session.register_udf(function("est_ferie", Date32, Boolean, |dates| holds(dates, is_holiday)));
    session.register_udf(function("est_jour_ouvre", Date32, Boolean, |dates| holds(dates, is_working_day)));
    session.register_udf(function("slug", Utf8, Utf8, |texts| text(texts, slug)));
    session.register_udf(function("sha256_32", Utf8, Utf8, |texts| text(texts, sha256_32)));
}

fn function(name: &str, input: DataType, output: DataType, of: fn(&ArrayRef) -> ArrayRef) -> ScalarUDF {
    let run = move |arguments: &[ColumnarValue]| -> SqlResult<ColumnarValue> {
        let scalar = matches!(arguments, [ColumnarValue::Scalar(_)]);
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let result = of(&arrays[0]);
        if scalar {
            return Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    };
    create_udf(name, vec![input], output, Volatility::Immutable, Arc::new(run))
}

fn holds(dates: &ArrayRef, condition: fn(NaiveDate) -> bool) -> ArrayRef {
    let dates = dates.as_primitive::<Date32Type>();
    Arc::new(dates.iter().map(|day| Some(condition(date(day?)?))).collect::<BooleanArray>())
}

fn text(texts: &ArrayRef, of: fn(&str) -> String) -> ArrayRef {
    Arc::new(texts.as_string::<i32>().iter().map(|text| text.map(of)).collect::<StringArray>())
}

fn date(day: i32) -> Option<NaiveDate> {
    Date32Type::to_naive_date_opt(day)
}

/// Days that four digits of a year cannot write have no id.
fn date_id(date: NaiveDate) -> Option<i32> {
    let month_and_day = (date.month() * 100 + date.day()).cast_signed();
    (0..=9999).contains(&date.year()).then(|| date.year() * 10_000 + month_and_day)
}

fn date_of_id(id: i32) -> Option<NaiveDate> {
    let id = u32::try_from(id).ok()?;
    NaiveDate::from_ymd_opt((id / 10_000).cast_signed(), id / 100 % 100, id % 100)
}

fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

fn sha256_32(text: &str) -> String {
    Sha256::digest(text)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn check(expression: &str, expected: &str) {
        let session = SessionContext::new();
        register(&session);
        let batches = session.sql(&format!("SELECT {expression} AS x")).await.unwrap().collect().await.unwrap();
        let text = arrow_cast::display::array_value_to_string(batches[0].column(0), 0).unwrap();
        assert_eq!(text, expected, "{expression}");
    }

    #[tokio::test]
    async fn functions_give_what_their_table_says() {
        check("date_id(DATE '2026-03-18')", "20260318").await;
        check("date_id(NULL)", "").await;
        check("date_of_id(CAST(20260318 AS INT))", "2026-03-18").await;
        check("date_of_id(CAST(20260230 AS INT))", "").await;
        check("est_ferie(DATE '2026-04-06')", "true").await;
        check("est_jour_ouvre(DATE '2026-04-06')", "false").await;
        check("est_jour_ouvre(DATE '2026-04-07')", "true").await;
        check("slug(' Réseaux  Sociaux (été) ')", "reseaux-sociaux-ete").await;
        // printf %s '2026-03-18|GET|/' | sha256sum
        check("sha256_32('2026-03-18|GET|/')", "bbb4b04a0a01ce320d26eeebf2c5af3c").await;
    }

    #[test]
    fn slugs_are_words_of_plain_letters_and_digits() {
        for (text, expected) in [
            ("Google Ads", "google-ads"),
            ("  Réseaux  sociaux (payant) ", "reseaux-sociaux-payant"),
            ("E-mailing_2026", "e-mailing-2026"),
            ("Réfe\u{301}rent’ment", "referent-ment"),
            ("ÇA", "ca"),
            ("İstanbul", "istanbul"),
            ("Bœuf", "b-uf"),
            ("№ 5", "5"),
            ("---", ""),
            ("", ""),
            ("日本", ""),
        ] {
            assert_eq!(slug(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_slug_is_its_own_slug(text in "\\PC{0,20}") {
            let once = slug(&text);
            prop_assert!(once.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!once.starts_with('-') && !once.ends_with('-') && !once.contains("--"));
            prop_assert_eq!(slug(&once), once);
        }
    }
}
