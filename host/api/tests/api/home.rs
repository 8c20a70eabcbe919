//! A home with everything that the API works on: the catalogue and the registry are real, the stream does as it is told.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use tamis_api::{
    Api, Asked, BacktestRequest, BesideStreams, Desk, Jobs, Part, RunRequest, StreamState, StreamStatus, Streams,
    TokenRequest,
};
use tamis_catalog::roles::{Permission, Role};
use tamis_catalog::{Actor, Catalog, Change, Conflict};
use tamis_connectors::topics::{Topics, WriterSettings};
use tamis_connectors::{SqliteWarehouse, TopicWriter};
use tamis_engine::stream::{Redrive, Redriven};
use tamis_engine::{Clock, Command, Commands, Decisions, Sink, Waker};
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind};
use tamis_registry::Registry;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::client::Request;
use crate::components::SANDBOX;
use crate::contract::Contract;

/// 2026-03-20T12:00:00Z.
pub const NOON: Millis = 1_774_008_000_000;
const DAY_MS: Millis = 24 * 60 * 60 * 1_000;
pub const PAYMENTS: &str = include_str!("../../../../schemas/topics/payments.schema.json");

/// What the stream does with what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obeys {
    /// It takes them.
    Takes,
    /// It refuses them with a reason.
    Refuses(&'static str),
    /// It is busy.
    Ignores,
    /// It could not, as things are.
    Cannot(&'static str),
}

/// A home.
pub struct Home {
    pub folder: TempDir,
    pub registry: Registry,
    pub warehouse: Arc<SqliteWarehouse>,
    pub clock: Arc<TestClock>,
    pub status: watch::Sender<StreamStatus>,
    pub obeys: Arc<Mutex<Obeys>>,
    /// What the stream was told to judge again.
    pub redriven: Arc<Mutex<Vec<Redrive>>>,
    /// Who waits for decisions.
    pub decisions: Decisions,
    /// As long as it is there the archive goes on.
    pub archive: Mutex<Option<Arc<()>>>,
    pub router: Router,
    pub contract: Arc<Contract>,
    tokens: AtomicUsize,
}

/// A clock that stands until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: Millis) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }

    fn sleep(&self, _: u64) {}
}

impl Home {
    /// An empty one.
    pub async fn new() -> Self {
        Self::with(Decisions::default()).await
    }

    /// An empty one with these decisions.
    pub async fn with(decisions: Decisions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("topics")).unwrap();
        let catalog = Catalog::open(&at("tamis.db")).await.unwrap();
        let warehouse = Arc::new(SqliteWarehouse::open(&at("warehouse.db")).await.unwrap());
        let schemas = vec![TopicSchema::parse(PAYMENTS).unwrap()];
        let registry = Registry::open(Arc::clone(&SANDBOX), catalog, at("components"), schemas).await.unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(NOON)));
        let status = watch::Sender::new(StreamStatus { state: StreamState::Running, ..StreamStatus::starting(NOON) });
        let (obeys, redriven) = (Arc::new(Mutex::new(Obeys::Takes)), Arc::<Mutex<Vec<Redrive>>>::default());
        tokio::spawn(follow(registry.clone(), status.clone(), Arc::clone(&obeys)));
        let archive = Arc::new(());
        let api = Api {
            registry: registry.clone(),
            streams: Streams {
                status: status.subscribe(),
                commands: stream(Arc::clone(&redriven), Arc::clone(&obeys)),
            },
            warehouse: Arc::clone(&warehouse),
            topics: Topics::Folder(at("topics")),
            influx: None,
            jobs: jobs(&registry),
            decisions: desk(&decisions, at("topics")),
            beside: vec![BesideStreams { part: Part::Archive, held: Arc::downgrade(&archive) }],
            clock: Arc::<TestClock>::clone(&clock),
        };
        let router = tamis_api::router(Arc::new(api));
        let contract = Arc::new(contract(&router).await);
        let tokens = AtomicUsize::new(0);
        let archive = Mutex::new(Some(archive));
        Self {
            folder,
            registry,
            warehouse,
            clock,
            status,
            obeys,
            redriven,
            decisions,
            archive,
            router,
            contract,
            tokens,
        }
    }

    pub fn catalog(&self) -> &Catalog {
        self.registry.catalog()
    }

    /// A new token, its id and its text.
    pub async fn issue(&self, subject: &str, role: Role, scopes: Option<Vec<Permission>>) -> (String, String) {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let expires_at = self.clock.now() + DAY_MS;
        let request =
            TokenRequest { name: format!("token {number}"), subject: subject.to_owned(), role, scopes, expires_at };
        let change = Change { actor: &Actor::system(), why: None, at: self.clock.now() };
        let (token, text) = tamis_api::issue_token(self.catalog(), request, &change).await.unwrap();
        (token.id, text)
    }

    /// A new token that may do all that its role may.
    pub async fn token(&self, subject: &str, role: Role) -> String {
        self.issue(subject, role, None).await.1
    }

    /// A request, with nobody's token; `path` begins behind the prefix unless it is one of those beside it.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request {
            router: self.router.clone(),
            contract: Some(Arc::clone(&self.contract)),
            method: method.to_owned(),
            path: whole(path),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    /// Uploads a component as somebody who may.
    pub async fn upload(&self, component: Vec<u8>) {
        let token = self.token("uploader", Role::Analyst).await;
        self.post("/plugins").token(&token).body("application/wasm", component).send().await.is(201);
    }
}

/// A path that begins behind the prefix, whole; some are beside it.
pub fn whole(path: &str) -> String {
    let is_beside = matches!(path, "/healthz" | "/readyz" | "/metrics");
    if is_beside { path.to_owned() } else { format!("/api/v1{path}") }
}

async fn contract(router: &Router) -> Contract {
    let (method, path) = ("GET".to_owned(), "/api/v1/openapi.json".to_owned());
    let (headers, body) = (Vec::new(), Bytes::new());
    let request = Request { router: router.clone(), contract: None, method, path, headers, body };
    Contract::new(request.send().await.is(200).json())
}

/// A stream that hears of every change of the rules.
async fn follow(registry: Registry, status: watch::Sender<StreamStatus>, obeys: Arc<Mutex<Obeys>>) {
    let mut revisions = registry.revisions();
    while revisions.changed().await.is_ok() {
        let revision = *revisions.borrow_and_update();
        let obeys = obeys.lock().unwrap().clone();
        match obeys {
            Obeys::Takes => status.send_modify(|status| (status.revision, status.refused) = (revision, None)),
            Obeys::Refuses(reason) => status.send_modify(|status| status.refused = Some((revision, reason.to_owned()))),
            Obeys::Ignores | Obeys::Cannot(_) => {}
        }
    }
}

/// Writes to topics in a folder.
fn desk(decisions: &Decisions, topics: PathBuf) -> Desk {
    let open = move || {
        let writer = TopicWriter::open(&topics, "inlet", WriterSettings::default())?;
        Ok(Box::new(writer) as Box<dyn Sink<Record>>)
    };
    Desk::start(decisions.clone(), Box::new(open))
}

/// A stream that judges what is redriven by its text: `good`, `bad`; anything else is nobody's.
fn stream(redriven: Arc<Mutex<Vec<Redrive>>>, obeys: Arc<Mutex<Obeys>>) -> Commands {
    let (commands, received) = Commands::new(Waker::default());
    let judge = |record: &Redrive| {
        let line = String::from_utf8_lossy(&record.line);
        match () {
            () if line.contains("good") => Redriven::Judged,
            () if line.contains("bad") => Redriven::Failed,
            () => Redriven::Left,
        }
    };
    std::thread::spawn(move || {
        for command in received {
            if let Command::Redrive(records, reply) = command {
                let refusal = match *obeys.lock().unwrap() {
                    Obeys::Refuses(reason) => Some((Kind::Outage, reason)),
                    Obeys::Cannot(reason) => Some((Kind::Conflict, reason)),
                    Obeys::Takes | Obeys::Ignores => None,
                };
                if let Some((kind, reason)) = refusal {
                    reply(Err(Error::new(kind, "tell", "the stream").because(reason)));
                    continue;
                }
                let answers = records.iter().map(judge).collect();
                redriven.lock().unwrap().extend(records);
                reply(Ok(answers));
            }
        }
    });
    commands
}

/// Runs begin at once, except on two days; backtests wait.
fn jobs(registry: &Registry) -> Jobs {
    let (runs, backtests) = (registry.clone(), registry.clone());
    let start_run = move |request: RunRequest, asked: Asked| {
        let catalog = runs.catalog().clone();
        async move {
            match &*request.as_of {
                "2026-03-19" => {
                    let busy = Conflict::State("a run is at work".to_owned());
                    Err(Error::new(Kind::Conflict, "start job", &request.job).because(busy))
                }
                "1999-12-31" => panic!("a job has a fault"),
                as_of if request.job != "nightly" => Err(Error::invalid("start job", &request.job, as_of)),
                as_of => {
                    let id = format!("run-{as_of}-{}", asked.change().actor.subject);
                    catalog.start_run(&id, &request.job, as_of, asked.at).await.map(|()| id)
                }
            }
        }
    };
    let start_backtest = move |request: BacktestRequest, asked: Asked| {
        let catalog = backtests.catalog().clone();
        async move {
            if request.rule.is_none() {
                return Err(Error::new(Kind::Missing, "replay", "a rule"));
            }
            let count = catalog.last_event_id().await?;
            let json = serde_json::to_value(&request).unwrap();
            catalog.create_backtest(&format!("backtest-{count:08}"), &json, &asked.change()).await
        }
    };
    Jobs::new(start_run, start_backtest)
}
