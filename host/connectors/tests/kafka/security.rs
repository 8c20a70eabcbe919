//! Clusters that ask who one is, with and without TLS: who is let in, and what those are told who are not.

use std::path::{Path, PathBuf};

use rcgen::CertifiedKey;
use tamis_connectors::kafka::{
    KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions, Sasl, SaslMechanism,
    Tls,
};
use tamis_engine::{Sink, Source};
use tamis_model::Kind;
use tamis_model::position::Positions;
use tamis_services::kafka::{Cluster, Options, PASSWORD, Security, USER};

use crate::fixture::{OPEN_MAX, SETTINGS, committed, record, start};

const MECHANISMS: [SaslMechanism; 3] = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
/// What somebody with a wrong name or a wrong password is told.
const NOT_KNOWN: &str = "Authentication failed";

/// A cluster, and what of it is for those who are let in.
struct Guarded {
    cluster: Cluster,
    topic: String,
    /// So many records are there.
    written: usize,
}

impl Guarded {
    fn start(security: Security, settings: &[(&str, String)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let cluster = start(1, Options { security, settings, ..Options::default() });
        Self { cluster, topic: "guarded".to_owned(), written: 0 }
    }

    fn authority(&self) -> PathBuf {
        self.cluster.credentials().unwrap().authority
    }

    /// A client that comes so is let in, or each part of it is told why not: nothing that a retry could help.
    #[track_caller]
    fn check(&mut self, tls: Option<Tls>, sasl: Option<Sasl>, expected: Result<(), &str>) {
        let connection = KafkaConnection { bootstrap_servers: self.cluster.bootstrap(), tls, sasl };
        assert!(!format!("{connection:?}").contains(PASSWORD));
        match expected {
            Ok(()) => self.uses(&connection),
            Err(words) => self.is_refused(&connection, words),
        }
    }

    #[track_caller]
    fn uses(&mut self, connection: &KafkaConnection) {
        let names = std::slice::from_ref(&self.topic);
        KafkaTopics::new(connection.clone()).create(names, SETTINGS).unwrap();
        let mut sink = KafkaSink::at_least_once(connection).unwrap();
        sink.write(&[record(&self.topic, "1")]).unwrap();
        sink.stage().unwrap();
        drop(KafkaTransactions::open(connection, "let-in", OPEN_MAX).unwrap());
        self.written += 1;
        assert_eq!(committed(connection, &self.topic).len(), self.written, "{connection:?}");
    }

    #[track_caller]
    fn is_refused(&self, connection: &KafkaConnection, words: &str) {
        let names = std::slice::from_ref(&self.topic);
        let source = || {
            let settings = KafkaSourceSettings::new(names.to_vec(), "refused");
            KafkaSource::new(connection.clone(), settings).open(&Positions::default())
        };
        let sink = || KafkaSink::at_least_once(connection)?.write(&[record(&self.topic, "1")]);
        let transactions = || KafkaTransactions::open(connection, "refused", OPEN_MAX).map(drop);
        let topics = || KafkaTopics::new(connection.clone()).require(names);
        // Each takes a while to be told.
        let refused: [&(dyn Fn() -> tamis_model::Result<()> + Sync); 4] = [&source, &sink, &transactions, &topics];
        let refused = std::thread::scope(|scope| {
            let asked = refused.map(|ask| scope.spawn(ask));
            asked.map(|asked| asked.join().unwrap().expect_err("nobody is let in"))
        });
        for error in refused {
            assert_eq!(error.kind(), Kind::Invalid, "{connection:?}: {}", error.chain());
            assert!(error.chain().contains(words), "{connection:?}: {}", error.chain());
        }
    }
}

fn trusting(authority: &Path) -> Option<Tls> {
    Some(Tls { ca_file: Some(authority.to_owned()), client: None })
}

fn log_in(mechanism: SaslMechanism, username: &str, password: &str) -> Option<Sasl> {
    Some(Sasl { mechanism, username: username.to_owned(), password: password.to_owned() })
}

/// A certificate that signs itself, and its key, in a folder.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (file, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&file, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    (file, key)
}

#[test]
fn ssl() {
    let folder = tempfile::tempdir().unwrap();
    let (own, stranger) = (certificate(folder.path(), "own"), certificate(folder.path(), "stranger"));
    let mut guarded = Guarded::start(
        Security::Tls,
        &[
            // Who shows a certificate must be one that is trusted.
            ("listener.name.client.ssl.client.auth", "requested".to_owned()),
            ("listener.name.client.ssl.truststore.type", "PEM".to_owned()),
            ("listener.name.client.ssl.truststore.location", own.0.display().to_string()),
        ],
    );
    let authority = guarded.authority();
    let showing = |client| Some(Tls { ca_file: Some(authority.clone()), client: Some(client) });
    guarded.check(trusting(&authority), None, Ok(()));
    guarded.check(showing(own.clone()), None, Ok(()));
    guarded.check(showing(stranger.clone()), None, Err("certificate"));
    guarded.check(showing((own.0.clone(), stranger.1.clone())), None, Err("key"));
    guarded.check(trusting(&stranger.0), None, Err("certificate verify failed"));
    guarded.check(trusting(&folder.path().join("nowhere.pem")), None, Err("ssl.ca.location"));
    guarded.check(Some(Tls::default()), None, Err("certificate verify failed"));
}

#[test]
fn sasl_plaintext() {
    let mut guarded = Guarded::start(Security::Sasl, &[]);
    for mechanism in MECHANISMS {
        guarded.check(None, log_in(mechanism, USER, PASSWORD), Ok(()));
        guarded.check(None, log_in(mechanism, USER, "guessed"), Err(NOT_KNOWN));
        guarded.check(None, log_in(mechanism, "nobody", PASSWORD), Err(NOT_KNOWN));
    }
}

#[test]
fn sasl_ssl() {
    let mut guarded = Guarded::start(Security::SaslTls, &[]);
    let authority = guarded.authority();
    for mechanism in MECHANISMS {
        guarded.check(trusting(&authority), log_in(mechanism, USER, PASSWORD), Ok(()));
    }
    guarded.check(trusting(&authority), log_in(SaslMechanism::Plain, USER, "guessed"), Err(NOT_KNOWN));
    guarded.check(Some(Tls::default()), log_in(SaslMechanism::Plain, USER, PASSWORD), Err("certificate verify failed"));
}
