//! The countries of the reference table `pays`: the same file from which plugins read country names.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use tamis_model::error::Context;
use tamis_model::schema::{Column, ColumnType, arrow_schema};
use tamis_model::{Error, Kind, Result};

const FILE: &str = include_str!("../../../sdk/rust/data/pays.csv");

/// ISO 3166-1 alpha-2 code, usual French name, zone (`france`, `ue`, `europe`, `monde`) and membership of the
/// European Union of every assigned country: columns `code`, `nom`, `zone`, `ue`.
pub fn countries() -> Result<RecordBatch> {
    parse(FILE)
}

fn parse(text: &str) -> Result<RecordBatch> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut columns = [const { Vec::<String>::new() }; 3];
    let mut members = Vec::new();
    for (row, record) in reader.deserialize().enumerate() {
        let (code, name, zone, member): (String, String, String, bool) =
            record.map(|Row { code, nom, zone, ue }| (code, nom, zone, ue)).corrupt("read countries, row", row + 1)?;
        for (column, value) in columns.iter_mut().zip([code, name, zone]) {
            column.push(value);
        }
        members.push(member);
    }
    let text = |name: &str| Column {
        name: name.to_owned(),
        column_type: ColumnType::Text,
        required: true,
        personal: false,
        pseudonym: false,
        json: false,
        fields: Vec::new(),
    };
    let member = Column { column_type: ColumnType::Boolean, ..text("ue") };
    let mut arrays: Vec<ArrayRef> = columns.map(|column| Arc::new(StringArray::from(column)) as ArrayRef).to_vec();
    arrays.push(Arc::new(BooleanArray::from(members)));
    RecordBatch::try_new(arrow_schema(&[text("code"), text("nom"), text("zone"), member]), arrays)
        .map_err(|error| Error::new(Kind::Corrupt, "make table of", "countries").because(error))
}

#[derive(serde::Deserialize)]
struct Row {
    code: String,
    nom: String,
    zone: String,
    ue: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow_array::cast::AsArray;

    use super::*;

    #[test]
    fn every_zone_has_its_countries() {
        let table = countries().unwrap();
        let [codes, names, zones] = [0, 1, 2].map(|column| table.column(column).as_string::<i32>().clone());
        let find = |code| codes.iter().position(|c| c == Some(code)).unwrap();
        for (code, name, zone, member) in [
            ("FR", "France", "france", true),
            ("DE", "Allemagne", "ue", true),
            ("CH", "Suisse", "europe", false),
            ("GB", "Royaume-Uni", "europe", false),
            ("CI", "Côte d’Ivoire", "monde", false),
            ("NA", "Namibie", "monde", false),
        ] {
            let row = find(code);
            assert_eq!((names.value(row), zones.value(row)), (name, zone), "{code}");
            assert_eq!(table.column(3).as_boolean().value(row), member, "{code}");
        }
        let mut sizes = BTreeMap::new();
        zones.iter().flatten().for_each(|zone| *sizes.entry(zone).or_insert(0) += 1);
        assert_eq!((table.num_rows(), sizes["france"], sizes["ue"]), (249, 1, 26));
    }

    #[test]
    fn a_broken_row_is_named() {
        let error = parse("code,nom,zone,ue,alias\nFR,France,france,oui,\n").unwrap_err();
        assert!(error.to_string().ends_with("row 1"), "{error}");
    }
}
