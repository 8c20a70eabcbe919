//! The served API against its own OpenAPI document, by schemathesis: no 5xx, no answer that the document does not know, and enough
//! that were no refusal for this to mean something.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::plugins::Components;
use crate::step::{run, say};

/// From PyPI.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// How bodies of `application/wasm` are sent, and how answers are counted.
const HOOKS: &str = include_str!("contract_hooks.py");
/// Where they are counted: how many there were of each status.
const ANSWERS: &str = "answers.json";
/// How many answers of a hundred must be successes, and may say that nobody is known by that token.
const SUCCESS_PERCENT_MIN: u64 = 20;
const UNKNOWN_PERCENT_MAX: u64 = 5;
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
    std::fs::write(work.join("contract_hooks.py"), HOOKS).context("cannot write the hooks")?;
    let served = Served::start(components, &home)?;
    let mut client = Command::new(components.host_path());
    client.args(["--json", "rule", "list", "--server", &served.url]).env("TAMIS_TOKEN", &served.token);
    run("the token of the API", client)?;
    let mut command = Command::new(schemathesis);
    command.current_dir(&work).env("SCHEMATHESIS_HOOKS", "contract_hooks").env("TAMIS_CONTRACT_ANSWERS", ANSWERS);
    command.args(["run", &format!("{}/api/v1/openapi.json", served.url), "--url", &served.url]);
    command.args(["--header", &format!("Authorization: Bearer {}", served.token), "--checks", CHECKS]);
    // An event stream has no end; a seed makes what is found be found again.
    command.args(["--exclude-path", "/api/v1/events", "--phases", "examples,coverage,fuzzing", "--seed", "1"]);
    command.args(["--max-examples", "50", "--request-timeout", "30", "--continue-on-failure", "--no-color"]);
    run("API against its document", command)?;
    let answers = std::fs::read(work.join(ANSWERS)).context("cannot read how the API answered")?;
    assert_meaningful(&serde_json::from_slice(&answers).context("cannot read how the API answered")?)
}

/// Fails when the answers, by status, would have been as they are whatever the API does: a document knows its refusals, too.
fn assert_meaningful(answers: &BTreeMap<u16, u64>) -> Result<()> {
    let total: u64 = answers.values().sum();
    let count = |statuses: RangeInclusive<u16>| -> u64 { answers.range(statuses).map(|(_, count)| count).sum() };
    let (successes, unknown) = (count(200..=299), count(401..=401));
    say(format_args!(
        "   {successes} of {total} answers were successes, {unknown} said that nobody is known by the token"
    ));
    ensure!(
        successes * 100 >= total * SUCCESS_PERCENT_MIN && successes > 0,
        "the API refused nearly everything: {answers:?}"
    );
    ensure!(unknown * 100 <= total * UNKNOWN_PERCENT_MAX, "the API took the token for nobody's: {answers:?}");
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_say_nothing_of_the_api_are_told() {
        let check = |answers: &[(u16, u64)], is_meaningful: bool| {
            let answers = answers.iter().copied().collect();
            assert_eq!(assert_meaningful(&answers).is_ok(), is_meaningful, "{answers:?}");
        };
        check(&[(200, 700), (201, 50), (401, 50), (422, 900)], true);
        check(&[(200, 150), (401, 10), (422, 900)], false);
        check(&[(200, 400), (401, 600)], false);
        check(&[(401, 10)], false);
        check(&[], false);
    }
}
