//! The context of an alert: the values that made a rule fire, as JSON. A finding carries only those that the host does not have.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use serde_json::{Number, Value as Json};
use tamis_model::alert::AlertContext;
use tamis_model::manifest::{ContextSource, Input};
use tamis_model::rule::Value;
use tamis_model::schema::ColumnType;
use tamis_model::time::{rfc3339_millis, utc_date};

use crate::alerts::Judging;
use crate::plan::LayoutInput;
use crate::rules::RulePlan;

const DAY_MS: i64 = 86_400_000;
/// A text of an alert is cut behind so many bytes, a list of them behind the one that makes it as long as this.
const TEXT_BYTES_MAX: usize = 4 << 10;
const TEXTS_BYTES_MAX: usize = 64 << 10;
/// What stands for the rest.
const CUT: char = '…';

/// The declared context columns of a rule.
pub(crate) struct Context(Vec<(Arc<str>, Source)>);

/// Where a value comes from.
enum Source {
    /// The finding carries it.
    Finding,
    /// The row: for each input the decoded column, if that input has it.
    Row(Vec<Option<(usize, ColumnType)>>),
    /// The configuration.
    Config(Json),
}

impl Context {
    /// The context of a rule that is laid over topics. A setting that is left out has its default.
    pub fn new(rule: &RulePlan, inputs: &[LayoutInput]) -> Result<Self, String> {
        let manifest = &rule.manifest;
        let settings: Json =
            serde_json::from_str(&rule.config).map_err(|e| format!("its configuration is no JSON: {e}"))?;
        let decoded = |(input, layout): (&Input, &LayoutInput), name: &str| {
            let at = input.columns.iter().position(|column| column.name == name)?;
            Some((layout.columns[at], layout.types[at]))
        };
        let source = |name: &str, from| match from {
            ContextSource::Finding => Source::Finding,
            ContextSource::Row => Source::Row(manifest.inputs.iter().zip(inputs).map(|i| decoded(i, name)).collect()),
            ContextSource::Config => {
                let value = settings.get(name).or_else(|| manifest.config.defaults.get(name));
                Source::Config(value.cloned().unwrap_or_default())
            }
        };
        Ok(Self(manifest.context.iter().map(|c| (c.name.as_str().into(), source(&c.name, c.from))).collect()))
    }

    /// The context of a finding that carries `carried`, and is about `row` if it is about one. Nothing when the finding
    /// does not carry exactly what it must, or a value should be from the row and there is none.
    pub fn compose(&self, carried: Vec<Value>, judging: &Judging<'_>, row: Option<usize>) -> Option<AlertContext> {
        let mut carried = carried.into_iter();
        let value = |(name, source): &(Arc<str>, Source)| {
            let value = match source {
                Source::Finding => json(carried.next()?),
                Source::Row(inputs) => match inputs.get(judging.input)? {
                    Some((column, column_type)) => json(cell(judging.columns.get(*column)?, *column_type, row?)?),
                    None => Json::Null,
                },
                Source::Config(value) => value.clone(),
            };
            Some((Arc::clone(name), value))
        };
        let context: AlertContext = self.0.iter().map(value).collect::<Option<_>>()?;
        carried.next().is_none().then_some(context)
    }
}

/// The value of a cell; nothing when there is no such row.
pub(crate) fn cell(array: &ArrayRef, column_type: ColumnType, row: usize) -> Option<Value> {
    if row >= array.len() {
        return None;
    }
    if array.is_null(row) {
        return Some(Value::Null);
    }
    Some(match column_type {
        ColumnType::Text => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        ColumnType::Int32 => Value::Int64(array.as_primitive::<Int32Type>().value(row).into()),
        ColumnType::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        ColumnType::Timestamp => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1000))
        }
        ColumnType::Date => Value::Text(utc_date(i64::from(array.as_primitive::<Date32Type>().value(row)) * DAY_MS)),
        // 18 digits always fit.
        ColumnType::Decimal => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row) as i64),
    })
}

/// A context value as JSON. Amounts are numbers: exact up to ten million million, where a double still tells cents
/// apart, and the nearest double beyond.
pub(crate) fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => Json::String(bounded(text)),
        Value::Int64(number) => number.into(),
        Value::Float64(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Value::Boolean(truth) => Json::Bool(truth),
        Value::Timestamp(time) => Json::String(rfc3339_millis(time)),
        Value::Decimal(hundredths) if hundredths % 100 == 0 => (hundredths / 100).into(),
        Value::Decimal(hundredths) => nearest(hundredths).into(),
        Value::Texts(texts) => bounded_list(texts).into(),
    }
}

/// The double nearest to so many hundredths.
fn nearest(hundredths: i64) -> f64 {
    // The division of two exact doubles is rounded once.
    let is_exact = hundredths.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
    if is_exact { hundredths as f64 / 100.0 } else { format!("{hundredths}e-2").parse().expect("it is a number") }
}

/// A text as an alert has it: a longer one is cut, so that the alert's record is taken by brokers whatever an event says.
pub(crate) fn bounded(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push(CUT);
    }
    text
}

fn bounded_list(texts: Vec<String>) -> Vec<String> {
    let (count, mut bytes) = (texts.len(), 0);
    let fits = |text: &String| {
        let before = bytes;
        bytes += text.len();
        before < TEXTS_BYTES_MAX
    };
    let mut kept: Vec<String> = texts.into_iter().map(bounded).take_while(fits).collect();
    if kept.len() < count {
        kept.push(CUT.to_string());
    }
    kept
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };

    use super::*;

    #[test]
    fn cells_are_json_as_the_contract_writes_them() {
        let check = |array: ArrayRef, column_type, expected: &str| {
            assert_eq!(json(cell(&array, column_type, 0).unwrap()).to_string(), expected);
            assert_eq!(cell(&array, column_type, 1), Some(Value::Null));
            assert_eq!(cell(&array, column_type, 2), None);
        };
        check(Arc::new(StringArray::from(vec![Some("é"), None])), ColumnType::Text, "\"é\"");
        check(Arc::new(Int32Array::from(vec![Some(-1), None])), ColumnType::Int32, "-1");
        check(Arc::new(Int64Array::from(vec![Some(51), None])), ColumnType::Int64, "51");
        check(Arc::new(Float64Array::from(vec![Some(0.5), None])), ColumnType::Float64, "0.5");
        check(Arc::new(BooleanArray::from(vec![Some(true), None])), ColumnType::Boolean, "true");
        let seen = TimestampMicrosecondArray::from(vec![Some(-1), None]);
        check(Arc::new(seen), ColumnType::Timestamp, "\"1969-12-31T23:59:59.999Z\"");
        check(Arc::new(Date32Array::from(vec![Some(20_530), None])), ColumnType::Date, "\"2026-03-18\"");
        check(Arc::new(Decimal128Array::from(vec![Some(1234), None])), ColumnType::Decimal, "12.34");
    }

    #[test]
    fn texts_are_cut_where_they_are_too_long_for_a_record() {
        let check = |text: &str, times: usize, kept: usize| {
            let Json::String(cut) = json(Value::Text(text.repeat(times))) else { panic!("a text") };
            let expected = text.repeat(kept) + if kept < times { "…" } else { "" };
            assert_eq!(cut, expected);
        };
        check("a", TEXT_BYTES_MAX, TEXT_BYTES_MAX);
        check("a", TEXT_BYTES_MAX + 1, TEXT_BYTES_MAX);
        // A character of three bytes is not divided.
        check("日", TEXT_BYTES_MAX, TEXT_BYTES_MAX / 3);
        let list = |count: usize| bounded_list(vec!["x".repeat(1 << 10); count]);
        assert_eq!(list(64), vec!["x".repeat(1 << 10); 64]);
        assert_eq!((list(65).len(), list(65)[64].as_str()), (65, "…"));
        assert_eq!(bounded_list(vec!["x".repeat(1 << 20); 100]).len(), 17, "each is cut first");
        assert_eq!(bounded_list(Vec::new()), Vec::<String>::new());
    }

    #[test]
    fn context_values_are_json_as_the_contract_writes_them() {
        let check = |value: Value, expected: &str| assert_eq!(json(value).to_string(), expected);
        check(Value::Decimal(123_456), "1234.56");
        check(Value::Decimal(-1), "-0.01");
        check(Value::Decimal(150_000), "1500");
        check(Value::Decimal(110), "1.1");
        check(Value::Decimal(999_999_999_999_999), "9999999999999.99");
        check(Value::Decimal(9_007_199_254_740_993), "90071992547409.94");
        check(Value::Decimal(-9_999_999_999_999_999), "-99999999999999.98");
        check(Value::Timestamp(1_773_842_400_000), r#""2026-03-18T14:00:00.000Z""#);
        check(Value::Float64(f64::NAN), "null");
        check(Value::Float64(0.05), "0.05");
        check(Value::Int64(i64::MIN), "-9223372036854775808");
        check(Value::Texts(vec!["a".into(), "é".into()]), r#"["a","é"]"#);
        check(Value::Null, "null");
    }

    proptest::proptest! {
        #[test]
        fn amounts_print_exactly_while_a_double_tells_cents_apart(hundredths in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            let printed = json(Value::Decimal(hundredths)).to_string();
            let (whole, cents) = printed.split_once('.').unwrap_or((&printed, ""));
            let read = format!("{whole}{cents:0<2}").parse::<i64>().unwrap();
            proptest::prop_assert_eq!(read, hundredths);
        }
    }
}
