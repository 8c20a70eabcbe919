//! One broker: its settings, its process.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::cluster::{PASSWORD, Security, USER};
use super::{Kafka, Options, tls};
use crate::process::{LOOK, tail, terminate, text_of, wait};
use crate::proxy::Proxy;

/// How long a start may take; a machine that builds at the same time is slow.
const START: Duration = Duration::from_secs(120);
/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(60);
const FORMAT: Duration = Duration::from_secs(60);
const HEAP_MB: u32 = 256;
const CLUSTER_ID: &str = "tamis-tests-cluster-00";
/// The last line of the log of a start, written when other brokers and clients may come.
const READY: &str = "Kafka Server started";

/// A broker that is also a controller.
#[derive(Debug)]
pub struct Broker {
    pub id: usize,
    /// Where clients come in.
    pub client_port: u16,
    /// Where other brokers and the tools come in: never through the proxy, without passwords.
    pub internal_port: u16,
    pub controller_port: u16,
    pub proxy: Option<Proxy>,
    /// Storage, settings and logs.
    pub folder: PathBuf,
    process: Option<Child>,
    /// How often it was launched: each time has its own log.
    launches: u32,
}

/// Another program took a port between its choice and the start.
#[derive(Debug)]
pub struct PortTaken;

impl std::fmt::Display for PortTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a port of the broker was taken meanwhile")
    }
}

impl std::error::Error for PortTaken {}

impl Broker {
    /// One that does not run yet. `ports` are those for clients, brokers and controllers.
    pub fn new(id: usize, ports: [u16; 3], folder: PathBuf, proxied: bool) -> Result<Self> {
        let [client_port, internal_port, controller_port] = ports;
        let proxy = proxied.then(|| Proxy::start(([127, 0, 0, 1], client_port).into())).transpose()?;
        Ok(Self { id, client_port, internal_port, controller_port, proxy, folder, process: None, launches: 0 })
    }

    /// The address that clients are told.
    pub fn address(&self) -> String {
        let port = self.proxy.as_ref().map_or(self.client_port, Proxy::port);
        format!("127.0.0.1:{port}")
    }

    /// Writes its settings and makes its storage.
    pub fn format(&self, kafka: &Kafka, settings: &str) -> Result<()> {
        let formatting = || format!("cannot format the storage of broker {}", self.id);
        fs::create_dir_all(&self.folder).with_context(formatting)?;
        fs::write(self.settings_path(), settings).with_context(formatting)?;
        let mut java = kafka.java(HEAP_MB);
        java.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(self.settings_path());
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            java.args(["--add-scram", &format!("{mechanism}=[name={USER},password={PASSWORD}]")]);
        }
        text_of(java, "", FORMAT).with_context(formatting)?;
        Ok(())
    }

    /// Starts its process, which takes a while to be ready.
    pub fn launch(&mut self, kafka: &Kafka, options: &Options) -> Result<()> {
        ensure!(self.process.is_none(), "broker {} is running", self.id);
        self.launches += 1;
        let launching = || format!("cannot launch broker {}", self.id);
        let log = File::create(self.log_path()).with_context(launching)?;
        let mut java = kafka.java(HEAP_MB);
        java.args(&options.virtual_machine);
        java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "kafka.Kafka"]).arg(self.settings_path());
        java.stdout(log.try_clone().with_context(launching)?).stderr(log).current_dir(&self.folder).process_group(0);
        self.process = Some(java.spawn().with_context(launching)?);
        Ok(())
    }

    /// Waits until it is ready.
    pub fn ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let ended = self.ended()?;
            let log = self.log();
            if log.contains(READY) {
                return Ok(());
            }
            if log.contains("Address already in use") {
                return Err(PortTaken).with_context(|| format!("cannot start broker {}", self.id));
            }
            if ended || Instant::now() > deadline {
                let what =
                    if ended { "ended while it started".to_owned() } else { format!("is not ready after {START:?}") };
                bail!("broker {} {what}:\n{}", self.id, tail(&log));
            }
            sleep(LOOK);
        }
    }

    /// The process, while it has not been stopped or killed from here.
    pub fn process(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Whether its process has ended by itself.
    pub fn ended(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else { return Ok(false) };
        let status = process.try_wait().with_context(|| format!("cannot look at broker {}", self.id))?;
        Ok(status.is_some())
    }

    /// Kills its process, which has no chance to write anything.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { bail!("broker {} is not running", self.id) };
        let killing = || format!("cannot kill broker {}", self.id);
        process.kill().with_context(killing)?;
        process.wait().with_context(killing)?;
        Ok(())
    }

    /// Asks its process to stop, if it runs.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), terminate)
    }

    /// Waits until it has stopped; kills it when it does not.
    pub fn stopped(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = wait(&mut process, STOP).with_context(|| format!("cannot wait for broker {}", self.id))?;
        ensure!(status.is_some(), "broker {} did not stop within {STOP:?}:\n{}", self.id, tail(&self.log()));
        Ok(())
    }

    /// What it has said since it was launched.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.launches))
    }

    fn settings_path(&self) -> PathBuf {
        self.folder.join("server.properties")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.kill();
        }
    }
}

/// The settings of a broker among `brokers`.
pub fn settings(broker: &Broker, brokers: &[Broker], options: &Options, key_store: Option<&Path>) -> Result<String> {
    let voters: Vec<_> = brokers.iter().map(|b| format!("{}@127.0.0.1:{}", b.id, b.controller_port)).collect();
    let (id, copies) = (broker.id, brokers.len());
    let in_sync = copies.min(2);
    let protocol = match options.security {
        Security::Plaintext => "PLAINTEXT",
        Security::Tls => "SSL",
        Security::Sasl => "SASL_PLAINTEXT",
        Security::SaslTls => "SASL_SSL",
    };
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=CLIENT://127.0.0.1:{client},INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://{advertised},INTERNAL://127.0.0.1:{internal}
listener.security.protocol.map=CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
log.dirs={storage}
auto.create.topics.enable=false
num.partitions=6
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=16777216
",
        voters = voters.join(","),
        client = broker.client_port,
        internal = broker.internal_port,
        controller = broker.controller_port,
        advertised = broker.address(),
        storage = broker.folder.join("storage").display(),
    );
    if let Some(key_store) = key_store {
        let path = key_store.display();
        write!(
            text,
            "listener.name.client.ssl.keystore.type=PKCS12
listener.name.client.ssl.keystore.location={path}
listener.name.client.ssl.keystore.password={password}
listener.name.client.ssl.key.password={password}
",
            password = tls::PASSWORD
        )?;
    }
    if options.security.has_sasl() {
        write!(
            text,
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.client.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"
        )?;
    }
    for (name, value) in &options.settings {
        writeln!(text, "{name}={value}")?;
    }
    Ok(text)
}
