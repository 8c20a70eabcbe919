//! Transforms and checks in native code, as simple as a test needs them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use serde_json::{Value, json};
use tamis_jobs::datasets::{Dataset, SILVER_CRM, SILVER_NGINX};
use tamis_jobs::plans::{CheckPlan, Plans, TransformPlan};
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::Manifest;
use tamis_model::transform::{Check, CheckResult, Transform, Transformed};
use tamis_model::{Error, Kind, Result};

/// Reads a CSV whose headers are Silver columns; `statut` `bot` is filtered out, a row without its key rejected, an age
/// that is no number nullified.
pub fn crm(keep: Value) -> TransformPlan {
    let columns: Vec<_> = SILVER_CRM.columns.iter().map(|(name, _)| *name).collect();
    plan("crm", "csv", &columns, &SILVER_CRM, json!({"partition_by": ["pays"], "key": ["client_id"], "keep": keep}))
}

/// Reads lines `DATE METHOD PATH STATUS MS`; `-` for no method, path or latency. Anything else is rejected.
pub fn nginx() -> TransformPlan {
    plan("nginx", "lines", &["line"], &SILVER_NGINX, json!({"partition_by": ["log_date"]}))
}

fn plan(source: &str, format: &str, input: &[&str], dataset: &'static Dataset, extra: Value) -> TransformPlan {
    let text = |name: &&str| json!({"name": name, "type": "text"});
    let column = |(name, column_type): &(&str, tamis_model::schema::ColumnType)| json!({"name": name, "type": column_type, "required": dataset.key.contains(name)});
    let mut output = json!({
        "dataset": dataset.name,
        "columns": dataset.columns.iter().map(column).collect::<Vec<_>>(),
    });
    output.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let manifest: Manifest = serde_json::from_value(json!({
        "name": format!("silver/{source}"), "version": "1.0.0", "title": "a fake", "world": "transform",
        "inputs": [{"source": source, "format": format,
                    "columns": input.iter().map(text).collect::<Vec<_>>()}],
        "output": output,
    }))
    .unwrap();
    let plugin = PluginRef { name: manifest.name.clone(), version: "1.0.0".to_owned(), sha256: "00".to_owned() };
    let lines = format == "lines";
    let make = move |_| Ok(Box::new(Fake { lines, schema: dataset.schema() }) as Box<dyn Transform>);
    TransformPlan::new(&manifest, plugin, Arc::new(make)).unwrap()
}

struct Fake {
    lines: bool,
    schema: SchemaRef,
}

impl Transform for Fake {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Transformed> {
        let mut made = Transformed {
            rows: RecordBatch::new_empty(Arc::clone(&self.schema)),
            kept: Vec::new(),
            rejected: Vec::new(),
            filtered: Vec::new(),
            nullified: vec![0; self.schema.fields().len()],
            poisoned: Vec::new(),
        };
        let cells: Vec<_> = columns.iter().map(|column| column.as_string::<i32>().clone()).collect();
        let cell = |column: usize, row: usize| cells[column].is_valid(row).then(|| cells[column].value(row).to_owned());
        let mut kept: Vec<Vec<Option<String>>> = Vec::new();
        for row in 0..rows {
            let values = match self.lines {
                true => cell(0, row).as_deref().and_then(nginx_cells),
                false => {
                    Some((0..cells.len()).map(|column| cell(column, row)).collect()).filter(|v: &Vec<_>| v[1].is_some())
                }
            };
            match values {
                None => made.rejected.push((row as u32, "unreadable".to_owned())),
                Some(values) if !self.lines && values[8].as_deref() == Some("bot") => made.filtered.push(row as u32),
                Some(mut values) => {
                    if !self.lines && values[4].as_ref().is_some_and(|age| age.parse::<i32>().is_err()) {
                        values[4] = None;
                        made.nullified[4] += 1;
                    }
                    made.kept.push(row as u32);
                    kept.push(values);
                }
            }
        }
        let column = |(index, field): (usize, &arrow_schema::FieldRef)| {
            let texts: ArrayRef = Arc::new(kept.iter().map(|values| values[index].clone()).collect::<StringArray>());
            cast(&texts, field.data_type()).unwrap_or_else(|_| new_null_array(field.data_type(), kept.len()))
        };
        let arrays = self.schema.fields().iter().enumerate().map(column).collect();
        made.rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Error::new(Kind::Corrupt, "fake", "rows").because(error))?;
        Ok(made)
    }
}

/// The Silver columns of a line, in the order of the contract.
fn nginx_cells(line: &str) -> Option<Vec<Option<String>>> {
    let [date, method, path, status, ms] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let some = |text: &str| Some(text.to_owned());
    let family = format!("{}xx", &status[..1]);
    let known = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
    let ts = format!("{date}T12:00:00Z");
    Some(vec![
        some("1.2.3.xxx"),
        None,
        Some(ts),
        known(method),
        known(path),
        some("false"),
        some("HTTP/1.1"),
        some(status),
        Some(family),
        None,
        None,
        None,
        some("false"),
        known(ms),
        some(date),
    ])
}

/// Transforms for both sources and the three checks.
pub fn plans() -> Plans {
    let crm = crm(json!({"which": "latest", "by": "date_modification"}));
    Plans { transforms: vec![crm, nginx()], checks: checks(), ..Plans::default() }
}

/// The three checks.
pub fn checks() -> Vec<CheckPlan> {
    ["check-completeness", "check-volume", "check-range"].map(check).to_vec()
}

fn check(name: &'static str) -> CheckPlan {
    let make = move |config: &Value| Ok(Box::new(FakeCheck::new(name, config)) as Box<dyn Check>);
    CheckPlan { name: name.to_owned(), make: Arc::new(make) }
}

struct FakeCheck {
    kind: &'static str,
    columns: Vec<String>,
    bounds: (f64, f64),
    rows: usize,
    bad: Vec<usize>,
}

impl FakeCheck {
    fn new(kind: &'static str, config: &Value) -> Self {
        let columns: Vec<String> = serde_json::from_value(config["columns"].clone()).unwrap_or_default();
        let bounds = (config["min"].as_f64().unwrap_or(f64::MIN), config["max"].as_f64().unwrap_or(f64::MAX));
        Self { kind, bad: vec![0; columns.len()], columns, bounds, rows: 0 }
    }

    fn result(&self, column: Option<&String>, passed: bool, bad: usize) -> CheckResult {
        let observed = format!("{bad} of {}", self.rows);
        CheckResult { column: column.cloned(), passed, observed, expected: self.kind.to_owned() }
    }
}

impl Check for FakeCheck {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn observe(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows();
        for (name, bad) in self.columns.iter().zip(&mut self.bad) {
            let column = rows.column_by_name(name).unwrap();
            *bad += match self.kind {
                "check-completeness" => column.null_count(),
                _ => {
                    let numbers = cast(column, &DataType::Float64).unwrap();
                    let outside = |x: &f64| *x < self.bounds.0 || *x > self.bounds.1;
                    numbers.as_primitive::<Float64Type>().iter().flatten().filter(outside).count()
                }
            };
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<CheckResult>> {
        if self.kind == "check-volume" {
            return Ok(vec![self.result(None, self.rows > 0, 0)]);
        }
        let of = |(column, bad): (&String, &usize)| self.result(Some(column), *bad == 0, *bad);
        Ok(self.columns.iter().zip(&self.bad).map(of).collect())
    }
}
