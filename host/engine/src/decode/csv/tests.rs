//! What becomes of tables, clause by clause.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use proptest::prelude::*;

use super::*;
use crate::decode::tests::chunk;

/// A row: its number, its cells; or its number and why it was refused.
type Told = (i64, Result<Vec<Option<String>>, &'static str>);

fn columns(names: &[&str]) -> Vec<Column> {
    let column = |name: &&str| Column {
        name: name.trim_end_matches('!').to_owned(),
        column_type: ColumnType::Text,
        required: name.ends_with('!'),
        personal: false,
        pseudonym: false,
        json: false,
        fields: Vec::new(),
    };
    names.iter().map(column).collect()
}

fn decode(decoder: &mut CsvDecoder, chunks: &[&[u8]], rows_max: usize) -> Vec<Told> {
    let mut told = Vec::new();
    for bytes in chunks {
        let chunk = chunk(bytes);
        let mut at = 0;
        while at < bytes.len() {
            let decoded = decoder.decode(&chunk, at, rows_max);
            assert!(decoded.consumed > 0 && decoded.origins.len() + decoded.refused.len() <= rows_max);
            at += decoded.consumed;
            let cells = |row| {
                let cell = |column: &ArrayRef| {
                    let column = column.as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                decoded.rows.columns().iter().map(cell).collect()
            };
            told.extend(decoded.origins.iter().enumerate().map(|(row, origin)| (origin.offset, Ok(cells(row)))));
            told.extend(decoded.refused.iter().map(|refused| (refused.origin.offset, Err(refused.reason))));
        }
    }
    told.sort_by_key(|told| told.0);
    told
}

fn check(names: &[&str], file: &str, expected: &[Result<&[&str], &'static str>]) {
    let mut decoder = CsvDecoder::new(&columns(names)).unwrap();
    let told = decode(&mut decoder, &[file.as_bytes()], 3);
    let cell = |text: &&str| Some((*text).to_owned()).filter(|text| text != "∅");
    let expected = expected.iter().map(|row| row.map(|cells| cells.iter().map(cell).collect()));
    let expected: Vec<Told> = (1..).zip(expected).collect();
    assert_eq!(told, expected, "{file:?}");
}

#[test]
fn rows_of_a_plain_file() {
    check(&["b", "a"], "a,b\n1,2\r\n3,4", &[Ok(&["2", "1"]), Ok(&["4", "3"])]);
    check(&["a"], "\u{feff}a\r\nx\r\n", &[Ok(&["x"])]);
    check(&["a"], "\u{feff}\"a\"\nx\n", &[Ok(&["x"])]);
    check(&["a"], "a\n", &[]);
    check(&["a"], "", &[]);
    check(&["a", "b"], "a,b\n\"x, \"\"y\"\"\r\nz\",2\n", &[Ok(&["x, \"y\"\r\nz", "2"])]);
    check(&["a", "b"], "a,b\n5\" pipe,x\n\"q\",y\n", &[Ok(&["5\" pipe", "x"]), Ok(&["q", "y"])]);
    check(&["a"], "a\nx\ry\n", &[Ok(&["x\ry"])]);
}

#[test]
fn headers_match_loosely_and_the_first_counts() {
    check(&["date_creation"], "Date Creation,x\n1,2\n", &[Ok(&["1"])]);
    check(&["DATE_CREATION"], " date-création ,DateCreation\n1,2\n", &[Ok(&["2"])]);
    check(&["É"], "é\n1\n", &[Ok(&["1"])]);
    check(&["a"], "A,a,_a\n1,2,3\n", &[Ok(&["1"])]);
    check(&["a"], "\n  \n\u{a0}\na\n1\n", &[Ok(&["1"])]);
}

#[test]
fn cells_are_trimmed_and_null_tokens_are_null() {
    check(&["a"], "a\n\u{a0} x y \u{2003}\n", &[Ok(&["x y"])]);
    check(
        &["a", "b"],
        "a,b\nN/A, NULL \n\"\",\"None\"\nnull,NaN\nNA,nan\n",
        &[Ok(&["∅", "∅"]), Ok(&["∅", "∅"]), Ok(&["∅", "∅"]), Ok(&["∅", "nan"])],
    );
}

#[test]
fn missing_cells_and_columns_are_null_and_surplus_cells_refused() {
    check(
        &["a", "b"],
        "a,b\n1\n,2\n1,2,3\n1,2,\n",
        &[Ok(&["1", "∅"]), Ok(&["∅", "2"]), Err("surplus_cells"), Err("surplus_cells")],
    );
    let mut decoder = CsvDecoder::new(&columns(&["a", "z"])).unwrap();
    let told = decode(&mut decoder, &[b"a,b\n1,2\n"], 9);
    assert_eq!(told, [(1, Ok(vec![Some("1".to_owned()), None]))]);
    assert_eq!(decoder.missing_columns().collect::<Vec<_>>(), ["z"]);
    check(&["a!"], "a,b\n,2\n1,2\n NA ,3\n", &[Err("missing_field"), Ok(&["1"]), Err("missing_field")]);
}

#[test]
fn blank_lines_are_not_rows() {
    check(&["a", "b"], "a,b\n\n1,2\n \t\r\n\u{3000}\n,\n3,4\n\n", &[Ok(&["1", "2"]), Ok(&["∅", "∅"]), Ok(&["3", "4"])]);
    check(&["a"], "a\n\"\n\nx\"\n", &[Ok(&["x"])]);
}

#[test]
fn a_quote_that_never_closes_is_refused() {
    check(&["a", "b"], "a,b\n1,2\n3,\"4\n5,6\n", &[Ok(&["1", "2"]), Err("unterminated_quote")]);
    check(&["a", "b"], "a,b\n3,\"", &[Err("unterminated_quote")]);
    check(&["a", "b"], "a,b\n3,\"4\"", &[Ok(&["3", "4"])]);
    check(&["a", "b"], "a,b\n3,\"4\"\"", &[Err("unterminated_quote")]);
    check(&["a", "b"], "\"a,b\n1,2\n3,4\n", &[Err("unterminated_quote")]);
}

#[test]
fn invalid_utf8_is_replaced_and_other_types_are_not_text() {
    let mut decoder = CsvDecoder::new(&columns(&["a"])).unwrap();
    let told = decode(&mut decoder, &[b"a\nx\xff\n \xe2\x82\n"], 9);
    let row = |text: &str| Ok(vec![Some(text.to_owned())]);
    assert_eq!(told, [(1, row("x\u{fffd}")), (2, row("\u{fffd}"))]);
    let number = Column { column_type: ColumnType::Int64, ..columns(&["a"]).remove(0) };
    let error = CsvDecoder::new(&[number]).unwrap_err();
    assert_eq!(error.to_string(), "cannot decode csv column a");
}

#[test]
fn spans_are_the_records_without_their_line_break() {
    let bytes = b"a,b\n\n1,\"x\ny\"\r\n2,3,4\n5,\"";
    let decoded = CsvDecoder::new(&columns(&["a"])).unwrap().decode(&chunk(bytes), 0, 9);
    let span = |origin: &super::super::Origin| &bytes[origin.start as usize..origin.end as usize];
    assert_eq!(span(&decoded.origins[0]), b"1,\"x\ny\"");
    let refused: Vec<_> = decoded.refused.iter().map(|refused| (refused.after_row, span(&refused.origin))).collect();
    assert_eq!(refused, [(1, b"2,3,4".as_slice()), (1, b"5,\"".as_slice())]);
    assert_eq!(decoded.consumed, bytes.len());
}

/// Records of the CRM, whole and broken.
const HEADER: &str = include_str!("../../../../../plugins/silver/crm/corpus/header.csv");
const RECORDS: &[u8] = include_bytes!("../../../../../plugins/silver/crm/corpus/kept.csv");

/// What a file under [`HEADER`] holds, by the `csv` crate.
fn reference(body: &[u8]) -> Vec<Told> {
    // It takes a byte-order mark away where a file begins, and what is damaged may begin with one.
    let read = |bytes: &[u8]| -> Vec<::csv::ByteRecord> {
        let mut reader = ::csv::ReaderBuilder::new();
        reader.flexible(true).terminator(::csv::Terminator::Any(b'\n'));
        let file = [HEADER.as_bytes(), bytes].concat();
        reader.from_reader(&*file).into_byte_records().map(Result::unwrap).collect()
    };
    let is_row = |record: &::csv::ByteRecord| {
        let start = record.position().unwrap().byte() as usize - HEADER.len();
        let line = body[start..].split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap();
        !String::from_utf8_lossy(line).trim().is_empty()
    };
    // A quote that is still open swallows whatever is put behind the file.
    let is_closed = read(&[body, b"\nEND"].concat()).last().unwrap() == vec!["END"];
    let records: Vec<_> = read(body).into_iter().filter(is_row).collect();
    let headers = HEADER.split(',').count();
    let told = |(i, record): (usize, &::csv::ByteRecord)| {
        let cell = |i| {
            let text = String::from_utf8_lossy(record.get(i).unwrap_or_default()).trim().to_owned();
            (!["", "NULL", "null", "N/A", "NA", "NaN", "None"].contains(&text.as_str())).then_some(text)
        };
        let row = match record.len() {
            _ if i + 1 == records.len() && !is_closed => Err("unterminated_quote"),
            cells if cells > headers => Err("surplus_cells"),
            _ => Ok((0..headers).map(cell).collect()),
        };
        (i as i64 + 1, row)
    };
    records.iter().enumerate().map(told).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files_are_read_as_the_csv_crate_reads_them(
        first in any::<prop::sample::Index>(),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), 0..4, prop::sample::select(b"\",\n\r x\xff".to_vec())), 0..4),
        rows_max in 1usize..5,
    ) {
        let lines: Vec<_> = RECORDS.split_inclusive(|byte| *byte == b'\n').collect();
        let mut body = lines[first.index(lines.len())..].iter().take(4).copied().collect::<Vec<_>>().concat();
        for (at, kind, byte) in damages {
            let at = at.index(body.len());
            match kind {
                0 => drop(body.remove(at)),
                1 => body.insert(at, byte),
                2 => body[at] = byte,
                _ => body.truncate(at + 1),
            }
            prop_assume!(!body.is_empty());
        }
        let names: Vec<_> = HEADER.trim_end().split(',').collect();
        let file = [HEADER.as_bytes(), &body].concat();
        let told = decode(&mut CsvDecoder::new(&columns(&names)).unwrap(), &[&file], rows_max);
        prop_assert_eq!(told, reference(&body), "{}", String::from_utf8_lossy(&body));
    }
}

proptest! {
    /// What a writer writes by RFC 4180 is read back, wherever the file is cut between records.
    #[test]
    fn what_is_written_is_read(
        rows in proptest::collection::vec(proptest::collection::vec("[a-c \",\n\ré\u{a0}]{0,6}", 3), 0..8),
        crlf in any::<bool>(),
        cut in 0usize..8,
        rows_max in 1usize..5,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let record = |row: &Vec<String>| format!("{}{end}", row.iter().map(quoted).collect::<Vec<_>>().join(","));
        let records: Vec<_> = rows.iter().map(record).collect();
        let (first, second) = records.split_at(cut.min(records.len()));
        let chunks = [format!("x,y,z{end}{}", first.concat()), second.concat()];
        let mut decoder = CsvDecoder::new(&columns(&["z", "x"])).unwrap();
        let told = decode(&mut decoder, &[chunks[0].as_bytes(), chunks[1].as_bytes()], rows_max);
        let cell = |cell: &String| Some(cell.trim().to_owned()).filter(|cell| !cell.is_empty());
        let expected = (1..).zip(rows.iter().map(|row| Ok(vec![cell(&row[2]), cell(&row[0])])));
        prop_assert_eq!(told, expected.collect::<Vec<Told>>());
    }

    /// Every line of any bytes is a row or refused, and chunks that end between records change nothing.
    #[test]
    fn any_bytes_are_accounted_for(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..60), rows_max in 1usize..4) {
        let file = [b"a,b\n".as_slice(), &bytes].concat();
        let told = decode(&mut CsvDecoder::new(&columns(&["a", "b"])).unwrap(), &[&file], rows_max);
        let whole = decode(&mut CsvDecoder::new(&columns(&["a", "b"])).unwrap(), &[&file], usize::MAX);
        prop_assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), (1..=told.len() as i64).collect::<Vec<_>>());
        prop_assert_eq!(told, whole);
    }
}
