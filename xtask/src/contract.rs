//! The served API against its own OpenAPI document, by schemathesis: no 5xx, no answer that the document does not know.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::plugins::Components;
use crate::step::{run, say};

/// From PyPI.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// How bodies of `application/wasm` are sent.
const HOOKS: &str = include_str!("component_bodies.py");
/// What a home must have for rules to be there.
const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Serves a scratch home and asks everything of it that the document allows, and more.
pub fn check(components: &Components) -> Result<()> {
    let schemathesis = installed(&components.target)?;
    let work = components.target.join("contract");
    if work.exists() {
        std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    let home = work.join("home");
    let plugins = home.join("plugins");
    std::fs::create_dir_all(&plugins).with_context(|| format!("cannot create {}", plugins.display()))?;
    for name in PLUGINS {
        let file = format!("{name}.wasm");
        std::fs::copy(components.plugins.join(&file), plugins.join(&file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    std::fs::write(work.join("component_bodies.py"), HOOKS).context("cannot write the hooks")?;
    let served = Served::start(components, &home)?;
    let mut command = Command::new(schemathesis);
    command.current_dir(&work).env("SCHEMATHESIS_HOOKS", "component_bodies");
    command.args(["run", &format!("{}/api/v1/openapi.json", served.url), "--url", &served.url]);
    command.args(["--header", &format!("Authorization: Bearer {}", served.token), "--checks", CHECKS]);
    // An event stream has no end; a seed makes what is found be found again.
    command.args(["--exclude-path", "/api/v1/events", "--phases", "examples,coverage,fuzzing", "--seed", "1"]);
    command.args(["--max-examples", "50", "--request-timeout", "30", "--continue-on-failure", "--no-color"]);
    run("API against its document", command)
}

/// The program, in a virtual environment of its own.
fn installed(target: &Path) -> Result<PathBuf> {
    let environment = target.join("schemathesis");
    let program = environment.join("bin").join("schemathesis");
    let version = environment.join(SCHEMATHESIS);
    if version.exists() {
        return Ok(program);
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&environment);
    run("Python environment", create)
        .context("the API's document is checked by schemathesis, which needs python3 with venv")?;
    let mut install = Command::new(environment.join("bin").join("pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]);
    run("schemathesis", install)?;
    std::fs::write(&version, "").with_context(|| format!("cannot write {}", version.display()))?;
    Ok(program)
}

/// A host that serves as long as this value lives.
struct Served {
    child: Child,
    url: String,
    token: String,
}

impl Served {
    fn start(components: &Components, home: &Path) -> Result<Self> {
        let mut command = Command::new(components.host_path());
        command.args(["--json", "--home"]).arg(home).args(["serve", "--listen", "127.0.0.1:0"]);
        command.env("TAMIS_PEPPER", "contract").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run tamis serve")?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut line).context("cannot read what tamis serve says")?;
        }
        let said: Value = serde_json::from_str(&line).with_context(|| format!("tamis serve says {line:?}"))?;
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let served = Self { child, url: text("url"), token: text("token") };
        ensure!(!served.url.is_empty() && !served.token.is_empty(), "tamis serve says {line:?}");
        say(format_args!("   {}", served.url));
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
