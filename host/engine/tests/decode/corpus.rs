//! Known record lines, most of them damaged, with what must become of each: `tests/corpus/records.tsv`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::differential::{Told, chunk, columns, decoded, decoders, expected, schemas};
use crate::reference::Outcome;

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Case<'a> {
    name: &'a str,
    outcome: &'a str,
    offset: Option<i64>,
    time: Option<i64>,
    member: &'a str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let case = |line| {
        let cells: Vec<_> = str::split(line, '\t').collect();
        let [name, outcome, offset, time, member] = cells[..] else { panic!("five cells: {line}") };
        Case { name, outcome, offset: offset.parse().ok(), time: time.parse().ok(), member }
    };
    table.lines().filter(|line| !line.starts_with('#')).map(case).collect()
}

/// What was told of a line, as the table writes it.
fn told<'a>(name: &'a str, told: &'a [Told]) -> Case<'a> {
    match told {
        [(Outcome::Row { offset, time, .. }, ..)] => {
            Case { name, outcome: "accepted", offset: Some(*offset), time: Some(*time), member: "" }
        }
        [(Outcome::Refused { offset, time, reason, field }, ..)] => {
            Case { name, outcome: reason, offset: *offset, time: *time, member: field }
        }
        other => panic!("{name}: one line gives one row or refusal, not {other:?}"),
    }
}

#[test]
fn each_line_becomes_what_the_table_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let table = fs::read_to_string(folder.join("records.tsv")).unwrap();
    let cases = cases(&table);
    let [schema, ..] = schemas();
    let columns = columns(&schema);
    for case in &cases {
        let line = fs::read(folder.join("records").join(format!("{}.jsonl", case.name))).unwrap();
        assert_eq!(told(case.name, &expected(&schema, &columns, &line)), *case, "the reference");
        for mut decoder in decoders(&schema, &columns) {
            assert_eq!(told(case.name, &decoded(&mut decoder, &chunk(&line), 1)), *case);
        }
    }
    let listed: BTreeSet<_> = cases.iter().map(|case| format!("{}.jsonl", case.name)).collect();
    let entries = fs::read_dir(folder.join("records")).unwrap();
    let there: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, listed, "the table lists every line of the folder");
    assert!(cases.len() >= 60);
}
