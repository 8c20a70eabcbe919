//! What the derives and `#[rule]` write down of a plugin, and how configurations and columns are refused.

use serde_json::{Value as Json, json};
use tamis_sdk::bindings::types::{Batch, Column, Keyed, RuleOutcome, Severity, Strings, Subject, Values};
use tamis_sdk::config::Config as _;
use tamis_sdk::prelude::*;
use tamis_sdk::rule::RulePlugin;
use tamis_sdk::testing::{Record, Run};

/// Settings of every type.
#[derive(Config, Debug)]
pub struct Settings {
    /// A count.
    #[config(default = 3, min = 1, max = 9)]
    count_max: u64,
    /// A share,
    /// in percent.
    #[config(default = Percent::whole(20), min = 0)]
    share_max: Percent,
    #[config(default = -1.5)]
    factor: f64,
    #[config(default = true)]
    strict: bool,
    #[config(default = ["a", "b"], list = "other_name")]
    listed: Vec<String>,
    #[config(default = ["FR"], list)]
    countries: TextSet,
    #[config(default = "x")]
    pattern: String,
    owner: Option<String>,
}

/// A setting that somebody has to give.
#[derive(Config, Debug)]
pub struct Required {
    dataset: String,
}

/// A column of every type.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    status: &'a str,
    #[row(personal)]
    ip_address: Option<&'a str>,
    amount: Cents,
    #[row(name = "risk_score")]
    risk: Option<i32>,
    score: Option<f64>,
    fraud_flag: Option<bool>,
    seen: Option<Timestamp>,
    day: Option<Date>,
}

/// Large or risky.
#[rule(criteria = ["large", "risky"], severity(1 = "warning", 2 = "critical"), route = "alerts_x", owner = "us", name = "large-or-risky")]
pub fn large_or_risky(config: &Settings, payment: &Payment) -> [bool; 2] {
    [payment.amount > Cents(config.count_max as i64), payment.risk.is_some_and(|risk| risk > 50)]
}

fn manifest() -> Json {
    serde_json::from_str(&Plugin::manifest()).expect("a manifest is JSON")
}

#[test]
fn the_manifest_says_what_the_types_say() {
    let manifest = manifest();
    assert_eq!(manifest["name"], "large-or-risky");
    assert_eq!(manifest["title"], "Large or risky.");
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["criteria"], json!(["large", "risky"]));
    assert_eq!((&manifest["late"], &manifest["remembers"]), (&json!("judge"), &json!(false)));
    assert_eq!(manifest["expires"], json!(null));
    assert_eq!((&manifest["late_ms_max"], &manifest["state_shape"]), (&json!(null), &json!("")));
    let columns = json!([
        {"name": "status", "type": "text", "required": true},
        {"name": "ip_address", "type": "text", "personal": true},
        {"name": "amount", "type": "decimal", "required": true},
        {"name": "risk_score", "type": "int32"},
        {"name": "score", "type": "float64"},
        {"name": "fraud_flag", "type": "boolean"},
        {"name": "seen", "type": "timestamp"},
        {"name": "day", "type": "date"},
    ]);
    assert_eq!(manifest["inputs"], json!([{"topic": "payments", "columns": columns}]));
    let spec = <Payment<'_> as tamis_sdk::row::Row>::INPUT;
    assert_eq!(
        ["ip_address", "status", "psp"].map(|name| (spec.declares(name), spec.is_personal(name))),
        [(true, true), (true, false), (false, false),]
    );
    let context = manifest["context"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap());
    let expected = [
        "status",
        "ip_address",
        "amount",
        "risk_score",
        "score",
        "fraud_flag",
        "seen",
        "day",
        "count_max",
        "share_max",
        "factor",
        "strict",
    ];
    assert_eq!(context.collect::<Vec<_>>(), expected);
    assert_eq!(manifest["context"][1], json!({"name": "ip_address", "personal": true, "from": "row"}));
    assert_eq!(manifest["context"][11], json!({"name": "strict", "personal": false, "from": "config"}));
}

#[test]
fn the_schema_says_what_fits() {
    assert_eq!(
        Settings::schema(),
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "count_max": {"type": "integer", "minimum": 1, "maximum": 9, "description": "A count."},
                "share_max": {"type": "number", "minimum": 0, "description": "A share, in percent."},
                "factor": {"type": "number"},
                "strict": {"type": "boolean"},
                "listed": {"type": "array", "items": {"type": "string"}, "x-list": "other_name"},
                "countries": {"type": "array", "items": {"type": "string"}, "x-list": "countries"},
                "pattern": {"type": "string"},
                "owner": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": [],
        })
    );
    let defaults = json!({
        "count_max": 3, "share_max": 20.0, "factor": -1.5, "strict": true, "listed": ["a", "b"], "countries": ["FR"],
        "pattern": "x", "owner": null,
    });
    assert_eq!(Settings::defaults(), defaults);
    assert_eq!(Required::schema()["required"], json!(["dataset"]));
    assert_eq!(Required::defaults(), json!({}));
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = Settings::parse(r#"{"count_max": 4.0, "owner": "me"}"#).unwrap();
    assert_eq!((settings.count_max, settings.owner.as_deref()), (4, Some("me")));
    assert_eq!((settings.listed.len(), &settings.pattern[..], settings.factor), (2, "x", -1.5));
    assert_eq!((settings.share_max, settings.strict), (Percent::whole(20), true));
    assert!(settings.countries.contains("FR"));
}

#[test]
fn a_wrong_configuration_is_refused_by_the_setting_s_name() {
    let check = |config: &str, expected: &str| assert_eq!(Settings::parse(config).unwrap_err(), expected, "{config}");
    check(r#"{"count_max": 0}"#, "setting `count_max`: 0 is below 1");
    check(r#"{"count_max": 10}"#, "setting `count_max`: 10 is above 9");
    check(r#"{"count_max": -1}"#, "setting `count_max`: expected an integer of at least 0, found -1");
    check(r#"{"count_max": 1.5}"#, "setting `count_max`: expected an integer of at least 0, found 1.5");
    check(r#"{"count_max": "3"}"#, "setting `count_max`: expected an integer of at least 0, found \"3\"");
    check(r#"{"strict": null}"#, "setting `strict`: expected true or false, found null");
    check(r#"{"listed": ["a", 1]}"#, "setting `listed`: item 1: expected a text, found 1");
    check("[]", "the configuration is no JSON object");
    let unknown = "unknown setting `count`; there are `count_max`, `share_max`, `factor`, `strict`, `listed`, `countries`, `pattern`, `owner`";
    check(r#"{"count": 1}"#, unknown);
    assert_eq!(Required::parse("{}").unwrap_err(), "setting `dataset` is missing");
    assert_eq!(Required::parse(r#"{"dataset": "d"}"#).unwrap().dataset, "d");
    assert!(Settings::parse("{").unwrap_err().starts_with("the configuration is no JSON: "));
}

fn payment(time: i64, amount: i64) -> Record {
    Record::new(time, format!("p{time}")).with("status", "failed").with("amount", amount)
}

#[test]
fn severity_grows_with_the_criteria() {
    let rows =
        [payment(1, 3), payment(2, 4), payment(3, 4).with("risk_score", 51).with("seen", 5_000).with("day", 20_530)];
    let fired = Run::<Plugin>::new("{}").batch(&rows);
    let found: Vec<_> = fired.iter().map(|fired| (&fired.id[..], fired.severity, fired.criteria.len())).collect();
    assert_eq!(found, [("p2", Severity::Warning, 1), ("p3", Severity::Critical, 2)]);
    assert_eq!(fired[1].context.len(), 0, "the host has the row and the settings");
}

#[test]
fn the_order_of_arrival_of_rows_is_theirs_in_the_outcome() {
    let rows: Vec<_> = (0..10).map(|time| payment(time, 100)).collect();
    let fired = Run::<Plugin>::new("{}").all(&rows, 10);
    assert_eq!(
        fired.iter().map(|fired| fired.id.clone()).collect::<Vec<_>>(),
        (0..10).map(|i| format!("p{i}")).collect::<Vec<_>>()
    );
}

/// One row with one column replaced.
fn apply(index: usize, column: Column) -> Result<RuleOutcome, String> {
    let text =
        |text: &str| Values::Text(Strings { offsets: vec![0, text.len() as u32], data: text.as_bytes().to_vec() });
    let values = [
        text("failed"),
        text("1.2.3.4"),
        Values::Decimal(vec![100]),
        Values::Int64(vec![1]),
        Values::Float64(vec![1.0]),
        Values::Boolean(vec![1]),
        Values::Timestamp(vec![1]),
        Values::Date(vec![1]),
    ];
    let mut columns: Vec<_> = values.into_iter().map(|values| Column { values, validity: None }).collect();
    columns[index] = column;
    Plugin::configure("{}").expect("the defaults fit").apply(&Keyed {
        batch: Batch { rows: 1, columns },
        input: None,
        times: vec![0],
        groups: None,
        identities: None,
        watermark: 0,
    })
}

#[test]
fn columns_that_are_not_as_declared_are_refused_by_name() {
    let check = |index, values, validity, expected: &str| {
        assert_eq!(apply(index, Column { values, validity }).unwrap_err(), expected);
    };
    check(2, Values::Int64(vec![1]), None, "column `amount` is not decimal of 1 rows");
    check(2, Values::Decimal(vec![1, 2]), None, "column `amount` is not decimal of 1 rows");
    check(2, Values::Decimal(vec![1]), Some(vec![0]), "column `amount` is required and null in row 0");
    check(3, Values::Int64(vec![1]), Some(Vec::new()), "column `risk_score` is not int32 of 1 rows");
    let broken = Values::Text(Strings { offsets: vec![0, 1], data: vec![0xff] });
    check(0, broken, None, "column `status` is not text of 1 rows");
}

#[test]
fn rows_are_the_subjects() {
    let column = Column { values: Values::Decimal(vec![4]), validity: Some(vec![1]) };
    let outcome = apply(2, column).unwrap();
    assert_eq!(outcome.findings.iter().map(|finding| finding.subject.clone()).collect::<Vec<_>>(), [Subject::Row(0)]);
    assert_eq!((outcome.states.offsets, outcome.wakes), (vec![0], Vec::new()));
}
