//! The configuration as it was written: `tamis.toml` in the home folder. `plan` makes of it what is valid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tamis_connectors::influx::InfluxTarget;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use crate::kafka::Kafka;

/// The whole file. Everything is optional; unknown members are refused with their name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A file that holds the pepper of all pseudonyms; `TAMIS_PEPPER` comes before it.
    pub pepper_file: Option<PathBuf>,
    /// How streams are read.
    pub streams: Streams,
    /// Which topics are kept in Bronze, and how.
    pub archive: Archive,
    /// How much memory batch work may use.
    pub batch: Batch,
    /// What `tamis serve` runs by the clock.
    pub schedules: Schedules,
    /// Who watches the host.
    pub metrics: Metrics,
    /// Where aggregates go as a time series.
    pub influx: Option<Influx>,
    /// What is put to work on topics, by rule name. A rule plugin that is not named runs with its defaults.
    pub rules: BTreeMap<String, Rule>,
    /// Topics of the home that are written to.
    pub topics: BTreeMap<String, Topic>,
    /// Where topics are instead of the home.
    pub kafka: Kafka,
}

/// Who watches the host.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `/metrics` answers without a token, `ADDRESS:PORT`; nowhere when absent. At a worker `/healthz` and `/readyz` do, too.
    pub listen: Option<String>,
}

/// Where aggregates go as a time series: a bucket or a database of a server, or a file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Influx {
    /// The server, `https://…`.
    pub url: Option<String>,
    /// The bucket, of servers that speak `/api/v2/write`.
    pub bucket: Option<String>,
    /// Its organisation.
    pub org: Option<String>,
    /// The database, of servers that speak `/write`.
    pub database: Option<String>,
    /// A file that holds the token, or `user:password`.
    pub token_file: Option<PathBuf>,
    /// A file of line protocol instead of a server.
    pub file: Option<PathBuf>,
}

impl Influx {
    /// Where that is; files are those of the home at `root`.
    pub fn target(&self, root: &Path) -> Result<InfluxTarget> {
        let token = self.token_file.as_ref().map(|path| {
            let path = root.join(path);
            let token = std::fs::read_to_string(&path).invalid("read the token of influx from", path.display())?;
            Ok(token.trim().to_owned())
        });
        match self {
            Self { url: Some(url), bucket: Some(bucket), org, database: None, file: None, .. } => {
                Ok(InfluxTarget::bucket(url, org.as_deref(), bucket, token.transpose()?))
            }
            Self { url: Some(url), bucket: None, org: None, database: Some(database), file: None, .. } => {
                Ok(InfluxTarget::database(url, database, token.transpose()?))
            }
            Self { url: None, bucket: None, org: None, database: None, token_file: None, file: Some(file) } => {
                Ok(InfluxTarget::File(root.join(file)))
            }
            _ => {
                let reason = "give url with bucket (and org), url with database, or file";
                Err(Error::invalid("read configuration", "influx", reason))
            }
        }
    }
}

/// How streams are read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Rows of a batch at most.
    pub rows_max: usize,
    /// By how many threads events are decoded and judged, each for a share of the keys; one for each core when absent.
    pub shards: Option<usize>,
    /// Milliseconds between two checkpoints; when absent a second, and 100 where output waits for them (`exactly_once`).
    pub checkpoint_interval_ms: Option<u64>,
    /// Milliseconds for which alerts and aggregates are gathered at most before the lake gets a file of them.
    pub lake_interval_ms: u64,
}

impl Default for Streams {
    fn default() -> Self {
        Self { rows_max: 4_096, shards: None, checkpoint_interval_ms: None, lake_interval_ms: 60_000 }
    }
}

/// Which topics are kept in Bronze, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// The topics; none switches the archive off.
    pub topics: Vec<String>,
    /// Mebibytes that an object has at most, uncompressed.
    pub object_mib_max: u32,
    /// Milliseconds after its first record at which an object is closed at the latest.
    pub interval_ms: u32,
}

impl Default for Archive {
    fn default() -> Self {
        let topics = ["payments", "orders"].map(str::to_owned).to_vec();
        Self { topics, object_mib_max: 128, interval_ms: 3_600_000 }
    }
}

/// How much batch work may use.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Mebibytes that one job's queries may hold before they spill to disk.
    pub memory_mib_max: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { memory_mib_max: 1_024 }
    }
}

/// What runs by the clock.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedules {
    /// When the nightly run begins, `HH:MM`, UTC.
    pub nightly_at: String,
    /// Milliseconds between two runs of silver of topics.
    pub silver_interval_ms: u32,
}

impl Default for Schedules {
    fn default() -> Self {
        Self { nightly_at: "06:30".to_owned(), silver_interval_ms: 3_600_000 }
    }
}

impl Schedules {
    /// The time of day of the nightly run.
    pub fn nightly_at(&self) -> Result<chrono::NaiveTime> {
        chrono::NaiveTime::parse_from_str(&self.nightly_at, "%H:%M").invalid("read nightly_at", &self.nightly_at)
    }
}

/// A plugin put to work.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The plugin; the rule's own name when absent.
    pub plugin: Option<String>,
    /// Whether and how it runs.
    pub mode: Mode,
    /// The topic of its alerts; the plugin's own choice when absent.
    pub route: Option<String>,
    /// Parameters that differ from the plugin's defaults.
    pub config: toml::Table,
}

/// Whether and how a rule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Not at all.
    Disabled,
    /// It judges everything, and its alerts are kept apart.
    Shadow,
    /// Its alerts count.
    #[default]
    Active,
}

/// A topic that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// How many partitions it has.
    pub partitions: u32,
}

impl Config {
    /// Reads `path`; a file that does not exist is an empty configuration.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).outage("read configuration", path.display()),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|error| Error::invalid("read configuration", path.display(), error.to_string().trim_end()))?;
        let Self { archive, schedules, .. } = &config;
        let positive = [
            ("silver_interval_ms", schedules.silver_interval_ms),
            ("interval_ms of the archive", archive.interval_ms),
            ("object_mib_max", archive.object_mib_max),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => {
                Err(Error::invalid("read configuration", path.display(), format!("{name} is at least 1")))
            }
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: std::result::Result<Config, &str>) {
        match (Config::parse(text, Path::new("tamis.toml")), expected) {
            (Ok(config), Ok(expected)) => assert_eq!(config, expected),
            (Err(error), Err(words)) => assert!(error.chain().contains(words), "{}", error.chain()),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn an_interval_takes_its_time() {
        check("[schedules]\nsilver_interval_ms = 0", Err("silver_interval_ms is at least 1"));
        check("[archive]\ninterval_ms = 0", Err("interval_ms of the archive is at least 1"));
        check("[archive]\nobject_mib_max = 0", Err("object_mib_max is at least 1"));
    }

    #[test]
    fn what_can_be_written() {
        check("", Ok(Config::default()));
        let rule = Rule {
            mode: Mode::Shadow,
            config: toml::Table::from_iter([("attempts_max".to_owned(), 5.into())]),
            ..Rule::default()
        };
        check(
            "[rules.card-testing]\nmode = \"shadow\"\nconfig.attempts_max = 5",
            Ok(Config { rules: BTreeMap::from([("card-testing".to_owned(), rule)]), ..Config::default() }),
        );
        check("[streams]\nrows = 5", Err("unknown field `rows`"));
        check("[rules.x]\nmode = \"on\"", Err("unknown variant `on`"));
    }

    #[test]
    fn aggregates_go_to_one_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "secret\n").unwrap();
        let check = |text: &str, expected: std::result::Result<InfluxTarget, &str>| {
            let influx: Influx = toml::from_str(text).unwrap();
            let target = influx.target(folder.path()).map_err(|error| error.chain());
            match expected {
                Ok(expected) => assert_eq!(target.unwrap(), expected),
                Err(words) => assert!(target.is_err_and(|error| error.contains(words)), "{text}"),
            }
        };
        let secret = || Some("secret".to_owned());
        check(
            "url = 'http://h:1/'\nbucket = 'b'\norg = 'o'\ntoken_file = 'token'",
            Ok(InfluxTarget::bucket("http://h:1", Some("o"), "b", secret())),
        );
        check("url = 'http://h:1'\ndatabase = 'd'", Ok(InfluxTarget::database("http://h:1", "d", None)));
        check("file = 'a.lp'", Ok(InfluxTarget::File(folder.path().join("a.lp"))));
        check("url = 'http://h:1'\ndatabase = 'd'\ntoken_file = 'none'", Err("read the token of influx from"));
        for text in
            ["", "url = 'u'", "url = 'u'\nbucket = 'b'\ndatabase = 'd'", "file = 'f'\nurl = 'u'", "bucket = 'b'"]
        {
            check(text, Err("give url with bucket"));
        }
    }
}
