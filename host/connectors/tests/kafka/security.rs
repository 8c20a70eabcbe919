//! A cluster that asks who one is, over TLS.

use tamis_connectors::kafka::{
    KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions, Sasl, SaslMechanism,
    Tls,
};
use tamis_engine::{Sink, Source};
use tamis_model::Kind;
use tamis_model::position::Positions;
use tamis_services::kafka::{Options, Security};

use crate::fixture::{OPEN_MAX, SETTINGS, committed, record, start};

#[test]
fn tls_and_passwords() {
    let cluster = start(1, Options { security: Security::SaslTls, ..Options::default() });
    let credentials = cluster.credentials().unwrap();
    let connection = |mechanism, password: &str| KafkaConnection {
        bootstrap_servers: cluster.bootstrap(),
        tls: Some(Tls { ca_file: Some(credentials.authority.clone()), client: None }),
        sasl: Some(Sasl { mechanism, username: credentials.user.to_owned(), password: password.to_owned() }),
    };
    let topic = "secret".to_owned();
    let plain = connection(SaslMechanism::Plain, credentials.password);
    KafkaTopics::new(plain).create(std::slice::from_ref(&topic), SETTINGS).unwrap();
    for (number, mechanism) in
        [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512].into_iter().enumerate()
    {
        let connection = connection(mechanism, credentials.password);
        assert!(!format!("{connection:?}").contains(credentials.password));
        let mut sink = KafkaSink::at_least_once(&connection).unwrap();
        sink.write(&[record(&topic, "1")]).unwrap();
        sink.stage().unwrap();
        assert_eq!(committed(&connection, &topic).len(), number + 1, "{mechanism:?}");
    }
    let check = |connection: KafkaConnection, words: &str| {
        let mut source = KafkaSource::new(connection.clone(), KafkaSourceSettings::new([topic.clone()], "refused"));
        let refused = [
            KafkaTopics::new(connection.clone()).require(std::slice::from_ref(&topic)).unwrap_err(),
            KafkaSink::at_least_once(&connection).unwrap().write(&[record(&topic, "1")]).unwrap_err(),
            KafkaTransactions::open(&connection, "refused", OPEN_MAX).err().expect("nobody is let in"),
            source.open(&Positions::default()).unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
            assert!(error.chain().contains(words), "{}", error.chain());
        }
    };
    check(connection(SaslMechanism::Plain, "guessed"), "Authentication failed");
    let trusting =
        KafkaConnection { tls: Some(Tls::default()), ..connection(SaslMechanism::Plain, credentials.password) };
    check(trusting, "certificate");
}
