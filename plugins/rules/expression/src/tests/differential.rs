//! Compiled conditions against the interpreter of `cel`, which reads them with its other parser.
//!
//! Where both are meant to differ nothing is generated: nulls, arithmetic on decimals or on integers and doubles at once (the interpreter has
//! no decimals and refuses the mixture), and doubles that are infinite. Amounts are doubles to the interpreter, which compares them with
//! literals of two digits as exactly as we do. The elements of lists do not fail: to the interpreter a list with one that does fails as a
//! whole, while we evaluate the elements one by one.
//!
//! To the interpreter counts are integers that it is told; what it cannot evaluate with them does not fire, and what is refused it can evaluate
//! with no counts.

use std::sync::Arc;

use cel::{Context, Env, Program, Value, extensions};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tamis_sdk::rule::RulePlugin;
use tamis_sdk::testing::{Record, Run};

use super::guards::refusal;
use super::{config, holds};
use crate::Plugin;

/// What the interpreter says of a row; an error is an error, whatever its words.
fn interpreted(program: &Program, env: &Arc<Env>, row: &Json) -> Result<bool, ()> {
    let mut context = Context::with_env(Arc::clone(env));
    for (name, cell) in row.as_object().unwrap() {
        let value = match cell {
            Json::String(text) => Value::from(text.as_str()),
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) if ["i", "j", "n", "m"].contains(&name.as_str()) => {
                Value::Int(number.as_i64().unwrap())
            }
            number => Value::Float(number.as_f64().unwrap()),
        };
        context.add_variable_from_value(name.as_str(), value);
    }
    match program.execute(&context) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(other) => panic!("{other:?}"),
        Err(_) => Err(()),
    }
}

fn pick(choices: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(choices).prop_map(str::to_owned)
}

const RELATIONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];

/// Integers; of doubles and texts there are less.
fn integer(truth: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        pick(&["i", "j", "size(t)", "u.size()"]),
        (-3..60i64).prop_map(|n| n.to_string()),
        pick(&["9223372036854775807", "-9223372036854775808", "0x1F"])
    ];
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let truth = truth.clone();
        prop_oneof![
            4 => (inner.clone(), pick(&["+", "-", "*", "/", "%"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (truth, inner.clone(), inner).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
        ]
    })
    .boxed()
}

fn double() -> BoxedStrategy<String> {
    let leaf = prop_oneof![pick(&["d", "e", "double(i)"]), (-40..40i64).prop_map(|n| format!("{:.2}", n as f64 / 4.0))];
    let joined = |inner: BoxedStrategy<String>| {
        (inner.clone(), pick(&["+", "-", "*"]), inner).prop_map(|(a, op, b)| format!("({a} {op} {b})"))
    };
    leaf.prop_recursive(2, 4, 2, joined).boxed()
}

fn text() -> BoxedStrategy<String> {
    let leaf = pick(&["t", "u", "''", "'a'", "'ab'", "\"é\"", "r'a\\b'", "'a\\nb'"]);
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            inner.clone().prop_map(|a| format!("{a}.upperAscii()")),
            (inner, 0..3u8).prop_map(|(a, n)| format!("{a}.substring({n})")),
        ]
    })
    .boxed()
}

/// Amounts are compared with each other, and with literals of at most two digits.
fn amount() -> impl Strategy<Value = String> {
    prop_oneof![
        pick(&["a", "b"]),
        (-200..200i64).prop_map(|n| format!("{:.2}", n as f64 / 100.0)),
        (-3..3i64).prop_map(|n| n.to_string())
    ]
}

/// An integer with the counts `n` and `m`, and with maps that do not have every text.
fn counted(truth: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => pick(&["n", "m"]),
        1 => (0..8i64).prop_map(|n| n.to_string()),
        1 => pick(&["i", "7 / i", "60 / (i + j)", "i * j", "{'a': 1, 'ab': 2}[t]", "{'': 2, 'x': 3}[u]", "int(t)"]),
    ];
    leaf.prop_recursive(2, 6, 2, move |inner| {
        let truth = truth.clone();
        prop_oneof![
            2 => (inner.clone(), pick(&["+", "-", "*"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (truth, inner.clone(), inner).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
        ]
    })
    .boxed()
}

/// A condition with counts, and with parts that guard others.
fn counted_truth() -> BoxedStrategy<String> {
    let guards = pick(&[
        "i != 0",
        "i + j != 0",
        "t in ['a', 'ab']",
        "u in {'': 1, 'x': 2}",
        "f",
        "true",
        "7 / i > 1",
        "{'x': true}[u]",
    ]);
    let compared = |inner: BoxedStrategy<String>| {
        (counted(inner.clone()), pick(RELATIONS), counted(inner)).prop_map(|(a, op, b)| format!("{a} {op} {b}"))
    };
    let leaf = prop_oneof![2 => guards.clone(), 3 => compared(guards.boxed()), 1 => truth()];
    leaf.prop_recursive(3, 16, 3, move |inner| {
        prop_oneof![
            4 => (inner.clone(), pick(&["&&", "||"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
            1 => (inner.clone(), pick(&["==", "!="]), inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
            2 => compared(inner.clone().boxed()),
            1 => counted(inner.boxed()).prop_map(|a| format!("{a} in [1, 2, 5]")),
        ]
    })
    .boxed()
}

fn truth() -> BoxedStrategy<String> {
    pick(&["f", "g", "true", "false", "i > 0", "t == u"])
        .prop_recursive(4, 24, 3, |inner| {
            let integer = integer(inner.clone().boxed());
            let number = prop_oneof![integer.clone(), double()];
            let relation = || pick(RELATIONS);
            let compared = |left: BoxedStrategy<String>, right: BoxedStrategy<String>| {
                (left, relation(), right).prop_map(|(a, op, b)| format!("{a} {op} {b}")).boxed()
            };
            prop_oneof![
                4 => (inner.clone(), pick(&["&&", "||"]), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
                1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a} && {b} && {c} || {a}")),
                1 => inner.clone().prop_map(|a| format!("!({a})")),
                1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c} ? {a} : {b})")),
                1 => (inner.clone(), pick(&["==", "!="]), inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} ({b})")),
                3 => compared(number.boxed(), prop_oneof![integer.clone(), double()].boxed()),
                2 => compared(amount().boxed(), pick(&["a", "b"]).boxed()),
                1 => compared(pick(&["a", "b"]).boxed(), amount().boxed()),
                2 => compared(text(), text()),
                1 => (text(), pick(&["startsWith", "endsWith", "contains"]), text()).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
                1 => text().prop_map(|a| format!("{a} in [t, u, 'x']")),
                1 => integer.clone().prop_map(|a| format!("{a} in [1, j, 7]")),
                1 => integer.clone().prop_map(|a| format!("{a} in [1, 2, 30, -1]")),
                1 => (integer, pick(&["exists", "all", "exists_one"]), inner)
                    .prop_map(|(a, f, b)| format!("[1, i, 3].{f}(x, x > {a} && {b} || x == j)")),
                1 => text().prop_map(|a| format!("{{'a': 1, 'ab': 2}}[{a}] > 1")),
            ]
        })
        .boxed()
}

fn row() -> impl Strategy<Value = Json> {
    let text = || proptest::sample::select(vec!["", "a", "ab", "é", "AB", "x"]);
    let integer = || prop_oneof![-3..60i64, Just(i64::MAX), Just(i64::MIN)];
    let amount = || (-200..200i64).prop_map(|n| n as f64 / 100.0);
    let double = || (-40..40i64).prop_map(|n| n as f64 / 4.0);
    (text(), text(), integer(), integer(), amount(), amount(), double(), double(), any::<bool>(), any::<bool>()).prop_map(
        |(t, u, i, j, a, b, d, e, f, g)| json!({"t": t, "u": u, "i": i, "j": j, "a": a, "b": b, "d": d, "e": e, "f": f, "g": g}),
    )
}

/// A row as an event; amounts in cents.
fn record(index: usize, row: &Json) -> Record {
    row.as_object().unwrap().iter().fold(Record::new(index as i64, index), |record, (name, cell)| {
        let cents = |cell: &Json| json!((cell.as_f64().unwrap() * 100.0).round() as i64);
        record.with(name, if ["a", "b"].contains(&name.as_str()) { cents(cell) } else { cell.clone() })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn compiled_conditions_hold_where_interpreted_ones_do(condition in truth(), rows in proptest::collection::vec(row(), 1..20)) {
        // What can be computed at once and fails is refused; for the interpreter it fails with each row that needs it.
        prop_assume!(Plugin::configure(&config(&condition)).is_ok());
        let mut env = Env::stdlib();
        env.add_extension(extensions::strings).unwrap();
        let (program, env) = (Program::compile(&condition).unwrap(), Arc::new(env));
        let expected: Vec<_> = rows.iter().map(|row| interpreted(&program, &env, row)).collect();
        let mut whole = Vec::new();
        for (row, expected) in rows.iter().zip(&expected) {
            let found = holds(&condition, std::slice::from_ref(row)).map(|holds| holds[0]).map_err(|_| ());
            prop_assert_eq!(found, *expected, "{} of {}", condition, row);
            if let Ok(expected) = expected {
                whole.push((row.clone(), *expected));
            }
        }
        let (rows, expected): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
        prop_assert_eq!(holds(&condition, &rows), Ok(expected), "{}", condition);
    }

    #[test]
    fn what_is_counted_fires_where_the_interpreter_says_so(condition in counted_truth(), rows in proptest::collection::vec(row(), 1..14), batch in 1..6usize) {
        let mut config: Json = serde_json::from_str(&config(&condition)).unwrap();
        config["key"] = json!("all");
        config["counts"] = json!({"n": {"window_ms": 6}, "m": {"where": "f", "window_ms": 9}});
        prop_assume!(Plugin::configure(&config.to_string()).is_ok());
        let mut env = Env::stdlib();
        env.add_extension(extensions::strings).unwrap();
        let (program, env) = (Program::compile(&condition).unwrap(), Arc::new(env));
        let with = |row: &Json, n: usize, m: usize| {
            let mut row = row.clone();
            (row["n"], row["m"]) = (json!(n), json!(m));
            interpreted(&program, &env, &row)
        };
        let (refused, counted): (Vec<Json>, Vec<Json>) = rows.into_iter().partition(|row| refusal(&config, row).is_some());
        for row in &refused {
            let evaluated = (0..10).flat_map(|n| (0..10).map(move |m| (n, m))).find(|(n, m)| with(row, *n, *m).is_ok());
            prop_assert_eq!(evaluated, None, "{} refuses {}", condition, row);
        }
        // They come in order, a millisecond apart.
        let mut expected = Vec::new();
        for (index, row) in counted.iter().enumerate() {
            let window = |length: usize| &counted[(index + 1).saturating_sub(length)..=index];
            let (n, m) = (window(6).len(), window(9).iter().filter(|row| row["f"] == true).count());
            if with(row, n, m) == Ok(true) {
                expected.push(index);
            }
        }
        let records: Vec<_> = counted.iter().enumerate().map(|(index, row)| record(index, row)).collect();
        let fired = Run::<Plugin>::new(&config.to_string()).all(&records, batch);
        let mut found: Vec<usize> = fired.iter().map(|fired| fired.id.parse().unwrap()).collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected, "{} of {:?}", condition, counted);
    }

    #[test]
    fn any_text_is_accepted_or_refused(text in tokens()) {
        drop(Plugin::configure(&config(&text)));
    }
}

/// Texts of the words of the language, and of others.
fn tokens() -> impl Strategy<Value = String> {
    let words = pick(&[
        "i",
        "a",
        "t",
        "f",
        "1",
        "1.5",
        "'x'",
        "\"é\"",
        "ü",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "?",
        ":",
        ",",
        ".",
        "in",
        "has",
        "null",
        "true",
        ".exists(x,",
        "size",
        "math.",
        ".matches(",
        "=",
        "&",
        "r'",
        "b'a'",
        "0x",
        "5u",
        "//",
        "\n",
        "`",
        "'",
        "\\",
        "@",
        "1e",
        "for",
        "\u{2028}",
    ]);
    prop_oneof![
        proptest::collection::vec(words, 0..24).prop_map(|words| words.join(" ")),
        any::<String>(),
        "[ -~]{0,40}",
    ]
}
