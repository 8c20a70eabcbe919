//! `checks.toml`: which checks run over which tables. Parsed once, when the program starts.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tamis_model::error::Context;
use tamis_model::transform::Check;
use tamis_model::{Error, Result};

use crate::gold;
use crate::plans::{CheckPlan, MakeCheck};

const CHECKS: &str = include_str!("../../checks.toml");

/// The queries of consistency checks, by name.
static QUERIES: [(&str, &str); 4] = [
    ("clients_without_country", include_str!("../../sql/checks/clients_without_country.sql")),
    ("web_events_without_date", include_str!("../../sql/checks/web_events_without_date.sql")),
    ("web_requests_total", include_str!("../../sql/checks/web_requests_total.sql")),
    ("client_totals", include_str!("../../sql/checks/client_totals.sql")),
];

/// Everything that the gate asks.
#[derive(Clone, Debug, Default)]
pub struct GatePlan {
    /// Check plugins, each over one table.
    pub checks: Vec<BoundCheck>,
    /// Queries over several tables.
    pub consistency: Vec<Consistency>,
}

/// A check plugin over the columns of a table.
#[derive(Clone)]
pub struct BoundCheck {
    /// The plugin's name.
    pub name: String,
    /// `completeness`, `volume` or `range`.
    pub category: String,
    /// The table, without its layer.
    pub dataset: String,
    /// The columns that it sees; none when only the number of rows matters.
    pub columns: Vec<String>,
    /// Whether its failure alone stops the publication.
    pub blocking: bool,
    config: Value,
    make: MakeCheck,
}

impl BoundCheck {
    /// Makes the check's code.
    pub fn code(&self) -> Result<Box<dyn Check>> {
        (self.make)(&self.config)
    }
}

impl std::fmt::Debug for BoundCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundCheck").field("name", &self.name).field("dataset", &self.dataset).finish_non_exhaustive()
    }
}

/// A query between tables.
#[derive(Clone, Debug)]
pub struct Consistency {
    /// Its name.
    pub name: String,
    /// The table that it says something about.
    pub dataset: String,
    /// All tables that it reads.
    pub reads: Vec<String>,
    /// How many percent of the whole may be wrong.
    pub percent_max: u8,
    /// Whether its failure alone stops the publication.
    pub blocking: bool,
    pub(super) sql: &'static str,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    check: Vec<WrittenCheck>,
    consistency: Vec<WrittenConsistency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCheck {
    plugin: String,
    category: String,
    dataset: String,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    blocking: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConsistency {
    name: String,
    dataset: String,
    reads: Vec<String>,
    percent_max: u8,
    #[serde(default)]
    blocking: bool,
}

impl GatePlan {
    /// The checks that come with the program, bound to the check plugins there are. A check whose plugin is missing, or
    /// that names a table or column that gold does not have, is an error: nothing may pass unchecked.
    pub fn bind(plugins: &[CheckPlan]) -> Result<Self> {
        Self::parse(CHECKS, plugins)
    }

    fn parse(text: &str, plugins: &[CheckPlan]) -> Result<Self> {
        let file: File = toml::from_str(text).invalid("read", "checks.toml")?;
        let plugins: BTreeMap<_, _> = plugins.iter().map(|plugin| (plugin.name.as_str(), &plugin.make)).collect();
        let checks = file.check.into_iter().map(|check| check.bind(&plugins)).collect::<Result<_>>()?;
        let consistency = file.consistency.into_iter().map(WrittenConsistency::bind).collect::<Result<_>>()?;
        Ok(Self { checks, consistency })
    }
}

impl WrittenCheck {
    fn bind(self, plugins: &BTreeMap<&str, &MakeCheck>) -> Result<BoundCheck> {
        let object = format!("{} to {}", self.plugin, self.dataset);
        let refuse = |why: String| Error::invalid("bind check", &object, why);
        let known = columns_of(&self.dataset).ok_or_else(|| refuse("gold has no such table".to_owned()))?;
        if let Some(column) = self.columns.iter().find(|column| !known.contains(&column.as_str())) {
            return Err(refuse(format!("the table has no column {column}")));
        }
        let make = plugins.get(self.plugin.as_str()).ok_or_else(|| refuse("there is no such plugin".to_owned()))?;
        let mut config = self.config;
        if !self.columns.is_empty() {
            config.insert("columns".to_owned(), self.columns.clone().into());
        }
        let config = Value::Object(config);
        // A configuration that its plugin refuses shows now and not in the night.
        make(&config)?;
        Ok(BoundCheck {
            name: self.plugin,
            category: self.category,
            dataset: self.dataset,
            columns: self.columns,
            blocking: self.blocking,
            config,
            make: MakeCheck::clone(make),
        })
    }
}

impl WrittenConsistency {
    fn bind(self) -> Result<Consistency> {
        let refuse = |why: String| Error::invalid("bind check", &self.name, why);
        if let Some(table) = self.reads.iter().chain([&self.dataset]).find(|table| columns_of(table).is_none()) {
            return Err(refuse(format!("gold has no table {table}")));
        }
        let sql = QUERIES.iter().find(|(name, _)| *name == self.name).map(|(_, sql)| *sql);
        let sql = sql.ok_or_else(|| refuse("it has no query".to_owned()))?;
        Ok(Consistency {
            name: self.name,
            dataset: self.dataset,
            reads: self.reads,
            percent_max: self.percent_max,
            blocking: self.blocking,
            sql,
        })
    }
}

fn columns_of(table: &str) -> Option<Vec<&'static str>> {
    let found = gold::TABLES.iter().find(|gold| gold.dataset.table() == table)?;
    Some(found.dataset.columns.iter().map(|(name, _)| *name).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn plugins(names: &[&str]) -> Vec<CheckPlan> {
        let make: MakeCheck = Arc::new(|config| Err(Error::invalid("configure", "a fake", config.to_string())));
        names.iter().map(|name| CheckPlan { name: (*name).to_owned(), make: Arc::clone(&make) }).collect()
    }

    fn check(check: &str, expected: &str) {
        let text = format!("consistency = []\n[[check]]\ncategory = \"range\"\n{check}");
        let error = GatePlan::parse(&text, &plugins(&["check-range"])).unwrap_err().chain();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_does_not_exist_cannot_be_bound() {
        check("plugin = \"check-range\"\ndataset = \"kpi_moon\"", "gold has no such table");
        check("plugin = \"check-range\"\ndataset = \"dim_pays\"\ncolumns = [\"x\"]", "the table has no column x");
        check("plugin = \"check-moon\"\ndataset = \"dim_pays\"", "there is no such plugin");
        check("plugin = \"check-range\"\ndataset = \"dim_pays\"\nblokking = true", "unknown field `blokking`");
        check("plugin = \"check-range\"\ndataset = \"dim_pays\"\ncolumns = [\"nom\"]", r#"{"columns":["nom"]}"#);
    }
}
