//! `kill -9` at any moment of stream and night, while payments come and rules change: in the end all is as if nothing had happened.

mod changes;
mod phases;
mod sql;
pub mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tamis::demo::{AS_OF_DAY, Scale, generate};

use self::changes::People;
use crate::feed;
use crate::process::{Api, Home, SERVE, Served};
use crate::results::{Results, assert_each_once, assert_same, counting, results};

const PLUGINS: [&str; 9] = [
    "payment-direct-fraud",
    "card-testing",
    "psp-error-rate",
    "payments-by-currency",
    "silver-crm",
    "silver-nginx",
    "check-completeness",
    "check-range",
    "check-volume",
];
const NIGHTLY: [&str; 4] = ["run", "nightly", "--as-of", AS_OF_DAY];
const KILLS: u64 = 50;
const SIGKILL: i32 = 9;
/// A served host is killed within so many milliseconds.
const SERVED_MS_MAX: u64 = 1_200;
/// Payments of one append, and how long until the next.
const PAYMENTS_AT_A_TIME: u64 = 20;
const FEED_EVERY: Duration = Duration::from_millis(10);
/// Tries at a phase that no random kill has hit, and how long each waits for it.
const TRIES_MAX: u64 = 25;
const WATCH: Duration = Duration::from_secs(4);
/// A seed to try again; each run has one of its own and prints it.
const SEED_VARIABLE: &str = "TAMIS_KILL_SEED";
/// The log of the web server comes in so many files, so that many nights have something to take in.
const LOG_FILES: usize = 24;

/// The home that is disturbed, and what came into it so far.
struct Disturbed {
    home: Home,
    people: People,
    /// Payments that came.
    fed: AtomicU64,
    /// Files that are still to come: path below `drop`, content.
    files: Vec<(String, String)>,
    /// Processes that were killed; those that had ended before do not count.
    kills: u64,
    /// How often each phase was hit.
    hits: BTreeMap<(&'static str, &'static str), u64>,
}

/// When a process is killed: asked again and again with how long it has run.
type Moment<'a> = &'a dyn Fn(&Path, Duration) -> bool;

impl Disturbed {
    fn new(files: Vec<(String, String)>) -> Self {
        let home = Home::with(&PLUGINS);
        feed::append(home.path(), 0..PAYMENTS_AT_A_TIME);
        let served = Served::start(&home);
        served.until_ready();
        let people = People::of(&served);
        served.terminate();
        Self { home, people, fed: AtomicU64::new(PAYMENTS_AT_A_TIME), files, kills: 0, hits: BTreeMap::new() }
    }

    /// Serves until a moment, while payments come and rules change.
    fn kill_served(&mut self, moment: Moment<'_>) {
        let mut child = self.home.command(&SERVE).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let over = AtomicBool::new(false);
        let spoke = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let from = self.fed.fetch_add(PAYMENTS_AT_A_TIME, Ordering::Relaxed);
                    feed::append(self.home.path(), from..from + PAYMENTS_AT_A_TIME);
                    std::thread::sleep(FEED_EVERY);
                }
            });
            let changes = scope.spawn(|| match Api::said_by(&mut output) {
                Some(api) => {
                    self.people.change_until_gone(&api);
                    true
                }
                None => false,
            });
            let killed = kill_at(&mut child, self.home.path(), moment);
            over.store(true, Ordering::Relaxed);
            assert!(killed, "a host serves until it is told to end");
            changes.join().unwrap()
        });
        self.kills += 1;
        let phases = if spoke { phases::of_stream(self.home.path()) } else { BTreeSet::from(["starting"]) };
        phases.iter().for_each(|phase| *self.hits.entry(("stream", *phase)).or_default() += 1);
    }

    /// Runs a night until a moment, or to its end when that comes before.
    fn kill_night(&mut self, moment: Moment<'_>) {
        if let Some((path, content)) = self.files.pop() {
            put(self.home.path(), &path, &content);
        }
        let before = phases::last_night(self.home.path()).map(|(run, _)| run);
        let mut child = self.home.command(&NIGHTLY).spawn().unwrap();
        if kill_at(&mut child, self.home.path(), moment) {
            self.kills += 1;
            let phase = phases::of_night(self.home.path(), &before);
            phase.iter().for_each(|phase| *self.hits.entry(("night", *phase)).or_default() += 1);
        }
    }

    /// Kills at phases that were not hit yet, as soon as they are seen.
    fn aim(&mut self) {
        for phase in phases::STREAM {
            for _ in 0..TRIES_MAX {
                if self.hits.contains_key(&("stream", phase)) {
                    break;
                }
                self.kill_served(&|home, ran| {
                    ran > WATCH || phase == "starting" || phases::of_stream(home).contains(phase)
                });
            }
        }
        for phase in phases::NIGHT {
            for _ in 0..TRIES_MAX {
                if self.hits.contains_key(&("night", phase)) {
                    break;
                }
                let before = phases::last_night(self.home.path()).map(|(run, _)| run);
                self.kill_night(&|home, ran| ran > WATCH || phases::of_night(home, &before) == Some(phase));
            }
        }
    }
}

/// Kills a process when a moment has come; false when it has ended by itself before.
fn kill_at(child: &mut Child, home: &Path, moment: Moment<'_>) -> bool {
    let began = Instant::now();
    while !moment(home, began.elapsed()) {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "it ended by itself: {status}");
            return false;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(SIGKILL)
}

/// Drops a file.
fn put(home: &Path, path: &str, content: &str) {
    let path = home.join("drop").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// The demo's files, the log of the web server in pieces.
fn files() -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let home = tamis::home::Home::new(folder.path());
    home.create().unwrap();
    generate(&home, 7, Scale(1), &mut |_, _| {}).unwrap();
    let read = |source: &str| {
        let file = crate::results::files(&home.drop().join(source), "").pop().unwrap();
        std::fs::read_to_string(file).unwrap()
    };
    let log = read("nginx");
    let lines: Vec<_> = log.lines().collect();
    let pieces = lines.chunks(lines.len().div_ceil(LOG_FILES)).enumerate();
    let mut files: Vec<_> =
        pieces.map(|(n, lines)| (format!("nginx/access-{n}.log"), lines.join("\n") + "\n")).collect();
    files.push(("crm/export.csv".to_owned(), read("crm")));
    files
}

/// What a home holds when its topics were read to their end and a night has passed.
fn in_the_end(home: &Home) -> Results {
    home.run(&["run", "streams", "--until-end"]);
    home.run(&NIGHTLY);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let streams = runtime.block_on(results(home.path(), &["payments"]));
    assert_each_once(&streams, "in the end");
    let mut all = counting(&streams);
    all.extend(tables::tables(home.path()));
    all
}

#[test]
#[allow(clippy::print_stderr, reason = "it says what it has done, and by which seed to do it again")]
fn killed_at_any_moment_nothing_is_lost_or_doubled() {
    let began = Instant::now();
    let seed = std::env::var(SEED_VARIABLE).map_or_else(|_| rand_seed(), |seed| seed.parse().unwrap());
    eprintln!("{SEED_VARIABLE}={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let files = files();
    let undisturbed = Home::with(&PLUGINS);
    files.iter().for_each(|(path, content)| put(undisturbed.path(), path, content));
    let night = Instant::now();
    undisturbed.run(&NIGHTLY);
    let night_ms = u64::try_from(night.elapsed().as_millis()).unwrap();

    let mut disturbed = Disturbed::new(files);
    for attempt in 0..KILLS * 2 {
        if disturbed.kills == KILLS {
            break;
        }
        if attempt % 5 < 3 {
            let after = Duration::from_millis(random.random_range(0..SERVED_MS_MAX));
            disturbed.kill_served(&|_, ran| ran >= after);
        } else {
            let after = Duration::from_millis(random.random_range(0..night_ms));
            disturbed.kill_night(&|_, ran| ran >= after);
        }
    }
    assert_eq!(disturbed.kills, KILLS, "the others ended by themselves");
    eprintln!("{KILLS} random kills in {:?}, phases hit: {:?}", began.elapsed(), disturbed.hits);
    disturbed.aim();
    // On a slow machine most hosts were killed before anybody could change a rule.
    for _ in 0..TRIES_MAX {
        if disturbed.people.made.load(Ordering::Relaxed) < KILLS {
            disturbed.kill_served(&|_, ran| ran > WATCH);
        }
    }
    let (made, refused) =
        (disturbed.people.made.load(Ordering::Relaxed), disturbed.people.refused.load(Ordering::Relaxed));
    let payments = disturbed.fed.load(Ordering::Relaxed);
    eprintln!("{} kills with the aimed ones, in {:?}: {:?}", disturbed.kills, began.elapsed(), disturbed.hits);
    eprintln!("{payments} payments, {made} changes of rules made and {refused} refused");
    for (process, phases) in [("stream", &phases::STREAM[..]), ("night", &phases::NIGHT)] {
        for phase in phases {
            assert!(disturbed.hits.contains_key(&(process, *phase)), "no kill hit {phase} of the {process}");
        }
    }
    assert!(made >= KILLS, "{made} changes of rules were made");

    while let Some((path, content)) = disturbed.files.pop() {
        put(disturbed.home.path(), &path, &content);
    }
    feed::append(undisturbed.path(), 0..payments);
    let (found, expected) = (in_the_end(&disturbed.home), in_the_end(&undisturbed));
    assert_same(&found, &expected, &format!("{SEED_VARIABLE}={seed}"));
    for (place, rows) in &expected {
        eprintln!("{place}: {} rows", rows.len());
    }
    for place in
        ["topic alerts_advanced_fraud", "topic dead_letters", "live alerts in the lake", "silver.nginx in the lake"]
    {
        assert!(expected.contains_key(place), "{place} is empty: nothing could be lost");
    }
    eprintln!("all in {:?}", began.elapsed());
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos())
}
