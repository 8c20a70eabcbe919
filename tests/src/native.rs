//! What a rule plugin is given when it is linked into this process instead of run in the sandbox: the benchmark of the boundary
//! holds the two against each other.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tamis_model::rule::Keyed;
use tamis_model::strings::Strings;
use tamis_sdk::bindings::types as sdk;

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
