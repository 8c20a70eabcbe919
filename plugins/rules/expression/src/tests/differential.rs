//! Compiled conditions against the interpreter of `cel`, which reads them with its other parser.
//!
//! Where both are meant to differ nothing is generated: nulls, arithmetic on decimals or on integers and doubles at once (the interpreter has
//! no decimals and refuses the mixture), and doubles that are infinite. Amounts are doubles to the interpreter, which compares them with
//! literals of two digits as exactly as we do. The elements of lists do not fail: to the interpreter a list with one that does fails as a
//! whole, while we evaluate the elements one by one.

use std::sync::Arc;

use cel::{Context, Env, Program, Value, extensions};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tamis_sdk::rule::RulePlugin;

use super::{config, holds};
use crate::Plugin;

/// What the interpreter says of a row; an error is an error, whatever its words.
fn interpreted(program: &Program, env: &Arc<Env>, row: &Json) -> Result<bool, ()> {
    let mut context = Context::with_env(Arc::clone(env));
    for (name, cell) in row.as_object().unwrap() {
        let value = match cell {
            Json::String(text) => Value::from(text.as_str()),
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) if ["i", "j"].contains(&name.as_str()) => Value::Int(number.as_i64().unwrap()),
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
