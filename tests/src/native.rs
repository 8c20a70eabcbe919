//! A rule plugin linked into the test: the same code as its component, without the sandbox.
//!
//! Differential tests hold the two against each other, benchmarks measure what the sandbox costs.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tamis_model::error::Context;
use tamis_model::rule::{Finding, Judged, Keyed, Remembered, Rule, Severity, Subject, Value};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::{Error, Kind, Result};
use tamis_sdk::bindings::types as sdk;
use tamis_sdk::rule::RulePlugin;

/// A rule plugin as a [`Rule`].
pub struct NativeRule<P>(P);

impl<P: RulePlugin + Send> NativeRule<P> {
    /// Configures the plugin.
    pub fn new(config: &str) -> Result<Self> {
        P::configure(config).invalid("configure", "native rule").map(Self)
    }
}

impl<P: RulePlugin + Send> Rule for NativeRule<P> {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.0 = P::configure(config).invalid("configure", "native rule")?;
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        judged(self.0.apply(&lower(rows)))
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        judged(self.0.advance(&lower(due)))
    }
}

/// A batch in the SDK's own types.
pub fn lower(rows: &Keyed<'_>) -> sdk::Keyed {
    let columns = rows.columns.iter().map(column).collect();
    sdk::Keyed {
        batch: sdk::Batch { rows: u32::try_from(rows.rows).expect("a batch has less than 2^32 rows"), columns },
        input: (!rows.input.is_empty()).then(|| rows.input.to_vec()),
        times: rows.times.to_vec(),
        // Without rows one cannot tell whether there is a key, and a rule without one does not look.
        groups: (!rows.groups.is_empty() || rows.rows == 0).then(|| sdk::Groups {
            members: rows.groups.to_vec(),
            keys: strings(rows.keys),
            states: strings(rows.states),
        }),
        identities: rows.identities.map(|[id, order_id, customer_id]| sdk::Identities {
            id: column(id),
            order_id: column(order_id),
            customer_id: column(customer_id),
        }),
        watermark: rows.watermark,
    }
}

fn strings(strings: Strings<'_>) -> sdk::Strings {
    sdk::Strings { offsets: strings.offsets.to_vec(), data: strings.data.to_vec() }
}

fn column(array: &ArrayRef) -> sdk::Column {
    let values = match array.data_type() {
        DataType::Utf8 => {
            let text = array.as_string::<i32>();
            let offsets = text.value_offsets().iter().map(|offset| offset.cast_unsigned()).collect();
            sdk::Values::Text(sdk::Strings { offsets, data: text.value_data().to_vec() })
        }
        DataType::Int64 => sdk::Values::Int64(array.as_primitive::<Int64Type>().values().to_vec()),
        DataType::Float64 => sdk::Values::Float64(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::Timestamp(..) => {
            sdk::Values::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values().to_vec())
        }
        DataType::Boolean => sdk::Values::Boolean(array.as_boolean().values().iter().map(u8::from).collect()),
        DataType::Decimal128(..) => {
            let hundredths = array.as_primitive::<Decimal128Type>().values();
            sdk::Values::Decimal(hundredths.iter().map(|v| i64::try_from(*v).expect("18 digits fit")).collect())
        }
        other => panic!("rules have no columns of {other}"),
    };
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| {
        assert_eq!(nulls.offset(), 0, "decoded columns are not sliced");
        nulls.validity().to_vec()
    });
    sdk::Column { values, validity }
}

fn judged(outcome: std::result::Result<sdk::RuleOutcome, String>) -> Result<Judged> {
    let outcome = outcome.map_err(|why| Error::new(Kind::Plugin, "judge with", "native rule").because(why))?;
    Ok(Judged {
        findings: outcome.findings.into_iter().map(finding).collect(),
        states: match outcome.states.offsets.len() {
            0 => StringsBuf::default(),
            _ => StringsBuf { offsets: outcome.states.offsets, data: outcome.states.data },
        },
        wakes: outcome.wakes,
        ..Judged::default()
    })
}

fn finding(finding: sdk::Finding) -> Finding {
    Finding {
        subject: match finding.subject {
            sdk::Subject::Row(row) => Subject::Row(row),
            sdk::Subject::Window(sdk::Window { group, start, end }) => Subject::Window { group, start, end },
            sdk::Subject::Remembered(event) => Subject::Remembered(Remembered {
                group: event.group,
                input: event.input,
                time: event.time,
                id: event.id,
                order_id: event.order_id,
                customer_id: event.customer_id,
            }),
        },
        severity: match finding.severity {
            sdk::Severity::Info => Severity::Info,
            sdk::Severity::Warning => Severity::Warning,
            sdk::Severity::High => Severity::High,
            sdk::Severity::Critical => Severity::Critical,
        },
        criteria: finding.criteria,
        context: finding.context.into_iter().map(value).collect(),
    }
}

fn value(value: sdk::Value) -> Value {
    match value {
        sdk::Value::Null => Value::Null,
        sdk::Value::Text(text) => Value::Text(text),
        sdk::Value::Int64(number) => Value::Int64(number),
        sdk::Value::Float64(number) => Value::Float64(number),
        sdk::Value::Boolean(truth) => Value::Boolean(truth),
        sdk::Value::Timestamp(time) => Value::Timestamp(time),
        sdk::Value::Decimal(hundredths) => Value::Decimal(hundredths),
        sdk::Value::Texts(texts) => Value::Texts(texts),
    }
}
