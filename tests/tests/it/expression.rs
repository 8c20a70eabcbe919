//! The plugin `expression` in the sandbox: what it accepts fits its stack, and its columns are those of the host.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use serde_json::{Value as Json, json};
use tamis::plugin::test_sandbox;
use tamis_model::rule::{Judged, Keyed, Rule};
use tamis_model::schema::ColumnType;
use tamis_model::strings::StringsBuf;
use tamis_plugin::Plugin;
use tamis_tests::components;

fn plugin() -> Arc<Plugin> {
    components::load(&test_sandbox().unwrap(), "expression")
}

#[test]
fn its_columns_are_those_of_the_published_schemas() {
    let plugin = plugin();
    for topic in tamis::topics::standard().unwrap() {
        for field in &topic.fields {
            let config = json!({"topic": topic.name, "condition": format!("has({})", field.name)}).to_string();
            let configured = plugin.configured(&config);
            let Some(column_type) = field.column_type() else {
                let refused = configured.unwrap_err().chain();
                assert!(refused.contains("is kept as it came"), "{}.{}: {refused}", topic.name, field.name);
                continue;
            };
            let configured = configured.unwrap_or_else(|error| panic!("{}", error.chain()));
            let columns: Vec<_> = configured.manifest().columns().collect();
            assert_eq!(columns.len(), 1, "{}.{}", topic.name, field.name);
            let found = (&columns[0].name, columns[0].column_type, columns[0].required, columns[0].personal);
            assert_eq!(found, (&field.name, column_type, field.required, field.personal), "{}", topic.name);
        }
    }
}

#[test]
fn whatever_it_accepts_fits_its_stack() {
    let plugin = plugin();
    let deepest = |works: Works, make: &dyn Fn(usize) -> String| {
        let accepted = (1..80).rev().map(make).find(|condition| works(&plugin, condition));
        accepted.expect("some depth is accepted").len()
    };
    let around = |open: &'static str, inner: &'static str, close: &'static str| {
        move |n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    type Form = Box<dyn Fn(usize) -> String>;
    let forms: [(&str, Form); 9] = [
        ("!", Box::new(around("!(", "fraud_flag", ")"))),
        ("==", Box::new(around("(true == ", "fraud_flag", ")"))),
        ("? :", Box::new(around("(fraud_flag ? true : ", "fraud_flag", ")"))),
        ("&& ||", Box::new(around("(fraud_flag && (risk_score > 1 || ", "fraud_flag", "))"))),
        ("exists", Box::new(around("[risk_score].exists(x, x > 1 || ", "fraud_flag", ")"))),
        ("arithmetic", Box::new(|n| format!("{}risk_score{} > 1", "math.abs(1 + 2 * (".repeat(n), "))".repeat(n)))),
        ("a sum", Box::new(|n| format!("risk_score{} > 1", " + risk_score".repeat(n)))),
        ("calls", Box::new(|n| format!("{}psp{} == 'a'", "('a' + ".repeat(n), ").lowerAscii()".repeat(n)))),
        ("a pattern", Box::new(|n| format!("psp.matches('{}a{}')", "(a|".repeat(n), ")*".repeat(n)))),
    ];
    for (name, form) in &forms {
        assert!(deepest(works, form) > 40, "{name}");
        if over_counts(&form(1)) != form(1) {
            assert!(deepest(decides, form) > 40, "{name} over counts");
        }
    }
}

/// Three rows with the same value.
fn ones(column_type: ColumnType) -> ArrayRef {
    match column_type {
        ColumnType::Text => Arc::new(StringArray::from(vec!["a"; 3])),
        ColumnType::Int64 => Arc::new(Int64Array::from(vec![1; 3])),
        ColumnType::Boolean => Arc::new(BooleanArray::from(vec![true; 3])),
        other => panic!("no condition here reads {other:?}"),
    }
}

/// Whether a condition is accepted; then it must also work.
type Works = fn(&Arc<Plugin>, &str) -> bool;

/// By itself, and where it says what is counted and guards a count that waits for the watermark.
fn works(plugin: &Arc<Plugin>, condition: &str) -> bool {
    let alone = json!({"topic": "payments", "condition": condition});
    let guarding = counting(format!("({condition}) && n == 3"), condition);
    let started = [&alone, &guarding].map(|config| Started::of(plugin, config));
    let [Some(mut alone), Some(mut guarding)] = started else { return false };
    alone.apply(&[]);
    let kept = guarding.apply(&[0; 3]);
    guarding.advance(&kept);
    // What another condition over the same columns has kept.
    let names: Vec<_> = guarding.names.iter().map(|name| format!("has({name})")).collect();
    let before = Started::of(plugin, &counting(format!("{} && n == 3", names.join(" && ")), condition));
    let kept = before.expect("it has no levels").apply(&[0; 3]);
    guarding.advance(&kept);
    true
}

/// Where counts stand in it for columns, so that it is decided event by event.
fn decides(plugin: &Arc<Plugin>, condition: &str) -> bool {
    let deciding = counting(format!("({}) != (n > 9)", over_counts(condition)), "fraud_flag");
    let Some(mut deciding) = Started::of(plugin, &deciding) else { return false };
    let kept = deciding.apply(&[0; 3]);
    deciding.advance(&kept);
    true
}

fn over_counts(condition: &str) -> String {
    condition.replace("fraud_flag", "(n > 0)").replace("risk_score", "n")
}

fn counting(condition: String, counted: &str) -> Json {
    let counts = json!({"n": {"where": counted, "window_ms": 1}});
    json!({"topic": "payments", "condition": condition, "key": "psp", "counts": counts})
}

/// The rule of a configuration. What is refused is refused by the plugin, with a place.
struct Started {
    config: String,
    rule: Box<dyn Rule>,
    names: Vec<String>,
    types: Vec<ColumnType>,
}

impl Started {
    /// Nothing when the plugin refuses it.
    fn of(plugin: &Arc<Plugin>, config: &Json) -> Option<Self> {
        let config = config.to_string();
        let configured = match plugin.configured(&config) {
            Ok(configured) => configured,
            Err(error) => {
                let refused = error.chain();
                assert!(refused.contains("refused: ") && refused.contains("line 1, column"), "{config}: {refused}");
                return None;
            }
        };
        let (names, types) =
            configured.manifest().columns().map(|column| (column.name.clone(), column.column_type)).unzip();
        let rule = Box::new(configured.rule(&config).unwrap());
        Some(Self { config, rule, names, types })
    }

    /// Three rows at once; the states that come of it.
    fn apply(&mut self, groups: &[u32]) -> StringsBuf {
        let columns: Vec<_> = self.types.iter().map(|column_type| ones(*column_type)).collect();
        let (keys, states): (StringsBuf, StringsBuf) = if groups.is_empty() {
            Default::default()
        } else {
            ([&b"a"[..]].into_iter().collect(), [&b""[..]].into_iter().collect())
        };
        let identities = [(); 3].map(|()| ones(ColumnType::Text));
        let rows = Keyed {
            rows: 3,
            columns: &columns,
            times: &[0; 3],
            groups,
            keys: keys.as_strings(),
            states: states.as_strings(),
            identities: (!groups.is_empty()).then_some(&identities),
            ..Keyed::default()
        };
        self.judged(|rule| rule.apply(&rows)).states
    }

    /// The watermark passes what was kept.
    fn advance(&mut self, states: &StringsBuf) {
        let keys: StringsBuf = [&b"a"[..]].into_iter().collect();
        let due = Keyed { keys: keys.as_strings(), states: states.as_strings(), watermark: 1, ..Keyed::default() };
        let judged = self.judged(|rule| rule.advance(&due));
        assert_eq!(judged.states.as_strings().get(0), b"", "{}", self.config);
    }

    fn judged(&mut self, judge: impl FnOnce(&mut dyn Rule) -> tamis_model::Result<Judged>) -> Judged {
        let judged = judge(&mut *self.rule).unwrap();
        assert!(judged.poisoned.is_empty(), "{}: {:?}", self.config, judged.poisoned);
        judged
    }
}
