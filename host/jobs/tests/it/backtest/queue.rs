//! Backtests in the catalogue, of rules and plugins as people have them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tamis_catalog::backtests::{Backtest as Stored, BacktestState};
use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::RuleStep;
use tamis_catalog::{Actor, Catalog, Change};
use tamis_connectors::topics::{Found, TimeRange};
use tamis_engine::memory::ManualClock;
use tamis_engine::{Chunk, Read, Source};
use tamis_jobs::backtest::{BacktestContext, BacktestReport, BacktestRequest, enqueue, work_off};
use tamis_model::position::{Partition, Positions};
use tamis_model::time::rfc3339_millis;
use tamis_model::{Kind, Result};
use tamis_registry::{Draft, Registry};

use super::feed::{MIDDLE, NOON, SANDBOX, SHOP, component, context, schemas};

/// A home with the plugin card-testing and a rule of that name: version 1 is active, version 2 bears fewer attempts.
struct Home {
    registry: Registry,
    clock: ManualClock,
    context: Arc<BacktestContext>,
    _folder: tempfile::TempDir,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let components = folder.path().join("components");
        let registry = Registry::open(Arc::clone(&SANDBOX), catalog, components, schemas()).await.unwrap();
        registry.take_in(component("card-testing")).await.unwrap();
        let (author, other) = (actor("ann"), actor("bob"));
        let config =
            |attempts_max: u32| json!({"attempts_max": attempts_max, "window_ms": 40_000}).as_object().cloned();
        let draft = |attempts_max| Draft { config: config(attempts_max), ..Draft::default() };
        registry.create_rule("card-testing", &draft(2), &change(&author)).await.unwrap();
        registry.create_version("card-testing", &draft(1), &change(&author)).await.unwrap();
        for (step, who) in [(VersionStep::Submit, &author), (VersionStep::Approve, &other)] {
            registry.catalog().change_version("card-testing", 1, step, None, &change(who)).await.unwrap();
        }
        registry.change_rule("card-testing", &RuleStep::Activate { version: 1 }, None, &change(&author)).await.unwrap();
        let clock = ManualClock::new(NOON);
        let context = BacktestContext { clock: Arc::new(clock.clone()), ..context(&SHOP.topics()) };
        Self { registry, clock, context: Arc::new(context), _folder: folder }
    }

    async fn ask(&self, members: Value) -> Result<Stored> {
        let actor = actor("ann");
        // Two that are asked for within a millisecond have no order.
        self.clock.advance(1);
        enqueue(&self.registry, &self.context, &request(members), &change(&actor)).await
    }

    async fn work_off(&self, id: Option<&str>) -> Option<Stored> {
        work_off(&self.registry, &self.context, id, &AtomicBool::new(false), &|_| {}).await.unwrap()
    }
}

fn actor(subject: &str) -> Actor {
    Actor { subject: subject.to_owned(), token_id: None }
}

fn change(actor: &Actor) -> Change<'_> {
    Change { actor, why: None, at: NOON }
}

/// A request for the middle of the shop's time.
fn request(members: Value) -> BacktestRequest {
    let mut request = json!({"from": rfc3339_millis(MIDDLE.from), "to": rfc3339_millis(MIDDLE.to)});
    request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    serde_json::from_value(request).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_worked_off_in_turn_and_reported() {
    let home = Home::new().await;
    let first = home.ask(json!({"rule": "card-testing", "version": 2})).await.unwrap();
    let second = home.ask(json!({"plugin": "card-testing"})).await.unwrap();
    assert_eq!((first.state, first.author.as_str()), (BacktestState::Queued, "ann"));
    let done = home.work_off(None).await.unwrap();
    assert_eq!((&done.id, done.state, &done.error), (&first.id, BacktestState::Succeeded, &None));
    let report: BacktestReport = serde_json::from_value(done.report.unwrap()).unwrap();
    assert_eq!((done.rows_done, done.rows_total), (report.records.read, Some(report.records.read)));
    assert_eq!(home.work_off(Some(&second.id)).await.unwrap().state, BacktestState::Succeeded);
    assert_eq!(home.work_off(None).await, None);
}

/// The version and the configuration's limit that were tried, and those that they were compared with.
type Tried = (Option<u32>, u64, Option<(Option<u32>, u64)>);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_open_is_decided() {
    let home = Home::new().await;
    let cases: [(Value, Tried); 7] = [
        (json!({"rule": "card-testing"}), (Some(1), 2, None)),
        (json!({"rule": "card-testing", "version": 2}), (Some(2), 1, Some((Some(1), 2)))),
        (json!({"rule": "card-testing", "version": 1, "compare_with": 2}), (Some(1), 2, Some((Some(2), 1)))),
        (json!({"rule": "card-testing", "config": {"attempts_max": 7}}), (None, 7, Some((Some(1), 2)))),
        (json!({"plugin": "card-testing", "config": {"attempts_max": 7}}), (None, 7, Some((Some(1), 2)))),
        (json!({"plugin": "card-testing", "rule": "other", "config": {"window_ms": 1}}), (None, 3, None)),
        (
            json!({"plugin": "card-testing", "rule": "other", "compare_with": "card-testing@0.1.0"}),
            (None, 3, Some((None, 3))),
        ),
    ];
    for (members, expected) in cases {
        let resolved = request(members.clone()).resolve(&home.registry).await;
        let resolved = resolved.unwrap_or_else(|error| panic!("{members}: {}", error.chain()));
        let tried = |plan: &tamis_engine::RulePlan| {
            let config: Value = serde_json::from_str(&plan.config).unwrap();
            ((plan.version > 0).then_some(plan.version), config["attempts_max"].as_u64().unwrap())
        };
        let (number, limit) = tried(&resolved.version);
        assert_eq!((number, limit, resolved.compared_with.as_ref().map(tried)), expected, "{members}");
        let names =
            [Some(&resolved.version), resolved.compared_with.as_ref()].into_iter().flatten().map(|plan| &plan.name);
        assert!(names.clone().all(|name| name == names.clone().next().unwrap()), "ids are those of one rule");
    }
    let margins = |members| {
        let registry = &home.registry;
        async move { request(members).resolve(registry).await.unwrap().margins }
    };
    let needed = margins(json!({"rule": "card-testing", "version": 2})).await;
    assert_eq!((needed.warm_up_ms, needed.run_out_ms), (80_000, 40_000));
    let chosen = margins(json!({"rule": "card-testing", "warmup_ms": 0, "run_out_ms": 7})).await;
    assert_eq!((chosen.warm_up_ms, chosen.run_out_ms), (0, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_is_refused_before_it_is_queued() {
    let home = Home::new().await;
    let cases = [
        (json!({}), Kind::Invalid, "name a rule or a plugin"),
        (json!({"rule": "nobody"}), Kind::Missing, "rule nobody"),
        (json!({"rule": "card-testing", "version": 9}), Kind::Missing, "version 9 of rule card-testing"),
        (
            json!({"rule": "card-testing", "version": 1, "compare_with": 9}),
            Kind::Missing,
            "version 9 of rule card-testing",
        ),
        (json!({"plugin": "nothing"}), Kind::Missing, "it was not uploaded"),
        (json!({"plugin": "card-testing", "plugin_version": "9.0.0"}), Kind::Missing, "card-testing 9.0.0"),
        (json!({"plugin": "card-testing", "config": {"attempts_max": -1}}), Kind::Invalid, "attempts_max"),
        (json!({"plugin": "card-testing", "version": 1}), Kind::Invalid, "either a version of a rule or a plugin"),
        (
            json!({"rule": "card-testing", "plugin_version": "0.1.0"}),
            Kind::Invalid,
            "the version of a plugin needs the plugin",
        ),
        (json!({"rule": "card-testing", "source": "archive"}), Kind::Invalid, "do not read the archive"),
        (json!({"rule": "card-testing", "to": "2026-01-01T00:00:00Z"}), Kind::Invalid, "`from` must lie before `to`"),
    ];
    for (members, kind, words) in cases {
        let error = home.ask(members.clone()).await.unwrap_err();
        assert!(
            error.kind() == kind && error.chain().contains(words),
            "{members}: {:?} {}",
            error.kind(),
            error.chain()
        );
    }
    assert_eq!(home.work_off(None).await, None);
}

/// Payments without end.
struct Endless(i64);

impl Source for Endless {
    fn open(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(vec![Partition { topic: "payments".to_owned(), number: 0 }])
    }

    fn read(&mut self, _: &Partition, chunk: &mut Chunk) -> Result<Read> {
        std::thread::sleep(std::time::Duration::from_millis(1));
        let (offset, value) = (self.0, r#"{"payment_id":"p","amount":1,"method":"card","status":"failed"}"#);
        let line = format!("{{\"offset\":{offset},\"timestamp\":{},\"key\":null,\"value\":{value}}}\n", NOON + offset);
        chunk.fill(|bytes| bytes.extend_from_slice(line.as_bytes()));
        self.0 += 1;
        Ok(Read::Records)
    }

    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

fn endless(_: &[String], _: TimeRange) -> Result<Found> {
    Ok(Found { records: 1, source: Box::new(|| Box::new(Endless(0))) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_at_work_stops_when_somebody_or_the_host_wants_it_to() {
    let home = Home::new().await;
    for (by_host, expected) in [(false, BacktestState::Cancelled), (true, BacktestState::Failed)] {
        let asked = home.ask(json!({"rule": "card-testing"})).await.unwrap();
        let stop = AtomicBool::new(false);
        let (registry, id) = (home.registry.clone(), asked.id.clone());
        let context = Arc::new(BacktestContext { find: Box::new(endless), ..context(&SHOP.topics()) });
        let work = work_off(&home.registry, &context, Some(&asked.id), &stop, &|_| {});
        let cancel = async {
            let state = |id: String| {
                let registry = registry.clone();
                async move { registry.catalog().backtest(&id).await.unwrap().unwrap().state }
            };
            while state(id.clone()).await == BacktestState::Queued {
                tokio::task::yield_now().await;
            }
            match by_host {
                true => stop.store(true, Ordering::Relaxed),
                false => drop(registry.catalog().cancel_backtest(&id, &change(&actor("bob"))).await.unwrap()),
            }
        };
        let (ended, ()) = tokio::join!(work, cancel);
        let ended = ended.unwrap().unwrap();
        assert_eq!((ended.state, ended.report), (expected, None), "{:?}", ended.error);
    }
}
