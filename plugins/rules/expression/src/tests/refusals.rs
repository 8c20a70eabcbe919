//! What is refused when a rule is configured: where and with which words.

use serde_json::{Value as Json, json};
use tamis_sdk::rule::RulePlugin;

use super::config;
use crate::Plugin;

/// The condition is refused with these words: its place, then why.
fn check(condition: &str, words: &str) {
    let why = Plugin::configure(&config(condition)).map(|_| ()).expect_err(condition);
    let words = format!("setting `condition`, line {words}");
    assert!(why.contains(&words), "{condition}: `{words}` is not in: {why}");
}

#[test]
fn what_cannot_be_read() {
    check("", "1, column 1: the end is not expected here");
    check("i >", "1, column 4: the end is not expected here");
    check("i > 1 &&\n  ", "2, column 3: the end is not expected here");
    check("(i > 1", "1, column 7: the end is not expected here");
    check("i > 1)", "1, column 6: `)` is not expected here");
    check("i = 1", "1, column 3: `=` is not expected here; to compare, write `==`");
    check("i > 1 and f", "1, column 7: `and` is not expected here; write `&&`");
    check("f OR g", "1, column 3: `OR` is not expected here; write `||`");
    check("not f", "1, column 1: `not` is not expected here; write `!`");
    check("f && NOT g", "1, column 6: `NOT` is not expected here; write `!`");
    check("t is null", "1, column 3: `is` is not expected here; to ask for null, write `== null`");
    check("i <> 1", "1, column 4: `<>` is not expected here; write `!=`");
    check("f & g", "1, column 3: unexpected single '&', expected '&&', found `&`");
    check("t == 'abc", "1, column 6: unterminated string literal");
    check("t == 'é' && ü", "1, column 13: unexpected character, found `ü`");
    check("t ==\n\n 'x\\q'", "3, column 2: unable to unescape string");
    check("i > 99999999999999999999", "1, column 5: invalid int literal");
    check("i > 1e999", "1, column 5: invalid double literal");
    check("i ? 1", "1, column 6: the end is not expected here");
    check("for > 1", "1, column 1: reserved identifier: for");
}

#[test]
fn names_that_are_not_known() {
    check("i > 1 && k > 1", "1, column 10: topic things has no column `k`");
    check("f ||\n  T == 'x'", "2, column 3: topic things has no column `T`; did you mean `t`?");
    check("things.t == 'x'", "1, column 7: a column stands by itself, `t`; nothing has fields");
    check("t.lowerascii() == 'x'", "1, column 3: there is no function `lowerascii`; did you mean `lowerAscii`?");
    check("frobnicate(t)", "1, column 1: there is no function `frobnicate`");
    check("math.flor(d)", "1, column 6: there is no function `math.flor`; did you mean `math.floor`?");
    check("[1].exists(x, y == x)", "1, column 15: topic things has no column `y`");
}

#[test]
fn types_that_do_not_fit() {
    check("a > 'x'", "1, column 3: `>` does not compare a decimal and a text");
    check("t == 1", "1, column 3: `==` does not compare a text and an integer");
    check("f > g", "1, column 3: `>` does not compare true or false and true or false");
    check("f == 'true'", "1, column 3: `==` does not compare true or false and a text");
    check("t > null", "1, column 3: `>` does not compare a text and null");
    check("i + 1 == null", "1, column 7: only columns are null or not");
    check("i", "1, column 1: it is an integer, not true or false");
    check("a * 2", "1, column 3: it is a decimal, not true or false");
    check("t", "1, column 1: it is a text, not true or false");
    check("[f]", "1, column 1: it is a list, not true or false");
    check("f && i", "1, column 6: `&&` takes true or false, not an integer");
    check("!t", "1, column 2: `!` takes true or false, not a text");
    check("i ? f : g", "1, column 1: `?` takes true or false, not an integer");
    check("(f ? t : i) == t", "1, column 4: `? :` has a text on one side and an integer on the other");
    check("t + 1 == 'x'", "1, column 3: `+` does not take a text and an integer");
    check("-t == 'x'", "1, column 1: `-` takes a number, not a text");
    check("a % 2 == 1", "1, column 3: `%` is for integers, not for decimals");
    check("d % 2.0 == 1.0", "1, column 3: `%` is for integers, not for doubles");
    check("i in 1", "1, column 3: `in` does not look for an integer in an integer");
    check("i in ['a']", "1, column 3: `==` does not compare an integer and a text");
    check("t in ['a', null]", "1, column 3: a list of `in` holds numbers, texts, true or false, not null");
    check("t.startsWith(1)", "1, column 3: `startsWith` is not called on a text with an integer");
    check("i.contains('1')", "1, column 3: `contains` is not called on an integer with a text");
    check("size(i) > 1", "1, column 1: `size` is not called with an integer");
    check("t[0] == 'x'", "1, column 2: `[ ]` takes a list or a map, not a text");
    check("{'a': 1}[i] == 1", "1, column 9: a map of this kind is not indexed by an integer");
    check("[1, 2.5][i] > 1", "1, column 9: all elements of a list that is indexed have one type");
    check("['a', 1].join() == t", "1, column 10: `join` is not called on a list with nothing");
    check("{'a': 1, 2: 3}[t] == 1", "1, column 10: all keys of a map have one type");
    check("{t: 1}['x'] == 1", "1, column 2: the keys and values of a map are written out");
    check("t.split(',').exists(x, x == 'a')", "1, column 14: only a list that is written out can be gone through");
    check("[1].map(x, x) == [1]", "1, column 5: `map` and `filter` make lists");
    check("[1].exists(i + 1, true)", "1, column 14: argument must be a simple name");
    check("i == 5u", "1, column 6: write 5, not 5u");
    check("t == b'x'", "1, column 6: there are no bytes");
    check("Payment{a: 1} == t", "1, column 1: there are no structures");
    check("has(1)", "1, column 1: only columns are null or not");
}

#[test]
fn what_can_be_computed_at_once_is() {
    check("i > 1 / 0", "1, column 7: division by zero");
    check("i > 9223372036854775807 + 1", "1, column 25: the number is beyond 64 bits");
    check("t.matches('(')", "1, column 3: the pattern cannot be read: unclosed group");
    check("t.matches(u)", "1, column 3: the pattern of `matches` is written out as a text");
    check("t.matches('(?:a{1000}){1000}')", "1, column 3: the pattern is too large");
}

#[test]
fn what_is_too_large() {
    check(&format!("{}f", " ".repeat(5000)), "1, column 4097: it has 5001 bytes, at most 4096 are read");
    check(&format!("{}f{}", "(".repeat(17), ")".repeat(17)), "1, column 17: it is nested deeper than 16 levels");
    check(&format!("{}f", "f ? g : ".repeat(17)), "1, column 131: it is nested deeper than 16 levels");
    check(&format!("{}1 > 0", "1 + ".repeat(40)), "1, column 41: it is nested deeper than 32 levels");
    let pattern = format!("t.matches('{}{}')", "(".repeat(40), ")".repeat(40));
    check(&pattern, "1, column 3: the pattern cannot be read: exceed the maximum number of nested");
    check(&format!("{} == 'a'", ["t"; 14].join(" + ")), "1, column 51: calls stand deeper in calls than 12 levels");
    let list = format!("[{}]", ["1"; 100].join(","));
    check(
        &format!("{list}.exists(x, {list}.exists(y, x == y + i))"),
        "1, column 427: written out it has more than 4096 parts",
    );
    // Each level doubles what the innermost variable stands for.
    let doubling = (0..14).fold("x13 > 1".to_owned(), |inner, n| {
        let n = 13 - n;
        let list = if n == 0 { "i + i".to_owned() } else { format!("x{0} + x{0}", n - 1) };
        format!("[{list}].exists(x{n}, {inner})")
    });
    check(&doubling, "1, column 189: written out it has more than 4096 parts");
    let many = format!("{} in [{}]", ["i"; 20].join(" + "), ["i"; 200].join(", "));
    check(&many, "1, column 79: written out it has more than 4096 parts");
    assert!(Plugin::configure(&config(&vec!["i > 1"; 400].join(" && "))).is_ok());
}

/// The configuration is refused with these words.
fn check_settings(settings: Json, words: &str) {
    let why = Plugin::configure(&settings.to_string()).map(|_| ()).expect_err(words);
    assert!(why.contains(words), "`{words}` is not in: {why}");
}

#[test]
fn settings_that_make_no_sense() {
    let with = |changes: Json| {
        let mut settings = json!({"topic": "payments", "condition": "n > 1", "key": "customer_id", "counts": {"n": {"window_ms": 1000}}});
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        settings
    };
    assert!(Plugin::configure(&with(json!({})).to_string()).is_ok());
    assert!(Plugin::configure(&with(json!({"key": "all"})).to_string()).is_ok());
    let check = |changes: Json, words: &str| check_settings(with(changes), words);
    check(json!({"key": null}), "setting `key`: counts need one");
    check(json!({"counts": {}}), "setting `key`: only counts need one, and there are none");
    check(json!({"key": "customer"}), "setting `key`: topic payments has no column `customer`");
    check(json!({"key": "amount"}), "setting `key`: `amount` is not a column of texts");
    check(json!({"counts": {"n": {"window_ms": 0}}}), "setting `counts.n.window_ms`: 0 is not from 1 to 604800000");
    check(json!({"counts": {"amount": {"window_ms": 1}}}), "setting `counts`: `amount` is a column of payments");
    check(json!({"counts": {"no name": {"window_ms": 1}}}), "setting `counts`: `no name` is no name");
    check(
        json!({"counts": {"n": {"window_ms": 1}, "n_start": {"window_ms": 1}}}),
        "`n_start` is what the start of `n` is called",
    );
    check(
        json!({"counts": {"n": {"window_ms": 1, "where": "status =="}}}),
        "setting `counts.n.where`, line 1, column 10: the end is not expected here",
    );
    check(
        json!({"counts": {"n": {"window_ms": 1, "where": "n > 1"}}}),
        "setting `counts.n.where`, line 1, column 1: topic payments has no column `n`",
    );
    check(json!({"topic": "clicks"}), "setting `topic`: no schema of `clicks` is known; there are those of payments,");
    check(
        json!({"columns": {"amount": {"type": "text"}}}),
        "setting `columns`: `amount` is a column of payments already",
    );
    check(json!({"severity": "mild"}), "unknown variant `mild`");
    check(json!({"window": 1}), "unknown field `window`");
    check(json!({"condition": "created_at == 'x'"}), "`created_at` is kept as it came and is no column");
    check(json!({"condition": "amout > n"}), "topic payments has no column `amout`; did you mean `amount`?");
    let nine: serde_json::Map<_, _> = (0..9).map(|n| (format!("n{n}"), json!({"window_ms": 1}))).collect();
    check(json!({"counts": nine}), "setting `counts`: there are 9, at most 8");
}

#[test]
fn counts_stand_where_they_are_judged() {
    let check = |condition: &str, words: &str| {
        let settings =
            json!({"topic": "payments", "condition": condition, "key": "psp", "counts": {"n": {"window_ms": 1}}});
        check_settings(settings, words);
    };
    check("100 / n > 1", "line 1, column 5: counts are not divided");
    check("string(n) == status", "line 1, column 1: counts stand in comparisons and sums, not in calls");
    check("[1, 2][n] == 1", "line 1, column 7: counts stand in comparisons and sums");
    check("(n > 1 ? 'failed' : 'x') == status", "line 1, column 8: a count cannot choose a text");
    check("n == null", "line 1, column 3: only columns are null or not");
}
