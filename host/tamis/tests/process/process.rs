//! A `tamis` process, and the API that it serves.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Serves on a free port.
pub const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// A home in which the standard rules lie.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// A home with the components of `plugins` (their file names). What one host has compiled all others load.
    pub fn with(plugins: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("plugins");
        std::fs::create_dir_all(&into).unwrap();
        for name in plugins {
            let file = format!("{name}.wasm");
            std::fs::copy(components().join(&file), into.join(&file)).unwrap();
        }
        std::fs::write(
            folder.path().join("tamis.toml"),
            "[streams]\ncheckpoint_interval_ms = 200\nlake_interval_ms = 1000\n",
        )
        .unwrap();
        let compiled = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        std::fs::create_dir_all(&compiled).unwrap();
        symlink(compiled, folder.path().join("cache")).unwrap();
        Self { folder }
    }

    /// From now on a host compiles what it loads.
    pub fn forget_compiled(&self) {
        std::fs::remove_file(self.path().join("cache")).unwrap();
    }

    /// Adds text to what its `tamis.toml` says.
    pub fn configure(&self, more: &str) {
        let file = self.path().join("tamis.toml");
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + more).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
        command.args(["--json", "--home"]).arg(self.path()).args(arguments);
        command.env("TAMIS_PEPPER", "pepper").env_remove("TAMIS_TOKEN").stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Runs a command to its end. What it printed, line by line.
    pub fn run(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Tells a process to end, as a service manager does.
pub fn terminate(child: &Child) {
    signal(child, "-TERM");
}

/// Sends a process a signal.
pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "{signal}");
}

/// Waits for something to hold.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come to hold");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `EX_TEMPFAIL` of sysexits(3): how a command ends that can be tried again.
pub const TRY_AGAIN: i32 = 75;

/// The folder of the components that `cargo xtask test` builds.
pub fn components() -> PathBuf {
    std::env::var_os("TAMIS_PLUGINS")
        .expect("TAMIS_PLUGINS names the folder of components: run `cargo xtask test`")
        .into()
}

/// The API of a host that serves.
pub struct Api {
    pub url: String,
    /// The first token of the home.
    pub token: Option<String>,
    /// Where the metrics are without one.
    pub metrics: Option<String>,
    agent: Agent,
}

/// A host that serves.
pub struct Served {
    child: Child,
    api: Api,
}

impl Deref for Served {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Served {
    /// Starts it and waits until it says where it is.
    pub fn start(home: &Home) -> Self {
        let mut child = home.command(&SERVE).spawn().unwrap();
        let api = Api::said_by(child.stdout.as_mut().unwrap()).expect("it says where it is before it ends");
        Self { child, api }
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end, as a service manager does. How it ended, and how long that took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        terminate(&self.child);
        let status = self.child.wait().unwrap();
        (status, began.elapsed())
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A test that fails leaves nothing running.
impl Drop for Served {
    fn drop(&mut self) {
        // Most times it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Api {
    /// The API of a process that says in its first line where it is; none when it ends before that.
    pub fn said_by(output: &mut ChildStdout) -> Option<Self> {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        if line.is_empty() {
            return None;
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Some(Self { url: text("url").unwrap(), token: text("token"), metrics: text("metrics"), agent: config.into() })
    }

    /// A token for somebody, from the first one.
    pub fn token_for(&self, subject: &str, role: &str) -> String {
        let expires_at = chrono::Utc::now() + chrono::Days::new(30);
        let body = json!({"name": subject, "subject": subject, "role": role, "expires_at": expires_at.to_rfc3339()});
        let admin = self.token.as_deref().expect("the first start makes a token");
        let made = self.ask(admin, "POST", "/api/v1/tokens", Some(&body), None).expect(201);
        made["text"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Asks the API, with a token. Status, tag and body of the answer.
    pub fn ask(&self, token: &str, method: &str, path: &str, body: Option<&Value>, tag: Option<&str>) -> Answer {
        self.try_ask(token, method, path, body, tag).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Asks the API with headers of one's own.
    pub fn ask_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let answer = self.try_ask_with(token, method, path, body, headers);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The same, of a host that may be gone.
    pub fn try_ask(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        tag: Option<&str>,
    ) -> Result<Answer, ureq::Error> {
        let headers: Vec<_> = tag.map(|tag| ("if-match", tag)).into_iter().collect();
        self.try_ask_with(token, method, path, body, &headers)
    }

    fn try_ask_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        request = request.uri(format!("{}{path}", self.url)).header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.send(request.body(bytes).unwrap())
    }

    /// Uploads a component to a host that may be gone.
    pub fn try_upload(&self, token: &str, bytes: Vec<u8>) -> Result<Answer, ureq::Error> {
        let request = Request::builder().method(Method::POST).uri(format!("{}/api/v1/plugins", self.url));
        let request =
            request.header("authorization", format!("Bearer {token}")).header("content-type", "application/wasm");
        self.send(request.body(bytes).unwrap())
    }

    fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, ureq::Error> {
        let what = format!("{} {}", request.method(), request.uri());
        let mut response = self.agent.run(request)?;
        let text = response.body_mut().read_to_string()?;
        let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(text)) };
        Ok(Answer { what, status: response.status().as_u16(), tag, body })
    }

    /// Why a part of it is not ready; none when it is.
    pub fn lacks(&self, part: &str) -> Option<String> {
        let report = self.ask("", "GET", "/readyz", None, None);
        let found = report.body["parts"].as_array()?.iter().find(|found| found["part"] == part)?;
        let reason = found["reason"].as_str().map(str::to_owned);
        assert!(reason.is_none() || report.status == 503, "{}", report.body);
        reason
    }

    /// Waits until it is ready.
    pub fn until_ready(&self) {
        self.until("it is ready", |served| served.ask("", "GET", "/readyz", None, None).status == 200);
    }

    /// Waits for something to hold.
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        until(what, || holds(self));
    }
}

/// What the API answered.
pub struct Answer {
    what: String,
    pub status: u16,
    pub tag: Option<String>,
    pub body: Value,
}

impl Answer {
    /// Its body, if it is what was expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        self.body
    }
}
