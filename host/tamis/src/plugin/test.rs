//! `tamis plugin test`: a plugin's cases, run as the host would run them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use super::cases::{self, CaseResult};
use super::{build, load, print};
use crate::topics;

/// Run the cases of a plugin.
#[derive(Args, Debug)]
pub struct Test {
    /// The folder of the crate, which is built first, or a component.
    #[arg(default_value = ".")]
    pub plugin: PathBuf,
    /// Files with cases, one JSON object a line [default: cases/*.jsonl of the crate].
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,
    /// Use only what Cargo has already downloaded.
    #[arg(long)]
    pub offline: bool,
}

pub(super) fn run(test: &Test, json: bool, out: &mut dyn Write) -> Result<ExitCode> {
    let is_crate = test.plugin.is_dir();
    let files = match (test.cases.is_empty(), is_crate) {
        (false, _) => test.cases.clone(),
        (true, true) => cases::files(&test.plugin)?,
        (true, false) => {
            return Err(Error::invalid("test plugin", test.plugin.display(), "a component alone needs `--cases FILE`"));
        }
    };
    let plugin = if is_crate { build::component(&test.plugin, test.offline)?.1 } else { load(&test.plugin)? };
    let topics = topics::standard()?;
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let text = std::fs::read_to_string(file).invalid("read cases", file.display())?;
        for result in cases::run(&plugin, &text, &topics).invalid("run cases", file.display())? {
            show(file, &result, json, out)?;
            if result.failures.is_empty() { passed += 1 } else { failed += 1 }
        }
    }
    if passed + failed == 0 {
        return Err(Error::invalid("test plugin", test.plugin.display(), "its case files hold no cases"));
    }
    if !json {
        print(out, format_args!("{plugin}: {passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(file: &Path, result: &CaseResult, json: bool, out: &mut dyn Write) -> Result<()> {
    if json {
        let passed = result.failures.is_empty();
        let (case, line, failures) = (&result.case, result.line, &result.failures);
        return print(out, json!({"file": file, "line": line, "case": case, "passed": passed, "failures": failures}));
    }
    let verdict = if result.failures.is_empty() { "ok    " } else { "FAILED" };
    print(out, format_args!("{verdict} {}  ({}:{})", result.case, file.display(), result.line))?;
    result.failures.iter().try_for_each(|failure| print(out, format_args!("         {failure}")))
}
