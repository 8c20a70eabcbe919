//! The types of `sdk/wit/tamis.wit` as they cross the boundary: borrowed on the way in, owned on the way out.
//!
//! Written out instead of generated, so that the three worlds share them and nothing is copied that can be
//! borrowed. They cannot drift from the WIT unnoticed: wasmtime compares them with the types of every component
//! that it instantiates. The WIT says what the fields mean.

use wasmtime::component::{ComponentType, Lift, Lower};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Strings<'a> {
    pub offsets: &'a [u32],
    pub data: &'a [u8],
}

impl<'a> From<tamis_model::strings::Strings<'a>> for Strings<'a> {
    fn from(strings: tamis_model::strings::Strings<'a>) -> Self {
        Self { offsets: strings.offsets, data: strings.data }
    }
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(variant)]
pub(crate) enum Values<'a> {
    #[component(name = "text")]
    Text(Strings<'a>),
    #[component(name = "int64")]
    Int64(&'a [i64]),
    #[component(name = "float64")]
    Float64(&'a [f64]),
    #[component(name = "boolean")]
    Boolean(&'a [u8]),
    #[component(name = "timestamp")]
    Timestamp(&'a [i64]),
    #[component(name = "date")]
    Date(&'a [i32]),
    #[component(name = "decimal")]
    Decimal(&'a [i64]),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Column<'a> {
    pub values: Values<'a>,
    pub validity: Option<&'a [u8]>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Batch<'a> {
    pub rows: u32,
    pub columns: &'a [Column<'a>],
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Identities<'a> {
    pub id: Column<'a>,
    #[component(name = "order-id")]
    pub order_id: Column<'a>,
    #[component(name = "customer-id")]
    pub customer_id: Column<'a>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Groups<'a> {
    pub members: &'a [u32],
    pub keys: Strings<'a>,
    pub states: Strings<'a>,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Keyed<'a> {
    pub batch: Batch<'a>,
    pub input: Option<&'a [u8]>,
    pub times: &'a [i64],
    pub groups: Option<Groups<'a>>,
    pub identities: Option<Identities<'a>>,
    pub watermark: i64,
}

#[derive(ComponentType, Lift, Lower, Debug)]
#[component(record)]
pub(crate) struct StringsBuf {
    pub offsets: Vec<u32>,
    pub data: Vec<u8>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum ValuesBuf {
    #[component(name = "text")]
    Text(StringsBuf),
    #[component(name = "int64")]
    Int64(Vec<i64>),
    #[component(name = "float64")]
    Float64(Vec<f64>),
    #[component(name = "boolean")]
    Boolean(Vec<u8>),
    #[component(name = "timestamp")]
    Timestamp(Vec<i64>),
    #[component(name = "date")]
    Date(Vec<i32>),
    #[component(name = "decimal")]
    Decimal(Vec<i64>),
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct ColumnBuf {
    pub values: ValuesBuf,
    pub validity: Option<Vec<u8>>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct BatchBuf {
    pub rows: u32,
    pub columns: Vec<ColumnBuf>,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(enum)]
#[allow(dead_code, reason = "its values are made by lifting, from their numbers")]
#[repr(u8)]
pub(crate) enum Severity {
    #[component(name = "info")]
    Info,
    #[component(name = "warning")]
    Warning,
    #[component(name = "high")]
    High,
    #[component(name = "critical")]
    Critical,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Remembered {
    pub group: u32,
    pub input: u8,
    pub time: i64,
    pub id: String,
    #[component(name = "order-id")]
    pub order_id: Option<String>,
    #[component(name = "customer-id")]
    pub customer_id: Option<String>,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(record)]
pub(crate) struct Window {
    pub group: u32,
    pub start: i64,
    pub end: i64,
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum Subject {
    #[component(name = "row")]
    Row(u32),
    #[component(name = "remembered")]
    Remembered(Remembered),
    #[component(name = "window")]
    Window(Window),
}

#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
pub(crate) enum Value {
    #[component(name = "null")]
    Null,
    #[component(name = "text")]
    Text(String),
    #[component(name = "int64")]
    Int64(i64),
    #[component(name = "float64")]
    Float64(f64),
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "timestamp")]
    Timestamp(i64),
    #[component(name = "decimal")]
    Decimal(i64),
    #[component(name = "texts")]
    Texts(Vec<String>),
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Finding {
    pub subject: Subject,
    pub severity: Severity,
    pub criteria: u32,
    pub context: Vec<Value>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct RuleOutcome {
    pub findings: Vec<Finding>,
    pub emitted: Option<BatchBuf>,
    pub states: StringsBuf,
    pub wakes: Vec<i64>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Rejection {
    pub row: u32,
    pub reason: String,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct TransformOutcome {
    pub rows: BatchBuf,
    pub kept: Vec<u32>,
    pub rejected: Vec<Rejection>,
    pub filtered: Vec<u32>,
    pub nullified: Vec<u64>,
}

#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct CheckResult {
    pub column: Option<String>,
    pub passed: bool,
    pub observed: String,
    pub expected: String,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(enum)]
#[allow(dead_code, reason = "its values are made by lifting, from their numbers")]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug)]
#[component(enum)]
#[allow(dead_code, reason = "its values are made by lifting, from their numbers")]
#[repr(u8)]
pub(crate) enum Pseudonym {
    #[component(name = "short")]
    Short,
    #[component(name = "email")]
    Email,
}
