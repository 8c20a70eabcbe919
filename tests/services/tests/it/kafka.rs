//! Real brokers: killed and started again, cut off by a proxy, one of three lost, TLS and passwords.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tamis_services::kafka::{Cluster, Credentials, Kafka, Options, Security, Tool};
use tamis_services::proxy::Fault;

use crate::eventually;

fn start(brokers: usize, options: Options) -> Cluster {
    let kafka = Kafka::install().unwrap_or_else(|error| panic!("{error:#}"));
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

    let kafka = Kafka::install().unwrap();
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

/// What a stock tool lists that comes in as a client with these settings.
fn list_topics(cluster: &Cluster, settings: &str) -> anyhow::Result<String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let authority = cluster.credentials().unwrap().authority;
    write!(file, "ssl.truststore.type=PEM\nssl.truststore.location={}\n{settings}", authority.display()).unwrap();
    let arguments = ["--command-config", file.path().to_str().unwrap(), "--list"];
    Kafka::install().unwrap().run(Tool::Topics, &cluster.bootstrap(), &arguments, "")
}

#[test]
fn clients_come_in_over_tls() {
    let cluster = start(1, Options { security: Security::Tls, ..Options::default() });
    create_topic(&cluster, "payments");
    assert_eq!(list_topics(&cluster, "security.protocol=SSL\n").unwrap(), "payments\n");
}

#[test]
fn clients_log_in_over_tls() {
    let cluster = start(1, Options { security: Security::SaslTls, proxied: true, ..Options::default() });
    create_topic(&cluster, "payments");
    let Credentials { user, password, .. } = cluster.credentials().unwrap();
    let check = |mechanism: &str, module: &str, password: &str, expected: Result<&str, &str>| {
        let settings = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nsasl.jaas.config=org.apache.kafka.common.security.\
             {module} required username=\"{user}\" password=\"{password}\";\n"
        );
        match (list_topics(&cluster, &settings), expected) {
            (Ok(listed), Ok(expected)) => assert_eq!(listed, expected, "{mechanism}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{mechanism}: {error:#}"),
            (listed, expected) => panic!("{mechanism}: {listed:?} and not {expected:?}"),
        }
    };
    check("PLAIN", "plain.PlainLoginModule", password, Ok("payments\n"));
    check("SCRAM-SHA-256", "scram.ScramLoginModule", password, Ok("payments\n"));
    check("SCRAM-SHA-512", "scram.ScramLoginModule", password, Ok("payments\n"));
    check("PLAIN", "plain.PlainLoginModule", "wrong", Err("SaslAuthenticationException"));
    check("SCRAM-SHA-512", "scram.ScramLoginModule", "wrong", Err("SaslAuthenticationException"));
}

#[test]
fn what_stops_a_start_is_said() {
    let kafka = Kafka::install().unwrap();
    let check = |settings: &[(&str, &str)], expected: &str| {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let error = Cluster::start(&kafka, 1, Options { settings, ..Options::default() }).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    check(&[("num.partitions", "many")], "Invalid value many for configuration num.partitions");
    check(&[("metrics.recording.level", "ALL")], "broker 0 ended while it started");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let listeners = format!("CLIENT://127.0.0.1:0,INTERNAL://127.0.0.1:0,CONTROLLER://{address}");
    let voters = format!("0@{address}");
    let settings = [("listeners", listeners.as_str()), ("controller.quorum.voters", voters.as_str())];
    check(&settings, "cannot start broker 0: a port of the broker was taken meanwhile");
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
