//! Transforms: every row is accounted for exactly once, whatever the guest says.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use tamis_model::transform::{Transform, Transformed};
use tamis_plugin::SandboxedTransform;

use crate::fixture::*;

fn transform() -> SandboxedTransform {
    load("hostile-transform", &transform_manifest()).transform("{}").unwrap()
}

fn apply(transform: &mut SandboxedTransform, lines: &[&str]) -> Transformed {
    transform.apply(lines.len(), &[text(lines)]).unwrap()
}

fn lines(transformed: &Transformed) -> Vec<String> {
    transformed.rows.column(0).as_string::<i32>().iter().map(|line| line.unwrap().to_owned()).collect()
}

#[test]
fn rows_are_kept_rejected_and_filtered() {
    let got = apply(&mut transform(), &["a", "reject b", "null", "filter", "éé"]);
    assert_eq!((lines(&got), &got.kept), (vec!["a".into(), "null".into(), "éé".into()], &vec![0, 2, 4]));
    assert_eq!((got.rejected, got.filtered, got.nullified), (vec![(1, "reject b".to_owned())], vec![3], vec![0, 1]));
    let lengths = got.rows.column(1).as_primitive::<Int32Type>();
    assert_eq!((lengths.value(0), lengths.is_null(1), lengths.value(2)), (1, true, 4));
}

#[test]
fn each_breach_is_isolated_and_the_others_are_accounted_for() {
    let mut transform = transform();
    for (line, reason, words) in [
        ("trap", "trap", "unreachable"),
        ("panic", "trap", "I panic on purpose"),
        ("memory", "memory", "its limit is"),
        ("huge_output", "output", "more than"),
        ("refuse", "refused", "I refuse row"),
        ("twice", "contract", "twice among"),
        ("beyond", "contract", "row 4294967295 of"),
        ("reject_lost", "contract", "neither kept nor rejected nor filtered"),
        ("descending", "contract", "output rows, made from"),
        ("more_rows", "contract", "output rows, made from"),
        ("few_counts", "contract", "1 counts of nullified cells for 2 columns"),
        ("wrong_count", "contract", "nullified cells of `line`"),
        ("null_required", "contract", "output column `line`: 1 nulls, but it is required"),
        ("bad_text", "contract", "utf-8"),
    ] {
        let given = ["a", "reject", "null", line, "filter", "b", "reject", "null"];
        let got = apply(&mut transform, &given);
        let [(3, got_reason, message)] = &got.poisoned[..] else { panic!("{line}: {:?}", got.poisoned) };
        assert_eq!(got_reason.name(), reason, "{line}: {message}");
        assert!(message.contains(words), "{line}: `{words}` is not in: {message}");
        assert_eq!(lines(&got), ["a", "null", "b", "null"], "{line}");
        let rejected: Vec<u32> = got.rejected.iter().map(|(row, _)| *row).collect();
        assert_eq!((got.kept, rejected, got.filtered), (vec![0, 2, 5, 7], vec![1, 6], vec![4]), "{line}");
        assert_eq!(got.nullified, [0, 2], "{line}");
    }
}

#[test]
fn nothing_in_nothing_out() {
    let got = apply(&mut transform(), &[]);
    assert_eq!((got.rows.num_rows(), got.rows.num_columns(), got.nullified), (0, 2, vec![0, 0]));
}

#[test]
fn a_transform_that_fails_on_everything_keeps_the_accounting() {
    let got = apply(&mut transform(), &["trap"; 500]);
    assert_eq!(got.poisoned.iter().map(|p| p.0).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    assert_eq!((got.kept.len(), got.rejected.len(), got.filtered.len()), (0, 0, 0));
}
