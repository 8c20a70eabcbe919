//! A host of a group that judges and does nothing else, as a process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;

use serde_json::Value;

use crate::group::SESSION;
use crate::observed::{page, samples};
use crate::process::{Home, TRY_AGAIN, signal, terminate, until};

/// A host that has a share, and what it says.
pub struct Worker {
    child: Child,
    log: PathBuf,
    /// Where it shows how it is.
    pub address: String,
    /// Lines of the log that say what it had before it lost everything.
    past: usize,
}

impl Worker {
    pub fn start(home: &Home, run: u32) -> Self {
        let log = home.path().join(format!("worker-{run}.log"));
        let mut command = home.command(&["worker", "--listen", "127.0.0.1:0"]);
        let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        Self { child, log, address: said["metrics"].as_str().unwrap().to_owned(), past: 0 }
    }

    /// Why it is not ready.
    pub fn lacks(&self) -> Option<String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("http://{}/readyz", self.address)).call().unwrap();
        let report: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!(answer.status() == 200, report["ready"] == true, "{report}");
        report["parts"][0]["reason"].as_str().map(str::to_owned)
    }

    /// What its metrics come to whose names begin so.
    pub fn sum(&self, begins: &str) -> f64 {
        sum(&format!("http://{}/metrics", self.address), begins)
    }

    /// The slices that it has, by its own words.
    pub fn slices(&self) -> BTreeSet<u32> {
        let mut slices = BTreeSet::new();
        for line in fs::read_to_string(&self.log).unwrap().lines().skip(self.past) {
            let numbers = || {
                let (_, list) = line.split_once("slices=[").unwrap();
                let list = list.split_once(']').unwrap().0;
                list.split(", ").map(|number| number.parse().unwrap()).collect::<BTreeSet<u32>>()
            };
            if line.contains("taking on") {
                slices.extend(numbers());
            } else if line.contains("giving up") {
                slices.retain(|slice| !numbers().contains(slice));
            }
        }
        slices
    }

    /// All that it shows and has said.
    pub fn says(&self) -> String {
        let page = page(&format!("http://{}/metrics", self.address));
        format!("{page}\n{}", fs::read_to_string(&self.log).unwrap())
    }

    pub fn until_it_has(&self, count: usize) {
        until(&format!("the worker has {count} slices"), || self.slices().len() == count);
    }

    /// Stands still until the group has given its slices to others, and goes on as if nothing had been, with slices that it takes on anew.
    pub fn sleep_for_too_long(&mut self) {
        signal(&self.child, "-STOP");
        self.past = fs::read_to_string(&self.log).unwrap().lines().count();
        std::thread::sleep(SESSION * 2);
        signal(&self.child, "-CONT");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn terminate(self) {
        self.end(&[0]);
    }

    /// The same amid faults: one that it has just met is what it ends with.
    pub fn terminate_amid_faults(self) {
        self.end(&[0, TRY_AGAIN]);
    }

    fn end(mut self, codes: &[i32]) {
        terminate(&self.child);
        let status = self.child.wait().unwrap();
        let is_right = status.code().is_some_and(|code| codes.contains(&code));
        assert!(is_right, "{status}: {}", fs::read_to_string(&self.log).unwrap());
    }
}

/// A test that fails leaves nothing running.
impl Drop for Worker {
    fn drop(&mut self) {
        // Most times it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the metrics at an address come to whose names begin so.
pub fn sum(url: &str, begins: &str) -> f64 {
    samples(&page(url)).iter().filter(|(name, _)| name.starts_with(begins)).map(|(_, value)| value).sum()
}
