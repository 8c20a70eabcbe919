//! A cluster on loopback: started, killed in parts, started again, and gone with its owner.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::broker::{Broker, PortTaken, settings};
use super::tls::Certificate;
use super::{Kafka, Tool};
use crate::port;
use crate::process::{Watchdog, tail};
use crate::proxy::Proxy;

/// Who may log in where [`Security`] asks for it.
pub const USER: &str = "tamis";
/// Its password.
pub const PASSWORD: &str = "tamis-secret";
/// Starts before it is taken for no accident that a port is in use.
const ATTEMPTS: usize = 3;
/// Ports of a broker.
const PORTS: usize = 3;

/// How a cluster is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What clients must do to come in.
    pub security: Security,
    /// Whether clients come in through a [`Proxy`], one for each broker.
    pub proxied: bool,
    /// Further settings of the brokers, which win over our own.
    pub settings: Vec<(String, String)>,
    /// Further options of their virtual machines, which win too (`-Xmx1g` for a benchmark).
    pub virtual_machine: Vec<String>,
}

/// What clients must do to come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    #[default]
    Plaintext,
    /// Trust the cluster's certificate (`security.protocol=SSL`).
    Tls,
    /// Log in (`SASL_PLAINTEXT`), by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    Sasl,
    /// Both (`SASL_SSL`).
    SaslTls,
}

impl Security {
    /// Whether the cluster has a certificate.
    pub(super) fn has_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    /// Whether clients must log in.
    pub(super) fn has_sasl(self) -> bool {
        matches!(self, Self::Sasl | Self::SaslTls)
    }
}

/// What a client of a cluster with TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The certificate to trust, a PEM file.
    pub authority: PathBuf,
    /// Asked for by [`Security::SaslTls`]; [`USER`] and [`PASSWORD`] in clear too.
    pub user: &'static str,
    /// The same.
    pub password: &'static str,
}

/// Brokers that run on this machine. Brokers are counted from 0, which is also their `node.id`.
#[derive(Debug)]
pub struct Cluster {
    kafka: Kafka,
    options: Options,
    // In the order in which they go: processes, their guard, their files.
    brokers: Vec<Broker>,
    watchdog: Watchdog,
    certificate: Option<Certificate>,
    folder: TempDir,
}

impl Cluster {
    /// Starts brokers and waits until they are ready. Three hold each topic three times; of fewer than three no quorum survives one.
    pub fn start(kafka: &Kafka, brokers: usize, options: Options) -> Result<Self> {
        ensure!([1, 3].contains(&brokers), "a cluster has 1 or 3 brokers, not {brokers}");
        for _ in 1..ATTEMPTS {
            match Self::attempt(kafka, brokers, options.clone()) {
                Err(error) if error.is::<PortTaken>() => {}
                other => return other,
            }
        }
        Self::attempt(kafka, brokers, options)
    }

    fn attempt(kafka: &Kafka, count: usize, options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tamis-kafka-").tempdir().context("cannot make a folder")?;
        let watchdog = Watchdog::new(Some(folder.path()))?;
        let certificate = options.security.has_tls().then(|| Certificate::make(folder.path())).transpose()?;
        let ports = port::free(count * PORTS)?;
        let new = |(id, ports): (usize, &[u16])| {
            let ports = ports.try_into().context("each broker has its ports")?;
            Broker::new(id, ports, folder.path().join(id.to_string()), options.proxied)
        };
        let brokers = ports.chunks(PORTS).enumerate().map(new).collect::<Result<_>>()?;
        let mut cluster = Self { kafka: kafka.clone(), options, brokers, watchdog, certificate, folder };
        cluster.format()?;
        cluster.restart_all()?;
        Ok(cluster)
    }

    /// Makes the storage of all brokers at the same time: each takes a virtual machine to start.
    fn format(&self) -> Result<()> {
        let key_store = self.certificate.as_ref().map(|certificate| certificate.key_store.as_path());
        std::thread::scope(|scope| {
            let format = |broker| {
                let settings = settings(broker, &self.brokers, &self.options, key_store);
                scope.spawn(move || broker.format(&self.kafka, &settings?))
            };
            let formatting: Vec<_> = self.brokers.iter().map(format).collect();
            formatting
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Settings, storage and logs of all brokers.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The addresses for clients, separated by commas.
    pub fn bootstrap(&self) -> String {
        self.brokers.iter().map(Broker::address).collect::<Vec<_>>().join(",")
    }

    /// What a client needs, if the cluster has TLS.
    pub fn credentials(&self) -> Option<Credentials> {
        let certificate = self.certificate.as_ref()?;
        Some(Credentials { authority: certificate.authority.clone(), user: USER, password: PASSWORD })
    }

    /// The proxy before a broker.
    ///
    /// # Panics
    /// When the cluster was started without.
    pub fn proxy(&self, broker: usize) -> &Proxy {
        self.brokers[broker].proxy.as_ref().expect("the cluster was started with proxies")
    }

    /// Runs a stock tool, which comes in neither through the proxies nor with a password.
    pub fn tool(&self, tool: Tool, arguments: &[&str]) -> Result<String> {
        self.tool_with(tool, arguments, "")
    }

    /// The same with input.
    pub fn tool_with(&self, tool: Tool, arguments: &[&str], input: &str) -> Result<String> {
        let addresses: Vec<_> = self.brokers.iter().map(|b| format!("127.0.0.1:{}", b.internal_port)).collect();
        self.kafka.run(tool, &addresses.join(","), arguments, input)
    }

    /// Kills a broker with SIGKILL.
    pub fn kill(&mut self, broker: usize) -> Result<()> {
        self.brokers[broker].kill()?;
        self.watch()
    }

    /// Starts a broker again that was killed or stopped, on the same folder and ports, and waits until it is ready. When that needs
    /// other brokers too, see [`Self::restart_all`].
    pub fn restart(&mut self, broker: usize) -> Result<()> {
        self.brokers[broker].launch(&self.kafka, &self.options)?;
        self.watch()?;
        self.brokers[broker].ready()
    }

    /// Starts all brokers that do not run, and waits until they are ready.
    pub fn restart_all(&mut self) -> Result<()> {
        let down: Vec<_> = self.brokers.iter().filter(|b| b.process().is_none()).map(|b| b.id).collect();
        for broker in &down {
            self.brokers[*broker].launch(&self.kafka, &self.options)?;
            self.watch()?;
        }
        down.iter().try_for_each(|broker| self.brokers[*broker].ready())
    }

    /// Stops all brokers as a service manager would. They can be started again.
    pub fn stop(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(Broker::terminate)?;
        self.brokers.iter_mut().try_for_each(Broker::stopped)?;
        self.watch()
    }

    /// The process of a broker that runs.
    pub fn process(&self, broker: usize) -> Option<u32> {
        self.brokers[broker].process()
    }

    /// What a broker has logged since its last start.
    pub fn log(&self, broker: usize) -> String {
        self.brokers[broker].log()
    }

    /// Waits for as long as all brokers run.
    pub fn watch_over(&mut self) -> Result<()> {
        loop {
            for broker in &mut self.brokers {
                if broker.ended()? {
                    bail!("broker {} ended by itself:\n{}", broker.id, tail(&broker.log()));
                }
            }
            sleep(Duration::from_secs(1));
        }
    }

    fn watch(&mut self) -> Result<()> {
        self.watchdog.watch(self.brokers.iter().filter_map(Broker::process))
    }
}
