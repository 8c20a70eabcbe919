//! Passes over real folders.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use tamis_engine::memory::ManualClock;

use super::*;

/// 2026-03-19T01:00:00Z
const NOW: Millis = 1_773_882_000_000;

struct Home {
    folder: tempfile::TempDir,
    settings: IngestSettings,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    hands: ManualClock,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            IngestSettings { drop: folder.path().join("drop"), bronze: folder.path().join("bronze"), settle_ms: 1_000 };
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let hands = ManualClock::new(NOW);
        Self { folder, settings, catalog, clock: Arc::new(hands.clone()), hands }
    }

    /// Writes a file, modified `age_s` before the first pass.
    fn write(&self, path: &str, content: &str, age_s: u64) {
        let path = self.settings.drop.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW as u64) - Duration::from_secs(age_s);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    async fn pass(&self) -> IngestReport {
        ingest(&self.settings, &self.catalog, &self.clock).await.unwrap()
    }

    /// Every visible file of Bronze with its content.
    fn bronze(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut folders = vec![self.settings.bronze.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.file_name().unwrap().to_str().unwrap().starts_with('.') {
                } else if entry.is_dir() {
                    folders.push(entry);
                } else {
                    let name = entry.strip_prefix(&self.settings.bronze).unwrap().to_str().unwrap().to_owned();
                    files.push((name, fs::read_to_string(&entry).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

fn paths(files: &[BronzeFile]) -> Vec<&str> {
    files.iter().map(|file| file.bronze_path.as_str()).collect()
}

#[test]
fn the_hash_stands_before_the_first_dot_of_the_name() {
    let sha256 = "1a2b3c4d5e6f";
    for (path, expected) in [
        ("a.ndjson.gz", "a.1a2b3c4d.ndjson.gz"),
        ("v1.2/a.csv", "v1.2/a.1a2b3c4d.csv"),
        ("v1.2/README", "v1.2/README.1a2b3c4d"),
        ("x/y/z.tar.gz.old", "x/y/z.1a2b3c4d.tar.gz.old"),
        ("été.csv", "été.1a2b3c4d.csv"),
    ] {
        assert_eq!(versioned(path, sha256), expected);
    }
}

#[tokio::test]
async fn a_second_pass_takes_only_what_changed() {
    let home = Home::new().await;
    home.write("crm/export.csv", "one", 100);
    home.write("crm/2026/export.csv.gz", "two", 100);
    home.write("nginx/access.log", "three", 100);
    let first = home.pass().await;
    // printf one | sha256sum
    assert_eq!(
        paths(&first.taken),
        [
            "crm/ingest_date=2026-03-19/2026/export.3fc4ccfe.csv.gz",
            "crm/ingest_date=2026-03-19/export.7692c3ad.csv",
            "nginx/ingest_date=2026-03-19/access.8b5b9db0.log",
        ]
    );
    assert_eq!(first.taken[1].source_modified_ns, (NOW - 100_000) * 1_000_000);
    assert_eq!(home.pass().await, IngestReport { unchanged: 3, ..IngestReport::default() });

    home.hands.advance(86_400_000);
    home.write("crm/export.csv", "new", 50); // another content, of the same length
    home.write("nginx/access.log", "three", 50); // the same under a new time
    fs::remove_file(home.settings.drop.join("crm/2026/export.csv.gz")).unwrap();
    let second = home.pass().await;
    assert_eq!(paths(&second.taken), ["crm/ingest_date=2026-03-20/export.11507a0e.csv"]);
    assert_eq!(paths(&second.touched), ["nginx/ingest_date=2026-03-19/access.8b5b9db0.log"]);
    assert_eq!(home.pass().await, IngestReport { unchanged: 2, ..IngestReport::default() });

    let latest = home.catalog.latest_files("crm").await.unwrap();
    let contents: Vec<_> =
        latest.iter().map(|file| fs::read_to_string(home.settings.bronze.join(&file.bronze_path)).unwrap()).collect();
    assert_eq!(contents, ["two", "new"], "what is gone from the drop stays, of the others the latest counts");
    assert_eq!(home.bronze().len(), 4, "older versions stay");
}

#[tokio::test]
async fn a_content_that_comes_back_is_the_latest_again() {
    let home = Home::new().await;
    for (content, age_s) in [("one", 100), ("two", 90), ("one", 80)] {
        home.write("crm/a.csv", content, age_s);
        home.pass().await;
    }
    let latest = home.catalog.latest_files("crm").await.unwrap();
    assert_eq!(paths(&latest), ["crm/ingest_date=2026-03-19/a.7692c3ad.csv"]);
    assert_eq!(home.bronze().len(), 2);
}

#[tokio::test]
async fn hidden_and_temporary_files_are_counted_and_passed_over() {
    let home = Home::new().await;
    for path in ["crm/.a.csv.swp", "crm/a.csv.tmp", "crm/.git/config", ".DS_Store"] {
        home.write(path, "x", 100);
    }
    assert_eq!(home.pass().await, IngestReport { skipped: 4, ..IngestReport::default() });
}

#[tokio::test]
async fn what_cannot_be_read_never_stops_the_others() {
    let home = Home::new().await;
    home.write("crm/good.csv", "one", 100);
    home.write("stray.csv", "x", 100);
    symlink("nowhere", home.settings.drop.join("crm/broken.csv")).unwrap();
    symlink("..", home.settings.drop.join("crm/loop")).unwrap();
    // A link to a file that can be read is no better: it could be the pepper.
    fs::write(home.folder.path().join("secret"), "secret").unwrap();
    symlink(home.folder.path().join("secret"), home.settings.drop.join("crm/secret.csv")).unwrap();
    let report = home.pass().await;
    assert_eq!(paths(&report.taken), ["crm/ingest_date=2026-03-19/good.7692c3ad.csv"]);
    let mut left: Vec<_> = report.left.iter().map(|left| left.path.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["crm/broken.csv", "crm/loop", "crm/secret.csv", "stray.csv"]);
    assert!(report.left.iter().all(|left| matches!(left.reason, LeftReason::Unreadable(_))), "{:?}", report.left);
}

/// Writes files and passes once: what is taken, and why the others are left.
async fn check(files: &[(&str, &str)], expected_taken: &[&str], expected_left: &[(&str, &str)]) {
    let home = Home::new().await;
    files.iter().for_each(|(path, content)| home.write(path, content, 100));
    let report = home.pass().await;
    assert_eq!(paths(&report.taken), expected_taken);
    let left: Vec<_> = report.left.iter().map(|left| (left.path.clone(), left.reason.clone())).collect();
    let expected = |(path, why): &(&str, &str)| ((*path).to_owned(), LeftReason::Unreadable((*why).to_owned()));
    assert_eq!(left, expected_left.iter().map(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_bronze_has_no_place_for_never_stops_the_others() {
    // The longest name, and one byte more than that.
    let (longest, too_long) = ("x".repeat(246), "x".repeat(247));
    let (longest, too_long) = (format!("crm/{longest}"), format!("crm/{too_long}"));
    let taken = format!("crm/ingest_date=2026-03-19/{}.7692c3ad", "x".repeat(246));
    let good = "crm/ingest_date=2026-03-19/z.7692c3ad.csv";
    check(
        &[(&longest, "one"), (&too_long, "one"), ("crm/z.csv", "one")],
        &[&taken, good],
        &[(&too_long, "its name has more than 246 bytes")],
    )
    .await;
    // A folder that is called as the version of a file will be, and the other way round.
    check(
        &[("crm/a.7692c3ad.csv/b.csv", "two"), ("crm/a.csv", "one"), ("crm/z.csv", "one")],
        &["crm/ingest_date=2026-03-19/a.7692c3ad.csv/b.3fc4ccfe.csv", good],
        &[("crm/a.csv", "Bronze has a folder in its place")],
    )
    .await;
    check(
        &[("crm/a", "one"), ("crm/a.7692c3ad/b.csv", "two"), ("crm/z.csv", "one")],
        &["crm/ingest_date=2026-03-19/a.7692c3ad", good],
        &[("crm/a.7692c3ad/b.csv", "Bronze has no place for it: Not a directory (os error 20)")],
    )
    .await;
}

#[tokio::test]
async fn contents_whose_hashes_begin_alike_never_stop_the_others() {
    let home = Home::new().await;
    // printf 69235 | sha256sum; printf 95303 | sha256sum
    home.write("crm/a.csv", "69235", 100);
    let place = "crm/ingest_date=2026-03-19/a.c11eb5e6.csv";
    assert_eq!(paths(&home.pass().await.taken), [place]);
    home.write("crm/a.csv", "95303", 90);
    home.write("crm/b.csv", "one", 90);
    let report = home.pass().await;
    assert_eq!(paths(&report.taken), ["crm/ingest_date=2026-03-19/b.7692c3ad.csv"]);
    let why = format!("another content has its place in Bronze, {place}");
    assert_eq!(report.left, [LeftFile { path: "crm/a.csv".to_owned(), reason: LeftReason::Unreadable(why) }]);

    home.hands.advance(86_400_000);
    assert_eq!(paths(&home.pass().await.taken), ["crm/ingest_date=2026-03-20/a.c11eb5e6.csv"]);
}

/// A clock on which somebody else is at work while it sleeps.
struct WorkingClock<F> {
    clock: ManualClock,
    work: F,
}

impl<F: Fn() + Send + Sync> Clock for WorkingClock<F> {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn sleep(&self, duration_ms: u64) {
        (self.work)();
        self.clock.sleep(duration_ms);
    }
}

#[test]
fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (drop, secrets) = (folder.path().join("drop"), folder.path().join("secrets"));
    for (path, content) in [("drop/crm/a.csv", "decoy!"), ("drop/crm/x/a.csv", "decoy!"), ("secrets/a.csv", "secret")] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let found = scan::scan(&drop).sources.remove("crm").unwrap();
    // The file itself, and the folder above the other one; length and time are those of the decoys.
    fs::remove_file(drop.join("crm/a.csv")).unwrap();
    symlink(secrets.join("a.csv"), drop.join("crm/a.csv")).unwrap();
    fs::rename(drop.join("crm/x"), drop.join("crm/y")).unwrap();
    symlink(&secrets, drop.join("crm/x")).unwrap();
    assert_eq!(found.len(), 2);
    let incoming = Incoming::open(&folder.path().join("bronze")).unwrap();
    for found in found {
        assert_eq!(found.reason_to_wait(), Some(LeftReason::Growing), "{}", found.original_path);
        let copied = incoming.copy(&found).unwrap();
        assert!(matches!(copied, Copied::Left(LeftReason::Growing)), "{}", found.original_path);
    }
    assert!(!folder.path().join("bronze/.incoming/copy").exists(), "not a byte of it was read");
}

#[tokio::test]
async fn a_growing_file_waits_for_the_next_pass() {
    let mut home = Home::new().await;
    home.write("crm/fresh.csv", "one", 0);
    home.write("crm/whole.csv", "two", 0);
    let path = home.settings.drop.join("crm/fresh.csv");
    let work = move || fs::write(&path, "one and more").unwrap();
    home.clock = Arc::new(WorkingClock { clock: home.hands.clone(), work });
    let first = home.pass().await;
    assert_eq!(first.left, [LeftFile { path: "crm/fresh.csv".to_owned(), reason: LeftReason::Growing }]);
    assert_eq!(paths(&first.taken), ["crm/ingest_date=2026-03-19/whole.3fc4ccfe.csv"]);

    home.write("crm/fresh.csv", "one and more", 10);
    let second = home.pass().await;
    assert_eq!((second.taken.len(), second.left.len(), second.unchanged), (1, 0, 1));
}

#[tokio::test]
async fn a_pass_that_died_before_the_rename_is_finished_by_the_next() {
    let home = Home::new().await;
    home.write("crm/a.csv", "one", 100);
    // What a pass leaves that dies between the reservation and the rename, a day before.
    let sha256 = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let file = BronzeFile {
        source: "crm".to_owned(),
        original_path: "a.csv".to_owned(),
        sha256: sha256.to_owned(),
        size_bytes: 3,
        source_modified_ns: (NOW - 100_000) * 1_000_000,
        ingested_at: rfc3339_millis(NOW - 86_400_000),
        bronze_path: "crm/ingest_date=2026-03-18/a.7692c3ad.csv".to_owned(),
    };
    home.catalog.reserve_file(&file).await.unwrap();
    fs::create_dir_all(home.settings.bronze.join(".incoming")).unwrap();
    fs::write(home.settings.bronze.join(".incoming/copy"), "half").unwrap();

    assert_eq!(paths(&home.pass().await.taken), [file.bronze_path.as_str()]);
    assert_eq!(home.bronze(), [(file.bronze_path, "one".to_owned())]);
    assert!(home.folder.path().exists());
}
