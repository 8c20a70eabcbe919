//! Tests of the whole plugin, natively.

mod changes;
mod conditions;
mod counts;
mod differential;
mod guards;
mod manifest;
mod refusals;

use serde_json::{Value as Json, json};
use tamis_sdk::bindings::types::{Batch, Column as Wire, Keyed, Strings, Subject, Values};
use tamis_sdk::rule::RulePlugin;

use crate::Plugin;
use crate::columns::{Column, ColumnType};

/// A configuration with a column of each type, `t`, `u` (texts), `i`, `j` (integers), `a`, `b` (amounts), `d`, `e` (doubles) and `f`, `g`
/// (true or false).
fn config(condition: &str) -> String {
    let columns: serde_json::Map<_, _> = ["t", "u", "i", "j", "a", "b", "d", "e", "f", "g"]
        .iter()
        .zip(["text", "int64", "decimal", "float64", "boolean"].iter().flat_map(|column_type| [column_type; 2]))
        .map(|(name, column_type)| ((*name).to_owned(), json!({"type": column_type})))
        .collect();
    json!({"topic": "things", "condition": condition, "columns": columns}).to_string()
}

/// For which rows the condition holds; absent cells are null, and amounts are written as numbers.
fn holds(condition: &str, rows: &[Json]) -> Result<Vec<bool>, String> {
    let mut plugin = Plugin::configure(&config(condition)).unwrap_or_else(|why| panic!("{condition}: {why}"));
    let outcome = plugin.apply(&keyed(&plugin.columns, rows))?;
    let mut holds = vec![false; rows.len()];
    for finding in outcome.findings {
        match finding.subject {
            Subject::Row(row) => holds[row as usize] = true,
            other => panic!("{other:?}"),
        }
    }
    Ok(holds)
}

fn keyed(columns: &[Column], rows: &[Json]) -> Keyed {
    let columns = columns.iter().map(|column| wire(column, rows)).collect();
    Keyed {
        batch: Batch { rows: rows.len() as u32, columns },
        input: None,
        times: vec![0; rows.len()],
        groups: None,
        identities: None,
        watermark: 0,
    }
}

fn wire(column: &Column, rows: &[Json]) -> Wire {
    let cell = |row: &Json| row.get(&column.name).filter(|cell| !cell.is_null()).cloned();
    let cells: Vec<Option<Json>> = rows.iter().map(cell).collect();
    let integers = || cells.iter().map(|cell| cell.as_ref().map_or(0, |cell| cell.as_i64().unwrap())).collect();
    let doubles = || cells.iter().map(|cell| cell.as_ref().map_or(0.0, |cell| cell.as_f64().unwrap()));
    let values = match column.column_type.unwrap() {
        ColumnType::Text => {
            let mut strings = Strings { offsets: vec![0], data: Vec::new() };
            for cell in &cells {
                strings.data.extend(cell.as_ref().map_or("", |cell| cell.as_str().unwrap()).bytes());
                strings.offsets.push(strings.data.len() as u32);
            }
            Values::Text(strings)
        }
        ColumnType::Int64 => Values::Int64(integers()),
        ColumnType::Decimal => Values::Decimal(doubles().map(|amount| (amount * 100.0).round() as i64).collect()),
        ColumnType::Float64 => Values::Float64(doubles().collect()),
        ColumnType::Boolean => Values::Boolean(cells.iter().map(|cell| u8::from(*cell == Some(json!(true)))).collect()),
    };
    let mut bitmap = vec![0u8; rows.len().div_ceil(8)];
    (0..rows.len()).filter(|row| cells[*row].is_some()).for_each(|row| bitmap[row / 8] |= 1 << (row % 8));
    Wire { values, validity: cells.iter().any(Option::is_none).then_some(bitmap) }
}
