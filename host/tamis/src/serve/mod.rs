//! `tamis serve`: streams, schedules and the admin API in one process, until it is told to end.

mod announce;
mod jobs;
mod rules;
mod schedules;
mod streams;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tamis_api::{Api, TlsFiles, TokenRequest, issue_token};
use tamis_catalog::roles::Role;
use tamis_catalog::{Actor, Change};
use tamis_engine::{Clock, Command, SystemClock};
use tamis_model::error::Context;
use tamis_model::{Error, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) use streams::Supervised;

use crate::cli::Serve;
use crate::commands;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;

/// How long the parts may take to end; the whole must be over within ten seconds.
pub(crate) const END_MAX: Duration = Duration::from_secs(8);
/// How long the first token is good for.
const FIRST_TOKEN_DAYS: i64 = 90;

/// The command.
pub fn command(home: Home, serve: &Serve, json: bool) -> Result<ExitCode> {
    let plan = Plan::new(home, None)?;
    let runtime = commands::runtime()?;
    let host = runtime.block_on(Host::open(plan))?;
    let streams = Supervised::start(&host, runtime.handle(), Box::new(Vec::new));
    runtime.block_on(async {
        let served = Served::start(&host, &streams, serve).await?;
        served.say(json)?;
        interrupted().await?;
        served.end().await;
        Ok::<_, Error>(())
    })?;
    let ended = streams.end(END_MAX);
    runtime.block_on(host.catalog().close());
    // What still runs (a nightly run, a backtest) is taken up or closed by the next process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map(|()| ExitCode::SUCCESS)
}

/// The API and the tasks beside it, at work.
pub(crate) struct Served {
    address: SocketAddr,
    scheme: &'static str,
    /// The first token of the home, if this is its first start.
    token: Option<String>,
    shutdown: watch::Sender<bool>,
    /// Tells the backtest at work to end.
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Served {
    /// Opens the socket and starts everything that is not the stream.
    pub async fn start(host: &Host, streams: &Supervised, serve: &Serve) -> Result<Self> {
        let catalog = host.catalog();
        let now = SystemClock.now();
        catalog.close_dead_uploads(now).await?;
        catalog.close_dead_backtests(now).await?;
        let listener = TcpListener::bind(&serve.listen).await.invalid("listen on", &serve.listen)?;
        let address = listener.local_addr().outage("listen on", &serve.listen)?;
        let tls = match (&serve.tls_certificates, &serve.tls_key) {
            (Some(certificates), Some(key)) => Some(TlsFiles { certificates: certificates.clone(), key: key.clone() }),
            _ => None,
        };
        if let Some(files) = &tls {
            // Before anything is said to be served.
            files.check()?;
        }
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!("{address} is not loopback, and without a certificate tokens travel in the clear");
        }
        let nightly_at = host.plan.config.schedules.nightly_at()?;
        // It is shown this once: nothing that can be wrong with a start may come after it.
        let token = first_token(host).await?;
        let (shutdown, ended) = watch::channel(false);
        let (status, handle) = (&streams.status, streams.streams());
        let (context, stop) = (jobs::backtest_context(host), Arc::new(AtomicBool::new(false)));
        let mut tasks = vec![
            tokio::spawn(rules::follow(host.registry.clone(), status.clone(), handle.commands.clone())),
            tokio::spawn(schedules::run(host.clone(), nightly_at)),
            tokio::spawn(jobs::work_off_backtests(host.clone(), Arc::clone(&context), Arc::clone(&stop))),
        ];
        let api = Api {
            registry: host.registry.clone(),
            streams: handle,
            warehouse: Arc::clone(&host.warehouse),
            topics: host.plan.home.topics(),
            jobs: jobs::jobs(host, &context),
            clock: Arc::new(SystemClock),
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let served = tamis_api::serve(listener, tls, tamis_api::router(Arc::new(api)), over(ended));
        tasks.push(tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::error!("{}", error.chain());
            }
        }));
        Ok(Self { address, scheme, token, shutdown, stop, tasks })
    }

    /// Says where it is and, at the first start, with which token one comes in: nobody can find that again.
    pub fn say(&self, json: bool) -> Result<()> {
        let Self { address, scheme, token, .. } = self;
        let text = match (json, token) {
            (true, token) => {
                serde_json::json!({"address": address, "url": format!("{scheme}://{address}"), "token": token})
                    .to_string()
            }
            (false, None) => format!("Tamis is at {scheme}://{address}"),
            (false, Some(token)) => format!(
                "Tamis is at {scheme}://{address}\n\nThe first token, for an administrator; it is shown this once:\n\n    {token}\n"
            ),
        };
        crate::table::print_text(&text).outage("write to", "standard output")
    }

    /// Takes no more requests, and lets those at work end within bounded time.
    pub async fn end(mut self) {
        self.shutdown.send_replace(true);
        self.stop.store(true, Ordering::Relaxed);
        if let Some(api) = self.tasks.pop() {
            // It bounds itself; that it panicked was logged.
            let _ = tokio::time::timeout(END_MAX, api).await;
        }
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn over(mut ended: watch::Receiver<bool>) {
    // A sender that is gone has nothing more to say either.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// The token that lets the first administrator in: when no token was ever made here.
async fn first_token(host: &Host) -> Result<Option<String>> {
    if host.catalog().any_token_exists().await? {
        return Ok(None);
    }
    let (now, actor) = (SystemClock.now(), Actor::system());
    let request = TokenRequest {
        name: "first".to_owned(),
        subject: "admin".to_owned(),
        role: Role::Admin,
        scopes: None,
        expires_at: now + FIRST_TOKEN_DAYS * 86_400_000,
    };
    let change = Change { actor: &actor, why: Some("the first start of this home"), at: now };
    issue_token(host.catalog(), request, &change).await.map(|(_, text)| Some(text))
}

/// Waits for SIGTERM or an interrupt.
pub(crate) async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).outage("wait for", "SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupt = tokio::signal::ctrl_c() => interrupt.outage("wait for", "an interrupt"),
    }
}

/// Tells a stream something; false when it has ended.
fn tell(commands: &Sender<Command>, command: Command) -> bool {
    commands.send(command).is_ok()
}
