//! A cluster that asks who one is, over TLS.

use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaTopics, Sasl, SaslMechanism, Tls};
use tamis_engine::Sink;
use tamis_services::kafka::{Options, Security};

use crate::fixture::{SETTINGS, committed, record, start};

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
    let stranger = KafkaTopics::new(connection(SaslMechanism::Plain, "guessed"));
    stranger.require(&[topic.clone()]).expect_err("nobody comes in with a wrong password");
    let trusting =
        KafkaConnection { tls: Some(Tls::default()), ..connection(SaslMechanism::Plain, credentials.password) };
    KafkaTopics::new(trusting)
        .require(&[topic])
        .expect_err("nobody is asked for a password by whom one does not trust");
}
