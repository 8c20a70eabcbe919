//! Topics in Kafka instead of the home: `[kafka]` in tamis.toml, and `--kafka`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tamis_connectors::kafka::{KafkaConnection, Sasl, SaslMechanism, Tls, TopicSettings};
use tamis_engine::stream::Commits;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

/// The environment variable with the password.
pub const PASSWORD_VARIABLE: &str = "TAMIS_KAFKA_PASSWORD";

/// `[kafka]` as it was written. Without `bootstrap_servers` topics lie in the home.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// `HOST:PORT` of some brokers, with commas between; `--kafka` comes before it.
    pub bootstrap_servers: Option<String>,
    /// The group under which positions are told.
    pub group: String,
    /// What becomes of output that is written again after a failure.
    pub delivery: Delivery,
    /// Whether the hosts of the group share the streams.
    pub shared: bool,
    /// Such a host of which nothing is heard for so long has died: others take its share over.
    pub session_timeout_ms: u32,
    /// A transaction that is older is aborted by the brokers, whoever's it is.
    pub transaction_timeout_ms: u32,
    /// Whether brokers are talked to in clear, and whether they ask who one is.
    pub security_protocol: SecurityProtocol,
    /// The authorities that are trusted, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// The certificate chain of this client, PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// How the client shows who it is.
    pub sasl_mechanism: Mechanism,
    /// The name.
    pub username: Option<String>,
    /// A file that holds the password; `TAMIS_KAFKA_PASSWORD` comes before it.
    pub password_file: Option<PathBuf>,
    /// Partitions of a topic that `tamis topics create` makes.
    pub partitions: u32,
    /// How many brokers hold each of its records.
    pub replication: u32,
    /// For how many hours, by the records' own times, it keeps them.
    pub retention_hours: u32,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: None,
            group: "tamis".to_owned(),
            delivery: Delivery::AtLeastOnce,
            shared: false,
            session_timeout_ms: 10_000,
            transaction_timeout_ms: 300_000,
            security_protocol: SecurityProtocol::Plaintext,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            sasl_mechanism: Mechanism::ScramSha512,
            username: None,
            password_file: None,
            partitions: 6,
            replication: 1,
            retention_hours: 7 * 24,
        }
    }
}

/// What becomes of output that is written again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is there twice, with the same `alert_id`.
    AtLeastOnce,
    /// Readers of committed records see it once.
    ExactlyOnce,
}

impl Delivery {
    /// How a stream makes its output durable: records of a transaction are those of one checkpoint.
    pub const fn commits(self) -> Commits {
        Commits::Beside { records_at_once: matches!(self, Self::AtLeastOnce) }
    }
}

/// Kafka's `security.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProtocol {
    /// In clear, and everybody may come in.
    Plaintext,
    /// TLS.
    Ssl,
    /// In clear, with a password.
    SaslPlaintext,
    /// TLS, with a password.
    SaslSsl,
}

/// Kafka's `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// The password as it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A challenge.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A challenge.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// Topics in Kafka, ready to be read and written.
#[derive(Clone, Debug)]
pub struct KafkaPlan {
    /// Which cluster.
    pub connection: KafkaConnection,
    /// The group under which positions are told.
    pub group: String,
    /// What becomes of output that is written again after a failure.
    pub delivery: Delivery,
    /// How topics are made.
    pub topics: TopicSettings,
    /// Whether the hosts of the group share the streams.
    pub shared: bool,
    /// Such a host of which nothing is heard for so long has died.
    pub session_max: Duration,
    /// How long the brokers leave a transaction open.
    pub transaction_max: Duration,
}

impl Kafka {
    /// The same with these brokers, if any are named.
    #[must_use]
    pub fn at(self, brokers: Option<String>) -> Self {
        Self { bootstrap_servers: brokers.or(self.bootstrap_servers), ..self }
    }

    /// What is valid of it; none when topics lie in the home. Files are found from `home` on.
    pub fn plan(&self, home: &Path) -> Result<Option<KafkaPlan>> {
        let Some(bootstrap_servers) = self.bootstrap_servers.clone() else { return Ok(None) };
        let refuse = |reason: &str| Err(Error::invalid("use", format!("Kafka at {bootstrap_servers}"), reason));
        if bootstrap_servers.trim().is_empty() {
            return refuse("it has no address");
        }
        if self.partitions == 0 || self.replication == 0 || self.retention_hours == 0 {
            return refuse("partitions, replication and retention_hours of topics are at least 1");
        }
        if self.transaction_timeout_ms < 10_000 {
            return refuse("transaction_timeout_ms is at least 10000");
        }
        let (has_tls, has_sasl) = match self.security_protocol {
            SecurityProtocol::Plaintext => (false, false),
            SecurityProtocol::Ssl => (true, false),
            SecurityProtocol::SaslPlaintext => (false, true),
            SecurityProtocol::SaslSsl => (true, true),
        };
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return refuse("certificate_file and key_file belong together");
        }
        if !has_tls && (self.ca_file.is_some() || self.key_file.is_some()) {
            return refuse("ca_file, certificate_file and key_file need security_protocol ssl or sasl_ssl");
        }
        let sasl = match (&self.username, has_sasl) {
            (None, false) => None,
            (Some(username), true) => Some(self.sasl(username, home)?),
            (Some(_), false) => return refuse("username needs security_protocol sasl_ssl or sasl_plaintext"),
            (None, true) => return refuse("its security_protocol needs username"),
        };
        let tls = if has_tls { Some(self.tls(home)?) } else { None };
        Ok(Some(KafkaPlan {
            connection: KafkaConnection { bootstrap_servers, tls, sasl },
            group: self.group.clone(),
            delivery: self.delivery,
            topics: TopicSettings {
                partitions: self.partitions,
                replication: self.replication,
                retention: Duration::from_secs(u64::from(self.retention_hours) * 3600),
            },
            shared: self.shared,
            session_max: Duration::from_millis(self.session_timeout_ms.into()),
            transaction_max: Duration::from_millis(self.transaction_timeout_ms.into()),
        }))
    }

    /// What the files say is judged where a connection is made; here they are there.
    fn tls(&self, home: &Path) -> Result<Tls> {
        let there = |file: &Option<PathBuf>, operation| {
            let Some(path) = file.as_ref().map(|file| home.join(file)) else { return Ok(None) };
            File::open(&path).invalid(operation, path.display())?;
            Ok(Some(path))
        };
        let certificates = there(&self.certificate_file, "open the certificates for Kafka in")?;
        let key = there(&self.key_file, "open the key of the certificates for Kafka in")?;
        let ca_file = there(&self.ca_file, "open the authorities that Kafka is trusted for in")?;
        Ok(Tls { ca_file, client: certificates.zip(key) })
    }

    fn sasl(&self, username: &str, home: &Path) -> Result<Sasl> {
        let password = match (std::env::var(PASSWORD_VARIABLE), &self.password_file) {
            (Ok(password), _) => password,
            (Err(_), Some(file)) => {
                let path = home.join(file);
                std::fs::read_to_string(&path).invalid("read the password of Kafka from", path.display())?
            }
            (Err(_), None) => {
                let reason = format!("set {PASSWORD_VARIABLE}, or password_file under [kafka]");
                return Err(Error::invalid("find", "the password of Kafka", reason));
            }
        };
        let mechanism = match self.sasl_mechanism {
            Mechanism::Plain => SaslMechanism::Plain,
            Mechanism::ScramSha256 => SaslMechanism::ScramSha256,
            Mechanism::ScramSha512 => SaslMechanism::ScramSha512,
        };
        Ok(Sasl { mechanism, username: username.to_owned(), password: password.trim_end().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let folder = tempfile::tempdir().unwrap();
        for (file, says) in [("secret", "hush\n"), ("ca.pem", ""), ("own.pem", "")] {
            std::fs::write(folder.path().join(file), says).unwrap();
        }
        let written: Kafka = toml::from_str(&format!("bootstrap_servers = \"b:9092\"\n{text}")).unwrap();
        match (written.plan(folder.path()), expected) {
            (Ok(Some(plan)), Ok(())) => {
                let password = plan.connection.sasl.map(|sasl| sasl.password);
                assert!(password.is_none_or(|password| password == "hush"), "{text}");
            }
            (Err(error), Err(words)) => assert!(error.chain().contains(words), "{}", error.chain()),
            (got, expected) => panic!("{got:?} instead of {expected:?} of {text}"),
        }
    }

    #[test]
    fn what_fits_together() {
        check("", Ok(()));
        let sasl = "security_protocol = \"sasl_ssl\"\nsasl_mechanism = \"PLAIN\"";
        check(&format!("{sasl}\nusername = \"u\"\npassword_file = \"secret\""), Ok(()));
        check(
            &format!("{sasl}\nusername = \"u\"\npassword_file = \"nowhere\""),
            Err("cannot read the password of Kafka"),
        );
        check(&format!("{sasl}\nusername = \"u\""), Err("set TAMIS_KAFKA_PASSWORD, or password_file"));
        check(sasl, Err("needs username"));
        check("username = \"u\"", Err("username needs security_protocol sasl_ssl"));
        let ssl = "security_protocol = \"ssl\"\nca_file = \"ca.pem\"";
        check(ssl, Ok(()));
        check(&ssl.replace("ca.pem", "nowhere.pem"), Err("nowhere.pem: No such file"));
        check(&format!("{ssl}\ncertificate_file = \"own.pem\"\nkey_file = \"own.pem\""), Ok(()));
        check(&format!("{ssl}\ncertificate_file = \"own.pem\"\nkey_file = \"no.key\""), Err("no.key: No such file"));
        check("ca_file = \"ca.pem\"", Err("need security_protocol ssl"));
        check("security_protocol = \"ssl\"\nkey_file = \"k\"", Err("belong together"));
        check("delivery = \"exactly_once\"", Ok(()));
        check("partitions = 0", Err("at least 1"));
        check("transaction_timeout_ms = 9999", Err("at least 10000"));
    }

    #[test]
    fn without_an_address_topics_lie_in_the_home() {
        assert!(Kafka::default().plan(Path::new("")).unwrap().is_none());
        let nowhere = Kafka { bootstrap_servers: Some(" ".to_owned()), ..Kafka::default() };
        assert!(nowhere.plan(Path::new("")).unwrap_err().chain().contains("it has no address"));
    }
}
