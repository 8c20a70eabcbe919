//! Brokers that would make every topic that they are asked for: a host makes none by accident, and says which is missing.

use std::collections::BTreeSet;

use serde_json::Value;
use tamis_connectors::kafka::{KafkaConnection, KafkaTopics};
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use crate::kafka::home;
use crate::process::{Home, Served};

const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
/// Made by a tool that writes to it.
const ACCIDENT: &str = "made-by-accident";

fn topics(cluster: &Cluster) -> BTreeSet<String> {
    let topics = KafkaTopics::new(KafkaConnection::plain(cluster.bootstrap())).overview().unwrap();
    topics.into_iter().map(|topic| topic.topic).collect()
}

/// How a command ends, and what it says.
fn refused(home: &Home, arguments: &[&str]) -> String {
    let output = home.command(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn a_host_says_which_topic_is_missing_and_makes_none() {
    let settings = vec![("auto.create.topics.enable".to_owned(), "true".to_owned())];
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options { settings, ..Options::default() }).unwrap();
    cluster.tool_with(Tool::Producer, &["--topic", ACCIDENT], "1\n").unwrap();
    assert_eq!(topics(&cluster), [ACCIDENT.to_owned()].into(), "the broker makes what is asked for");
    let home = home(&cluster, "at_least_once", &PLUGINS);
    home.configure("[archive]\ntopics = ['payments']\n");
    let check = |arguments: &[&str], topic: &str| {
        let said = refused(&home, arguments);
        assert!(said.contains(topic) && said.contains("`tamis topics create` makes it"), "{arguments:?}: {said}");
        assert_eq!(topics(&cluster), [ACCIDENT.to_owned()].into(), "{arguments:?}");
    };
    check(&["run", "streams", "--until-end"], "alerts_advanced_fraud");
    check(&["run", "streams"], "payments");
    check(&["run", "archive"], "payments");
    let served = Served::start(&home);
    served.until("the streams fail", |served| served.lacks("stream").as_deref() == Some("it is failed"));
    let has_failed = |why: String| why.starts_with("it has failed");
    served.until("the archive fails", |served| served.lacks("archive").is_some_and(has_failed));
    let token = served.token.clone().unwrap();
    let alerts = served.ask(&token, "GET", "/api/v1/operational-alerts", None, None).expect(200);
    let messages: Vec<_> = alerts["items"].as_array().unwrap().iter().map(Value::to_string).collect();
    for words in ["cannot find topic", "cannot read topic payments"] {
        assert!(messages.iter().any(|message| message.contains(words)), "{words}: {messages:?}");
    }
    assert!(served.terminate().0.success());
    assert_eq!(topics(&cluster), [ACCIDENT.to_owned()].into());
}
