//! Real brokers: killed and started again, cut off by a proxy, one of three lost, TLS and passwords.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tamis_services::kafka::{Cluster, Kafka, Options, Security, Tool};
use tamis_services::proxy::Fault;

use crate::eventually;

fn start(brokers: usize, options: Options) -> Cluster {
    let kafka = Kafka::installed().unwrap_or_else(|error| panic!("{error:#}"));
    Cluster::start(&kafka, brokers, options).unwrap_or_else(|error| panic!("{error:#}"))
}

fn create_topic(cluster: &Cluster, topic: &str) {
    cluster.tool(Tool::Topics, &["--create", "--topic", topic, "--partitions", "1"]).unwrap();
}

fn produce(cluster: &Cluster, topic: &str, records: &str) {
    let properties = ["--command-property", "acks=all"];
    cluster.tool_with(Tool::Producer, &[&["--topic", topic], &properties[..]].concat(), records).unwrap();
}

/// The first records of a topic.
fn consume(cluster: &Cluster, topic: &str, count: &str) -> String {
    let arguments = ["--topic", topic, "--from-beginning", "--max-messages", count, "--timeout-ms", "60000"];
    cluster.tool(Tool::Consumer, &arguments).unwrap()
}

#[test]
fn records_outlive_a_broker_that_is_killed() {
    let mut cluster = start(1, Options::default());
    create_topic(&cluster, "payments");
    produce(&cluster, "payments", "a\nb\n");
    assert_eq!(consume(&cluster, "payments", "2"), "a\nb\n");
    cluster.kill(0).unwrap();
    assert_eq!(cluster.kill(0).unwrap_err().to_string(), "broker 0 is not running");
    cluster.restart(0).unwrap();
    assert_eq!(cluster.restart(0).unwrap_err().to_string(), "broker 0 is running");
    produce(&cluster, "payments", "c\n");
    assert_eq!(consume(&cluster, "payments", "3"), "a\nb\nc\n");
    cluster.stop().unwrap();
    assert_eq!(cluster.process(0), None);
    cluster.restart_all().unwrap();
    assert_eq!(consume(&cluster, "payments", "3"), "a\nb\nc\n");
}

#[test]
fn a_proxy_that_is_cut_hits_the_clients_that_are_there() {
    let cluster = start(1, Options { proxied: true, ..Options::default() });
    create_topic(&cluster, "payments");
    produce(&cluster, "payments", "a\n");
    let proxy = cluster.proxy(0);
    assert_eq!(proxy.counts().connections, 0, "tools come in beside the proxy");

    let kafka = Kafka::installed().unwrap();
    let through = |count| {
        let arguments = ["--topic", "payments", "--from-beginning", "--max-messages", count, "--timeout-ms", "60000"];
        kafka.run(Tool::Consumer, &cluster.bootstrap(), &arguments, "")
    };
    assert_eq!(through("1").unwrap(), "a\n");
    let before = proxy.counts();
    assert!(before.connections >= 2, "the broker names the proxy as its address: {before:?}");
    assert!(before.requests > 0 && before.answers > 0 && before.hits == 0, "{before:?}");

    let records = std::thread::scope(|scope| {
        // Waits for a second record, which comes only after the cut.
        let consumer = scope.spawn(|| through("2"));
        eventually("a consumer that reads", || proxy.counts().answers > before.answers + 1000);
        proxy.fail(Fault::Cut);
        assert!(proxy.counts().hits > 0);
        eventually("a consumer that comes again", || proxy.counts().refused > 0);
        produce(&cluster, "payments", "b\n");
        proxy.join();
        consumer.join().unwrap()
    });
    assert_eq!(records.unwrap(), "a\nb\n");
}

#[test]
fn a_topic_goes_on_without_one_of_three_brokers() {
    let mut cluster = start(3, Options::default());
    create_topic(&cluster, "payments");
    produce(&cluster, "payments", "a\n");
    let leader = |cluster: &Cluster| -> usize {
        let described = cluster.tool(Tool::Topics, &["--describe", "--topic", "payments"]).unwrap();
        let leader = described.split_once("Leader: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
        leader.parse().unwrap()
    };
    let lost = leader(&cluster);
    cluster.kill(lost).unwrap();
    produce(&cluster, "payments", "b\n");
    assert_ne!(leader(&cluster), lost);
    assert_eq!(consume(&cluster, "payments", "2"), "a\nb\n");
    cluster.restart(lost).unwrap();
    produce(&cluster, "payments", "c\n");
    assert_eq!(consume(&cluster, "payments", "3"), "a\nb\nc\n");
}

#[test]
fn clients_log_in_over_tls() {
    let cluster = start(1, Options { security: Security::SaslTls, ..Options::default() });
    create_topic(&cluster, "payments");
    let credentials = cluster.credentials().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.properties");
    let check = |mechanism: &str, module: &str, password: &str, expected: Result<&str, &str>| {
        let properties = format!(
            "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location={}\nsasl.mechanism={mechanism}\n\
             sasl.jaas.config=org.apache.kafka.common.security.{module} required username=\"{}\" password=\"{password}\";\n",
            credentials.authority.display(),
            credentials.user,
        );
        fs::write(&file, properties).unwrap();
        let arguments = ["--command-config", file.to_str().unwrap(), "--list"];
        let listed = Kafka::installed().unwrap().run(Tool::Topics, &cluster.bootstrap(), &arguments, "");
        match (listed, expected) {
            (Ok(listed), Ok(expected)) => assert_eq!(listed, expected, "{mechanism}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{mechanism}: {error:#}"),
            (listed, expected) => panic!("{mechanism}: {listed:?} and not {expected:?}"),
        }
    };
    check("PLAIN", "plain.PlainLoginModule", credentials.password, Ok("payments\n"));
    check("SCRAM-SHA-256", "scram.ScramLoginModule", credentials.password, Ok("payments\n"));
    check("SCRAM-SHA-512", "scram.ScramLoginModule", credentials.password, Ok("payments\n"));
    check("PLAIN", "plain.PlainLoginModule", "wrong", Err("SaslAuthenticationException"));
}

#[test]
fn a_setting_that_is_wrong_is_shown_from_the_log() {
    let kafka = Kafka::installed().unwrap();
    let options = Options { settings: vec![("num.partitions".into(), "many".into())], ..Options::default() };
    let error = format!("{:#}", Cluster::start(&kafka, 1, options).unwrap_err());
    assert!(error.contains("Invalid value many for configuration num.partitions"), "{error}");
}

/// Set for the process that the test below starts and kills: it tells its brokers, and waits.
const VICTIM: &str = "TAMIS_SERVICES_VICTIM";

#[test]
fn no_broker_outlives_a_process_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        let cluster = start(1, Options::default());
        fs::write(std::env::var_os(VICTIM).unwrap(), cluster.process(0).unwrap().to_string()).unwrap();
        loop {
            std::thread::park();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, temporary) = (folder.path().join("process"), folder.path().join("temporary"));
    fs::create_dir(&temporary).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap());
    victim.args(["--exact", "kafka::no_broker_outlives_a_process_that_is_killed"]);
    victim.env(VICTIM, &file).env("TMPDIR", &temporary).stdout(Stdio::null());
    let mut victim = victim.spawn().unwrap();
    let broker = loop {
        match fs::read_to_string(&file) {
            Ok(process) if !process.is_empty() => break process,
            _ => assert_eq!(victim.try_wait().unwrap(), None, "the process ended before its broker was ready"),
        }
        sleep(Duration::from_millis(50));
    };
    assert!(fs::exists(format!("/proc/{broker}")).unwrap());
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("the end of the broker", || !fs::exists(format!("/proc/{broker}")).unwrap());
    eventually("the end of its files", || temporary.read_dir().unwrap().next().is_none());
}
