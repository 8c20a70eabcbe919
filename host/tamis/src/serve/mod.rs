//! `tamis serve`: streams, schedules and the admin API in one process, until it is told to end.

mod announce;
mod beside;
mod decisions;
mod first_token;
mod jobs;
mod rules;
mod schedules;
mod socket;
mod streams;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tamis_api::{Api, Desk};
use tamis_connectors::ProcessLock;
use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;
use tamis_model::error::Context;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

pub(crate) use socket::{Socket, listen};

use crate::cli::Serve;
use crate::commands;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::signals::Signals;
use beside::{Beside, Working};
use streams::{Also, Supervised};

/// How long the parts may take to end, all at once; with what is closed behind them it must be over within ten seconds.
const END_MAX: Duration = Duration::from_secs(8);
/// How long statements that are at work may take then.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The command.
pub fn command(home: Home, kafka: Option<String>, serve: Serve, json: bool) -> Result<ExitCode> {
    let runtime = commands::runtime()?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    // In a task, as plugins are compiled: that does not wait for signals.
    let opening = runtime.spawn(open(home, kafka, serve));
    let opened = runtime.block_on(async {
        tokio::select! {
            () = signals.came() => None,
            opened = opening => Some(opened),
        }
    });
    let Some(opened) = opened else {
        // Nothing runs yet that would have to end.
        runtime.shutdown_background();
        return Ok(ExitCode::SUCCESS);
    };
    let (socket, held, host) = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let serving = runtime.block_on(Serving::start(&host, held, socket, Box::new(Vec::new)))?;
    let said = runtime.block_on(async {
        serving.say(&host, json).await?;
        signals.came().await;
        Ok(())
    });
    let ended = serving.end(&runtime);
    // A statement that waits for the lock of another process does not keep this one.
    let _ = runtime.block_on(async { tokio::time::timeout(CLOSE_MAX, host.catalog().close()).await });
    // What still runs (a nightly run, a backtest) is taken up or closed by the next process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    said.and(ended).map(|()| ExitCode::SUCCESS)
}

/// Opens socket and home. The socket first: that its address is in use is said before anything is changed. Then the home is this process's:
/// that another one serves it is said, too.
async fn open(home: Home, kafka: Option<String>, serve: Serve) -> Result<(Socket, ProcessLock, Host)> {
    let socket = Socket::open(&serve).await?;
    let plan = Plan::new(home, None)?.with_brokers(kafka)?;
    let held = commands::lock_streams(&plan.home)?;
    Ok((socket, held, Host::open(plan).await?))
}

/// The stream, the API and the tasks beside them, at work.
pub(crate) struct Serving {
    address: SocketAddr,
    url: String,
    /// Where the metrics are without a token.
    metrics: Option<SocketAddr>,
    streams: Supervised,
    api: Arc<Api>,
    /// It ends when `stop` is set.
    beside: Vec<Working>,
    shutdown: watch::Sender<bool>,
    /// Tells the backtest at work and what is beside the stream to end.
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Serving {
    /// Starts everything: the stream, with the home's lock and who sees its alerts besides topic, lake and warehouse, and the API on a socket.
    pub async fn start(host: &Host, held: ProcessLock, socket: Socket, also: Also) -> Result<Self> {
        let catalog = host.catalog();
        let now = SystemClock.now();
        catalog.close_dead_uploads(now).await?;
        catalog.close_dead_backtests(now).await?;
        let silver_every = Duration::from_millis(host.plan.config.schedules.silver_interval_ms.into());
        let nightly_at = host.plan.config.schedules.nightly_at()?;
        let metrics = match &host.plan.config.metrics.listen {
            Some(wanted) => Some(listen(wanted).await?),
            None => None,
        };
        // Nothing below can fail: whatever runs must be ended.
        let streams = Supervised::start(host, held, &Handle::current(), also);
        let (shutdown, ended) = watch::channel(false);
        let (status, handle) = (&streams.status, streams.streams());
        let (context, stop) = (jobs::backtest_context(host), Arc::new(AtomicBool::new(false)));
        let beside = Beside::all(host).into_iter().map(|work| work.start(host, &Handle::current(), &stop));
        let beside: Vec<_> = beside.collect();
        let mut tasks = vec![
            tokio::spawn(rules::follow(host.registry.clone(), status.clone(), handle.commands.clone())),
            tokio::spawn(schedules::run(host.clone(), nightly_at)),
            tokio::spawn(schedules::run_silver_every(host.clone(), silver_every)),
            tokio::spawn(jobs::work_off_backtests(host.clone(), Arc::clone(&context), Arc::clone(&stop))),
        ];
        let api = Api {
            registry: host.registry.clone(),
            streams: handle,
            warehouse: Arc::clone(&host.warehouse),
            topics: host.plan.topics(),
            influx: host.influx.clone(),
            jobs: jobs::jobs(host, &context),
            decisions: decisions::desk(host),
            beside: beside.iter().map(Working::shown).collect(),
            clock: Arc::new(SystemClock),
        };
        let api = Arc::new(api);
        let metrics = metrics.map(|(listener, address)| {
            let router = tamis_api::metrics_router(Arc::clone(&api));
            tasks.push(spawn(tamis_api::serve(listener, None, router, over(ended.clone()))));
            address
        });
        let (url, Socket { listener, tls, address }) = (socket.url(), socket);
        tasks.push(spawn(tamis_api::serve(listener, tls, tamis_api::router(Arc::clone(&api)), over(ended))));
        Ok(Self { address, url, metrics, streams, api, beside, shutdown, stop, tasks })
    }

    /// Says where it is and, when there was no other way in, with which token one comes in: nobody can find that again.
    pub async fn say(&self, host: &Host, json: bool) -> Result<()> {
        let Self { address, url, metrics, .. } = self;
        // Made when all is well, and shown at once.
        let token = first_token::first_token(host.catalog()).await?;
        let text = match (json, token) {
            (true, token) => {
                let said = serde_json::json!({"address": address, "url": url, "token": token, "metrics": metrics});
                said.to_string()
            }
            (false, None) => format!("Tamis is at {url}"),
            (false, Some(token)) => format!(
                "Tamis is at {url}\n\nThe first token, for an administrator; it is shown this once:\n\n    {token}\n"
            ),
        };
        crate::table::print_text(&text).outage("write to", "standard output")
    }

    /// Where events go in.
    pub fn desk(&self) -> &Desk {
        &self.api.decisions
    }

    /// Ends everything at once: the stream with a checkpoint, and the API takes no more requests and lets those at work
    /// end within bounded time.
    pub fn end(mut self, runtime: &Runtime) -> Result<()> {
        let deadline = Instant::now() + END_MAX;
        self.streams.stop();
        self.shutdown.send_replace(true);
        self.stop.store(true, Ordering::Relaxed);
        if let Some(api) = self.tasks.pop() {
            // It bounds itself; that it panicked was logged.
            let _ = runtime.block_on(async { tokio::time::timeout_at(deadline.into(), api).await });
        }
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let streams = self.streams.end(deadline);
        self.beside.into_iter().for_each(|work| work.end(deadline));
        streams
    }
}

/// Serves something beside everything else.
pub(crate) fn spawn(served: impl Future<Output = Result<()>> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = served.await {
            tracing::error!("{}", error.chain());
        }
    })
}

async fn over(mut ended: watch::Receiver<bool>) {
    // A sender that is gone has nothing more to say either.
    let _ = ended.wait_for(|ended| *ended).await;
}
