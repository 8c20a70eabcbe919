//! Which cluster, and how one gets in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use super::errors::{Refusal, Refused};

/// How long a question to the cluster may take.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(10);
/// So long a question waits at first: a client that is not let in gets no answer, and knows by then why.
pub(super) const ADMISSION_MAX: Duration = Duration::from_secs(1);

/// Which cluster, and how one gets in.
#[derive(Clone, Debug, Default)]
pub struct KafkaConnection {
    /// `HOST:PORT` of some of its brokers, with commas between.
    pub bootstrap_servers: String,
    /// Encryption; none = the bytes are in clear.
    pub tls: Option<Tls>,
    /// Who one is; none = nobody asks.
    pub sasl: Option<Sasl>,
}

/// Encryption. The broker's certificate and its host name are always checked.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The authorities that are trusted, PEM; none = the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain and private key of this client, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Who one is.
#[derive(Clone)]
pub struct Sasl {
    /// How that is shown.
    pub mechanism: SaslMechanism,
    /// The name.
    pub username: String,
    /// The password; never shown.
    pub password: String,
}

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password as it is; only to be used with TLS.
    Plain,
    /// A challenge, SHA-256.
    ScramSha256,
    /// A challenge, SHA-512.
    ScramSha512,
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl KafkaConnection {
    /// A cluster that lets everybody in.
    pub fn plain(bootstrap_servers: impl Into<String>) -> Self {
        Self { bootstrap_servers: bootstrap_servers.into(), tls: None, sasl: None }
    }

    /// What every client is made with.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("client.id", "tamis");
        config.set("log.connection.close", "false");
        // A producer's default is another: a topic that is deleted while it is written to would come back, with the brokers' settings.
        config.set("allow.auto.create.topics", "false");
        // After a broker comes back it is found within a second, and not after ten.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(Tls { ca_file, client }) = &self.tls {
            if let Some(file) = ca_file {
                config.set("ssl.ca.location", file.to_string_lossy());
            }
            if let Some((certificates, key)) = client {
                config.set("ssl.certificate.location", certificates.to_string_lossy());
                config.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(Sasl { mechanism, username, password }) = &self.sasl {
            config.set("sasl.mechanism", mechanism.name());
            config.set("sasl.username", username).set("sasl.password", password);
        }
        config
    }
}

impl SaslMechanism {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Takes what clients say beside their answers.
#[derive(Default)]
pub(super) struct Quiet(Refusal);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

impl Refused for Quiet {
    fn refusal(&self) -> &Refusal {
        &self.0
    }
}

/// What fails is said by whoever needed it; the client's own words are for those who look closer.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!("Kafka: {facility}: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::debug!("Kafka: {facility}: {message}"),
        _ => tracing::trace!("Kafka: {facility}: {message}"),
    }
}
