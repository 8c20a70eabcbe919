//! Processes that are bounded in time and end with this one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What a command may write before the rest is left out.
const OUTPUT_MAX: u64 = 64 << 20;

/// How often something that is waited for is looked at.
pub const LOOK: Duration = Duration::from_millis(20);

/// Kills processes and removes a folder once this process has ended, in whatever way.
///
/// It is a shell that reads from a pipe whose other end only this process holds: the system closes that end with the process. (The
/// death signal of Linux would need unsafe code, and comes already when the thread ends that started the child.) Each line that it
/// reads is the list of the processes to kill. It is in a process group of its own, as they must be, so that Ctrl-C leaves it alone.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Nothing to kill yet. The folder should be one for temporary files.
    pub fn new(folder: Option<&Path>) -> Result<Self> {
        const SCRIPT: &str = "list=; while read -r line; do list=$line; done
            [ -z \"$list\" ] || kill -9 $list
            for attempt in 1 2 3 4 5; do [ -z \"$1\" ] || rm -rf \"$1\" && break; sleep 1; done";
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "watchdog"]).arg(folder.unwrap_or(Path::new("")));
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut shell = shell.spawn().context("cannot run sh")?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// These processes and no others are to be killed.
    pub fn watch(&mut self, processes: impl Iterator<Item = u32>) -> Result<()> {
        let list: Vec<_> = processes.map(|process| process.to_string()).collect();
        let line = list.join(" ") + "\n";
        self.pipe
            .as_mut()
            .context("a watchdog has its pipe")?
            .write_all(line.as_bytes())
            .context("cannot tell a watchdog")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.shell.wait();
    }
}

/// Runs a command to its end, for `limit` at most. Gives what it wrote to standard output.
pub fn text_of(mut command: Command, input: &str, limit: Duration) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let running = || format!("cannot run {program}");
    // Files and not pipes: nobody has to empty them while it runs.
    let (mut stdin, mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
    stdin.write_all(input.as_bytes()).with_context(running)?;
    stdin.seek(SeekFrom::Start(0)).with_context(running)?;
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).process_group(0);
    let mut watchdog = Watchdog::new(None)?;
    let mut child = command.spawn().with_context(running)?;
    watchdog.watch([child.id()].into_iter())?;
    let status = wait(&mut child, limit).with_context(running)?;
    let ended = status.map_or_else(|| format!("was killed after {limit:?}"), |status| format!("ended with {status}"));
    let output = read(&mut stdout).with_context(running)?;
    let errors = read(&mut stderr).with_context(running)?;
    ensure!(status.is_some_and(|status| status.success()), "{program} {ended}: {}", tail(&format!("{output}{errors}")));
    Ok(output)
}

/// Waits for a child to end; kills it when it has not after `limit`, and gives `None`.
pub fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(LOOK);
    }
}

/// Asks a child to end, as a service manager would, unless it has ended already.
pub fn terminate(child: &mut Child) -> Result<()> {
    if child.try_wait().with_context(|| format!("cannot look at process {}", child.id()))?.is_some() {
        return Ok(());
    }
    // A builtin of the shell: the program of that name is not installed everywhere.
    let status = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "kill", &child.id().to_string()]).status();
    if !status.context("cannot run sh")?.success() {
        bail!("cannot send process {} a signal", child.id());
    }
    Ok(())
}

/// The last lines of a text, for an error.
pub fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(OUTPUT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_bounded_and_says_what_it_said() {
        let check = |script: &str, limit: u64, expected: Result<&str, &str>| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let result = text_of(command, "in", Duration::from_secs(limit)).map_err(|error| format!("{error:#}"));
            assert_eq!(result.as_deref().map_err(String::as_str), expected, "{script}");
        };
        check("cat; echo; echo out; echo noise >&2", 60, Ok("in\nout\n"));
        check("echo out; echo why >&2; exit 3", 60, Err("sh ended with exit status: 3: out\nwhy"));
        check("exec sleep 1000", 1, Err("sh was killed after 1s: "));
    }

    #[test]
    fn a_watchdog_kills_what_it_watches_and_removes_the_folder() {
        // Without our output: nobody waits for its end when this test fails and leaves one behind.
        let sleeper = || Command::new("sleep").arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut watched, mut left) = (sleeper(), sleeper());
        let folder = tempfile::tempdir().unwrap();
        let mut watchdog = Watchdog::new(Some(folder.path())).unwrap();
        watchdog.watch([watched.id(), left.id()].into_iter()).unwrap();
        watchdog.watch([watched.id()].into_iter()).unwrap();
        drop(watchdog);
        let status = wait(&mut watched, Duration::from_secs(60)).unwrap();
        assert_eq!(status.map(|status| status.to_string()).as_deref(), Some("signal: 9 (SIGKILL)"));
        assert!(!folder.path().exists());
        assert_eq!(left.try_wait().unwrap(), None);
        left.kill().unwrap();
        left.wait().unwrap();
    }
}
