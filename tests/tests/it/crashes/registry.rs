//! Every operation of the registry fails once, at each statement and each commit of the catalogue, and behind its effect: nothing of it
//! is half done, it can be done again, and the stream beside it has every row once.

mod books;
mod home;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tamis_model::{Kind, Result};

use self::books::{BLOWN, Blows, Burnt, Content, DOOMED};
use self::home::{Home, Shop};
use self::script::{Operation, script};
use super::THREADS;
use crate::results::{Results, assert_each_once, assert_same};

/// Statements and commits of the script at least, each of which fails.
const STATEMENTS_MIN: usize = 370;
const COMMITS_MIN: usize = 60;
/// Whether the process dies of it: what fails in a process that goes on must not stand in its way.
const DIES: [bool; 2] = [true, false];

/// How every operation fails in a run of the script, where it gets that far.
#[derive(Clone, Copy, Debug)]
struct Failure {
    /// Where; none = it is done, and the answer is lost.
    at: Option<Blows>,
    /// Whether the process dies of it, or goes on.
    dies: bool,
}

impl Failure {
    /// All that there is to try: a run for each statement and each commit of the longest operation.
    fn all(burnt: &[Burnt]) -> Vec<Self> {
        let statements = burnt.iter().map(|burnt| burnt.statements).max().unwrap();
        let commits = burnt.iter().map(|burnt| burnt.commits).max().unwrap();
        let places = (0..statements).map(|n| Some(Blows::AtStatement(n)));
        let places = places.chain((0..commits).map(|n| Some(Blows::AtCommit(n)))).chain([None]);
        places.flat_map(|at| DIES.map(|dies| Self { at, dies })).collect()
    }

    /// Whether an operation that writes so much gets that far.
    fn hits(self, burnt: Burnt) -> bool {
        match self.at {
            None => true,
            Some(Blows::AtStatement(number)) => number < burnt.statements,
            Some(Blows::AtCommit(number)) => number < burnt.commits,
        }
    }
}

/// What the script comes to when nothing fails.
struct Undisturbed {
    /// What each operation writes.
    burnt: Vec<Burnt>,
    /// What the catalogue holds behind each operation.
    behind: Vec<Content>,
    /// What the catalogue holds behind so many transactions of an operation: an operation that failed has left nothing else. Those between
    /// the first and the last are those that were found first: many statements fail there, and all leave the same.
    whole: Mutex<BTreeMap<(usize, usize), Results>>,
    /// What the home holds in the end.
    results: Results,
}

/// Runs the script with payments between its operations, of which `operate` does each. What the home holds in the end.
fn play(shop: &Shop, mut operate: impl FnMut(&mut Home<'_>, usize, &Operation)) -> Results {
    let mut home = Home::new(shop);
    for (number, operation) in script().iter().enumerate() {
        home.mark();
        home.set_fuse(None);
        operate(&mut home, number, operation);
        home.feed();
        home.judge();
    }
    home.end()
}

/// Whether an operation was done, or refused as things stand.
fn is_as_expected(result: &Result<()>, is_refused: bool) -> bool {
    match result {
        Ok(()) => !is_refused,
        Err(error) => is_refused && error.kind() == Kind::Conflict,
    }
}

fn undisturbed(shop: &Shop) -> Undisturbed {
    let (mut burnt, mut behind, mut whole) = (Vec::new(), Vec::new(), BTreeMap::new());
    let results = play(shop, |home, number, operation| {
        let before = home.content();
        whole.insert((number, before.transactions()), before.whole());
        let seen = home.seen(&operation.asks);
        let result = home.ask(&operation.asks, seen);
        assert!(is_as_expected(&result, operation.is_refused), "{}: {result:?}", operation.name);
        let after = home.content();
        whole.insert((number, after.transactions()), after.whole());
        burnt.push(home.burnt());
        behind.push(after);
    });
    for (place, least) in [
        ("topic alerts_fraud_payments", 60),
        ("topic alerts_advanced_fraud", 30),
        ("topic alerts_psp_payments", 1),
        ("topic shadow_alerts", 20),
        ("topic dead_letters", 10),
        ("live alerts in the lake", 100),
        ("live alerts in the warehouse", 100),
        ("aggregates", 20),
    ] {
        let rows = results.get(place).map_or(0, Vec::len);
        assert!(rows >= least, "{place}: {rows} rows are too few to test with");
    }
    assert_each_once(&results, "undisturbed");
    Undisturbed { burnt, behind, whole: Mutex::new(whole), results }
}

/// Which operations have failed at what, and how often.
type Swept = BTreeMap<(&'static str, String), usize>;

/// Runs the script so that every operation fails that gets so far, is done again, and leaves what it leaves undisturbed.
fn disturbed(shop: &Shop, failure: Failure, expected: &Undisturbed) -> Swept {
    let mut swept = Swept::new();
    let results = play(shop, |home, number, operation| {
        let seen = home.seen(&operation.asks);
        let mut when = format!("{}, {failure:?}", operation.name);
        if failure.hits(expected.burnt[number]) {
            let at = fail(home, number, operation, seen, failure, expected);
            when = format!("{when} at {at}");
            *swept.entry((operation.name, at)).or_default() += 1;
            if failure.dies {
                home.start();
            }
        }
        let again = home.ask(&operation.asks, seen);
        let is_refused = operation.is_refused || failure.at.is_none() && operation.asks.is_done_once();
        assert!(is_as_expected(&again, is_refused), "{when}: {again:?}");
        assert_same(&home.content().settled(), &expected.behind[number].settled(), &when);
    });
    assert_same(&results, &expected.results, &format!("{failure:?}"));
    assert_each_once(&results, &format!("{failure:?}"));
    swept
}

/// Lets an operation fail, which must say so and leave nothing half done. At what it failed.
fn fail(
    home: &mut Home<'_>,
    number: usize,
    operation: &Operation,
    seen: Option<u64>,
    failure: Failure,
    expected: &Undisturbed,
) -> String {
    home.set_fuse(failure.at);
    let result = home.ask(&operation.asks, seen);
    home.set_fuse(None);
    let when = format!("{}, {failure:?}", operation.name);
    if failure.at.is_none() {
        assert!(is_as_expected(&result, operation.is_refused), "{when}: {result:?}");
        return "the answer".to_owned();
    }
    let reason = result.expect_err(&when).chain();
    let at = match reason.split_once(BLOWN) {
        Some((_, statement)) => statement.to_owned(),
        None => {
            assert!(reason.contains(DOOMED), "{when}: {reason}");
            "COMMIT".to_owned()
        }
    };
    let left = home.content();
    let (transactions, left) = (left.transactions(), left.whole());
    let expected = {
        let mut whole = expected.whole.lock().unwrap();
        whole.entry((number, transactions)).or_insert_with(|| left.clone()).clone()
    };
    assert_same(&left, &expected, &format!("{when} at {at}, left behind {transactions} transactions"));
    at
}

#[test]
#[allow(clippy::print_stderr, reason = "a sweep says what it swept")]
fn every_operation_of_the_registry_fails_once_and_is_done_once() {
    let began = Instant::now();
    let shop = Shop::new();
    let expected = undisturbed(&shop);
    eprintln!("undisturbed: {} operations, {:?}", expected.burnt.len(), began.elapsed());
    let failures = Failure::all(&expected.burnt);
    let (next, swept) = (AtomicUsize::new(0), Mutex::new(Swept::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(failure) = failures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failed = disturbed(&shop, *failure, &expected);
                    let mut swept = swept.lock().unwrap();
                    failed.into_iter().for_each(|(place, count)| *swept.entry(place).or_default() += count);
                }
            });
        }
    });
    let swept = swept.into_inner().unwrap();
    let statements: usize = expected.burnt.iter().map(|burnt| burnt.statements).sum();
    let commits: usize = expected.burnt.iter().map(|burnt| burnt.commits).sum();
    eprintln!("{} runs, {statements} statements, {commits} commits, {:?}", failures.len(), began.elapsed());
    assert!(statements >= STATEMENTS_MIN && commits >= COMMITS_MIN, "{statements} statements, {commits} commits");
    let operations = script().len();
    let total = DIES.len() * (statements + commits + operations);
    assert_eq!(swept.values().sum::<usize>(), total, "each failed once, with and without the process");
    for operation in script() {
        for at in ["INSERT audit", "COMMIT", "the answer"] {
            let failed = swept.contains_key(&(operation.name, at.to_owned()));
            assert!(failed, "{at} of {:?} never failed", operation.name);
        }
    }
    let written: BTreeSet<&str> = swept.keys().map(|(_, at)| at.as_str()).collect();
    let expected = [
        "COMMIT",
        "DELETE events",
        "INSERT audit",
        "INSERT events",
        "INSERT list_revisions",
        "INSERT operational_alerts",
        "INSERT plugin_versions",
        "INSERT rule_history",
        "INSERT rule_versions",
        "INSERT rules",
        "UPDATE plugin_versions",
        "UPDATE rule_set",
        "UPDATE rule_versions",
        "UPDATE rules",
        "the answer",
    ];
    assert_eq!(written.into_iter().collect::<Vec<_>>(), expected);
}
