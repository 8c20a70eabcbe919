//! A disk that is full and folders that are read-only: a clear error, and nothing lost when there is room again.

use crate::feed;
use crate::mounted::{Ended, Mounted};
use crate::process::{Home, TRY_AGAIN};
use crate::results::{Results, assert_each_once, assert_same, results};

const PLUGINS: [&str; 4] = ["payment-direct-fraud", "card-testing", "psp-error-rate", "payments-by-currency"];
const RUN: &str = "run streams --until-end";
/// Their alerts are some megabytes.
const PAYMENTS: u64 = 6_000;
/// Room on the disk, in percent of what the output needs.
const ROOM_PERCENT: [u64; 7] = [0, 2, 5, 10, 20, 30, 40];
/// What systems and SQLite say when there is none left; the last when there is not even room to open.
const NO_ROOM: [&str; 3] =
    ["No space left on device", "database or disk is full", "disk I/O error: there may be no room on the disk"];
const READ_ONLY: [&str; 2] = ["Read-only file system", "attempt to write a readonly database"];

/// A home of its own file system that has run once, so that databases and compiled plugins are there, and whose payments then came.
fn home() -> Mounted {
    let home = Home::with(&PLUGINS);
    // Many batches and checkpoints, so that output grows step by step.
    std::fs::write(
        home.path().join("tamis.toml"),
        "[streams]\nrows_max = 250\ncheckpoint_interval_ms = 5\nlake_interval_ms = 50\n",
    )
    .unwrap();
    let mounted = Mounted::with(&home);
    mounted.tamis(RUN).expect_success();
    let fed = tempfile::tempdir().unwrap();
    feed::append(fed.path(), 0..PAYMENTS);
    mounted.take(fed.path());
    mounted
}

fn left(home: &Mounted) -> Results {
    let copy = home.copy();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let results = runtime.block_on(results(copy.path(), &["payments"]));
    assert_each_once(&results, "in the end");
    results
}

/// The part of the home that the words of a run name.
fn place(ended: &Ended) -> Option<&'static str> {
    let places = ["tamis.db", "warehouse.db", "topics", "lake", "checkpoints", "cache"];
    let is_named =
        |place: &&str| [format!("/home/{place}"), format!(" {place}: ")].iter().any(|name| ended.said.contains(name));
    places.into_iter().find(is_named)
}

/// What an undisturbed run leaves, and how many bytes that takes.
fn undisturbed() -> (Results, u64) {
    let home = home();
    let before = home.used_bytes();
    home.tamis(RUN).expect_success();
    let results = left(&home);
    for place in ["topic alerts_advanced_fraud", "topic dead_letters", "live alerts in the lake", "aggregates"] {
        assert!(results.contains_key(place), "{place} is empty: nothing could be lost");
    }
    (results, home.used_bytes() - before)
}

/// Fails unless a run ended with an outage whose words say what is wrong.
#[track_caller]
fn assert_refused(ended: &Ended, words: &[&str], when: &str) {
    assert_eq!(ended.code, TRY_AGAIN, "{when}: {}", ended.said);
    assert!(words.iter().any(|words| ended.said.contains(words)), "{when}: {}", ended.said);
    assert!(!ended.said.contains("panicked"), "{when}: {}", ended.said);
}

#[test]
#[allow(clippy::print_stderr, reason = "it says what the disk was full for")]
fn a_full_disk_ends_a_run_with_a_clear_error_and_loses_nothing() {
    let (expected, bytes) = undisturbed();
    for percent in ROOM_PERCENT {
        let home = home();
        let when = format!("with room for {percent} % of {bytes} bytes");
        home.resize(home.used_bytes() + bytes * percent / 100);
        let ended = home.tamis(RUN);
        eprintln!("{when}: {}", ended.said.trim());
        assert_refused(&ended, &NO_ROOM, &when);
        assert!(place(&ended).is_some(), "{when}: no file is named: {}", ended.said);
        // The next try on the full disk ends the same way, unless SQLite has made room for it in its log.
        let again = home.tamis(RUN);
        if again.code != 0 {
            assert_refused(&again, &NO_ROOM, &format!("{when}, again"));
        }
        home.resize(Mounted::BYTES);
        home.tamis(RUN).expect_success();
        assert_same(&left(&home), &expected, &when);
    }
}

/// Where a shared disk ends is a matter of luck; each folder is seen to end by being on a small disk of its own.
#[test]
#[allow(clippy::print_stderr, reason = "it says what the disk was full for")]
fn a_full_folder_ends_a_run_with_a_clear_error_and_loses_nothing() {
    let (expected, _) = undisturbed();
    for folder in ["topics", "lake", "checkpoints"] {
        for room_bytes in [0, 64 << 10] {
            let home = home();
            let when = format!("{folder} with room for {room_bytes} bytes");
            home.put_apart(folder, room_bytes);
            let ended = home.tamis(RUN);
            eprintln!("{when}: {}", ended.said.trim());
            assert_refused(&ended, &NO_ROOM, &when);
            assert_eq!(place(&ended), Some(folder), "{when}: {}", ended.said);
            home.give_room(folder);
            home.tamis(RUN).expect_success();
            assert_same(&left(&home), &expected, &when);
        }
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "it says what could not be written")]
fn a_read_only_folder_ends_a_run_with_a_clear_error_and_loses_nothing() {
    let (expected, _) = undisturbed();
    for folder in ["lake", "checkpoints"] {
        let home = home();
        home.make_read_only(folder);
        let ended = home.tamis(RUN);
        eprintln!("{folder}: {}", ended.said.trim());
        assert_refused(&ended, &READ_ONLY, folder);
        assert_eq!(place(&ended), Some(folder), "{}", ended.said);
        home.make_writable(folder);
        home.tamis(RUN).expect_success();
        assert_same(&left(&home), &expected, folder);
    }
}
