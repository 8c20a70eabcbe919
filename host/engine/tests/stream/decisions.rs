//! What the stream made of single records, told to whoever waits for it.

use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tamis_engine::decisions::{Asked, Decision, Outcome, RuleResult, Ticket, Verdict};
use tamis_engine::rules::{Budget, Role};
use tamis_engine::{Command, Commands, Decisions, RulePlan, Stream};
use tamis_model::Result;
use tamis_model::manifest::{Late, Manifest};
use tamis_model::rule::{Finding, Judged, Keyed, NEVER, NOT_JUDGED, Rule, Severity, Subject};
use tamis_model::time::Millis;

use crate::feed::{AMOUNT_MAX, NOON, Payment, RATE_MAX, RATE_MS, Reading, World, payments, settle};
use crate::rules::{high_amount, manifest, plan, rate};

const REQUEST: u128 = 0xfeed;

impl World {
    /// Appends a payment that somebody waits for.
    fn append_awaited(&self, offset: i64, record: u32, id: &str, payment: &Payment) {
        self.append_with(Ticket { request: REQUEST, record, body: None }, offset, id, payment);
    }

    fn append_with(&self, ticket: Ticket, offset: i64, id: &str, payment: &Payment) {
        let (name, value) = ticket.header();
        let session = payment.session.map_or("null".to_owned(), |session| format!("\"{session}\""));
        let (method, time) = (if payment.valid { "card" } else { "barter" }, payment.time);
        let amount = format!("{}.{:02}", payment.amount / 100, payment.amount % 100);
        let line = format!(
            r#"{{"offset":{offset},"timestamp":{time},"key":"{id}","value":{{"payment_id":"{id}","session_id":{session},"amount":{amount},"method":"{method}","status":"succeeded"}},"headers":[["{name}","{}"]]}}"#,
            BASE64_STANDARD.encode(value)
        );
        self.topics.append_line(&payments(payment.partition), &line);
    }

    /// Waits for so many records. What comes of them, in words, once it is there.
    fn ask(&self, records: u32) -> Receiver<Vec<String>> {
        let (asked, answer) = self.ask_with(None, records);
        assert_eq!(asked, Asked::Waits { missing: (0..records).collect() });
        answer
    }

    fn ask_with(&self, body: Option<u128>, records: u32) -> (Asked, Receiver<Vec<String>>) {
        let (reply, answer) = channel();
        let alerts = self.alerts.clone();
        let reply = move |decided: Vec<Decision>| {
            let ids: Vec<_> = alerts.content().into_iter().map(|alert| alert.alert_id).collect();
            let _ = reply.send(decided.iter().map(|decision| told(decision, &ids)).collect());
        };
        (self.decisions.ask(REQUEST, body, records, reply), answer)
    }
}

/// A decision in words. Its alerts are among those that have left.
fn told(decision: &Decision, left: &[String]) -> String {
    let Decision { partition, offset, revision, outcome } = decision;
    assert_eq!((partition, revision), (&payments(0), &1));
    let verdict = |RuleResult { rule, verdict, .. }: &RuleResult| match verdict {
        Verdict::NoHit => format!(" {rule} -"),
        Verdict::Hit(hit) => {
            assert!(left.contains(&hit.alert_id), "{} has not left", hit.alert_id);
            assert_eq!(hit.criteria, [&**rule]);
            let context = serde_json::to_string(&hit.context).unwrap();
            format!(" {rule} {}{} {context}", hit.severity.name(), if hit.repeated { " again" } else { "" })
        }
        Verdict::Error { reason, .. } => format!(" {rule} {reason}"),
    };
    match outcome {
        Outcome::Judged { late, rules } => {
            let rules: String = rules.iter().map(verdict).collect();
            format!("{offset}{}{rules}", if *late { " late" } else { "" })
        }
        Outcome::Refused { reason, .. } => format!("{offset} {reason}"),
    }
}

/// Fires for every payment of a session but the first, late ones left out.
fn again() -> RulePlan {
    struct Again;
    impl Rule for Again {
        fn configure(&mut self, _: &str) -> Result<()> {
            Ok(())
        }
        fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
            let mut seen: Vec<bool> = (0..rows.keys.len()).map(|group| !rows.states.get(group).is_empty()).collect();
            let mut judged = Judged::default();
            for (row, group) in rows.groups.iter().enumerate().filter(|(_, group)| **group != NOT_JUDGED) {
                if std::mem::replace(&mut seen[*group as usize], true) {
                    let (subject, severity) = (Subject::Row(row as u32), Severity::Info);
                    judged.findings.push(Finding { subject, severity, criteria: 1, context: vec![] });
                }
            }
            for _ in seen {
                judged.states.push(b"seen");
                judged.wakes.push(NEVER);
            }
            Ok(judged)
        }
        fn advance(&mut self, _: &Keyed<'_>) -> Result<Judged> {
            panic!("it has no timers");
        }
    }
    let manifest = Manifest { late: Late::Ignore, ..manifest("again", "session_id", Some("session_id"), &[]) };
    plan(manifest, "0", || Again)
}

fn rules() -> Vec<RulePlan> {
    vec![high_amount(AMOUNT_MAX), again(), rate("session_id", RATE_MAX, RATE_MS)]
}

fn payment(after: Millis, session: &'static str, amount: i64) -> Payment {
    Payment::new(0, NOON + after, session, amount)
}

/// Payments with what comes of them, by the rules of [`rules`].
fn cases() -> Vec<(Payment, &'static str)> {
    let valid = |after, session, amount| payment(after, session, amount);
    vec![
        (valid(0, "s1", 100), "0 high-amount - again - rate -"),
        (valid(1, "s1", 160_000), r#"1 high-amount high {"amount":1600} again info {} rate -"#),
        (valid(2, "s2", 666), "2 high-amount trap again - rate -"),
        (Payment { valid: false, ..valid(3, "s1", 100) }, "3 not_in_enum"),
        (Payment { session: None, ..valid(4, "", 100) }, "4 high-amount -"),
        (valid(60_000, "s1", 100), "5 high-amount - again info {} rate -"),
        (valid(10, "s1", 400_000), r#"6 late high-amount critical {"amount":4000}"#),
        (valid(400_000, "s1", 100), "7 future_timestamp"),
        (Payment { valid: false, ..valid(400_000, "s1", 100) }, "8 future_timestamp"),
        (valid(60_001, "s1", 100), "9 high-amount - again info {} rate -"),
    ]
}

#[test]
fn who_waits_is_told_what_the_stream_did() {
    for shards in 1..=2 {
        for rows_max in [1, 2, 3, 4096] {
            let (world, cases) = (World::new(), cases());
            let answer = world.ask(cases.len() as u32);
            for (n, (payment, _)) in cases.iter().enumerate() {
                world.append_awaited(n as i64, n as u32, &format!("p{n}"), payment);
            }
            let mut stream = world.open(rules(), Reading { rows_max, shards, ..Reading::LIVE });
            settle(&mut stream);
            let expected: Vec<_> = cases.iter().map(|(_, expected)| *expected).collect();
            assert_eq!(answer.try_recv().unwrap(), expected, "rows_max {rows_max}, shards {shards}");
        }
    }
}

/// Rows of many sessions, of which some are waited for: enough that two shards work at the same time.
#[test]
fn shards_that_work_at_the_same_time_tell_the_same() {
    const SESSIONS: [&str; 4] = ["s1", "s2", "s3", "s4"];
    for shards in 1..=2 {
        let world = World::new();
        let answer = world.ask(40);
        for n in 0..4_000_u32 {
            let payment = payment(i64::from(n) * 10, SESSIONS[n as usize % 4], 100);
            match n % 100 {
                0 => world.append_awaited(n.into(), n / 100, &format!("p{n}"), &payment),
                _ => world.append(&format!("p{n}"), &payment),
            }
        }
        settle(&mut world.open(rules(), Reading { rows_max: 1_000, shards, ..Reading::LIVE }));
        let told = answer.try_recv().unwrap();
        let expected = (0..40).map(|n| match n {
            0 => "0 high-amount - again - rate -".to_owned(),
            n => format!("{} high-amount - again info {{}} rate -", n * 100),
        });
        assert_eq!(told, expected.collect::<Vec<_>>(), "shards {shards}");
        assert_eq!(world.raised().len(), 4_000 - SESSIONS.len());
    }
}

#[test]
fn the_same_id_again_is_told_to_be_a_repeat() {
    let world = World::new();
    let answer = world.ask(2);
    for n in 0..2 {
        world.append_awaited(n, n as u32, "p1", &payment(n, "s1", 160_000));
    }
    settle(&mut world.open(vec![high_amount(AMOUNT_MAX)], Reading::LIVE));
    let again = [r#"0 high-amount high {"amount":1600}"#, r#"1 high-amount high again {"amount":1600}"#];
    assert_eq!(answer.try_recv().unwrap(), again);
    assert_eq!(world.alerts.content().len(), 1);
}

#[test]
fn one_version_speaks_for_a_key_where_a_canary_runs_and_a_shadow_speaks_beside_it() {
    let canary = |percent| RulePlan {
        version: 2,
        role: Role::Canary { percent, budget: Budget::default() },
        ..high_amount(AMOUNT_MAX)
    };
    let shadow = RulePlan { version: 3, role: Role::Shadow, ..high_amount(AMOUNT_MAX) };
    let mut spoke = [0; 4];
    for n in 0..40 {
        let id = format!("p{n}");
        for (trial, expected) in [(canary(50), 1), (shadow.clone(), 2)] {
            let world = World::new();
            let (reply, answer) = channel();
            let reply = move |decided: Vec<Decision>| {
                let Outcome::Judged { rules, .. } = &decided[0].outcome else { panic!("it was refused") };
                let _ = reply.send(rules.iter().map(|result| result.version as usize).collect::<Vec<_>>());
            };
            assert_eq!(world.decisions.ask(REQUEST, None, 1, reply), Asked::Waits { missing: vec![0] });
            world.append_awaited(0, 0, &id, &payment(0, "s1", if n % 2 == 0 { 100 } else { 160_000 }));
            settle(&mut world.open(vec![high_amount(AMOUNT_MAX), trial], Reading::LIVE));
            let versions = answer.try_recv().unwrap();
            assert_eq!(versions.len(), expected, "{versions:?}");
            versions.into_iter().for_each(|version| spoke[version] += 1);
        }
    }
    assert!(spoke[2] > 5 && spoke[2] < 35, "the canary speaks for some keys: {spoke:?}");
    assert_eq!((spoke[1], spoke[3]), (40 + 40 - spoke[2], 40));
}

#[test]
fn what_nobody_waits_for_is_judged_like_everything_else() {
    let world = World::new();
    let answer = world.ask(1);
    world.append_awaited(0, 7, "p0", &payment(0, "s1", 160_000));
    world.topics.append_line(
        &payments(0),
        r#"{"offset":1,"timestamp":1773835200001,"key":null,"value":{"payment_id":"tamis.decision","amount":1,"method":"card","status":"failed","order_id":"tamis.decision"},"headers":[["tamis.decision","IQ=="]]}"#,
    );
    let mut stream = world.open(rules(), Reading::LIVE);
    settle(&mut stream);
    assert!(answer.try_recv().is_err());
    assert_eq!(stream.report().counts.rules["high-amount"].judged, 2);
    assert_eq!(world.raised(), ["high-amount p0"]);
}

#[test]
fn a_restart_tells_who_still_waits_and_nobody_twice() {
    let world = World::new();
    let answer = world.ask(2);
    world.append_awaited(0, 0, "p0", &payment(0, "s1", 160_000));
    settle(&mut world.open(rules(), Reading::LIVE));
    // It dies before its next checkpoint: the record is judged again.
    world.append_awaited(1, 1, "p1", &payment(1, "s2", 100));
    settle(&mut world.open(rules(), Reading::LIVE));
    let told = answer.try_recv().unwrap();
    assert_eq!(told, [r#"0 high-amount high {"amount":1600} again - rate -"#, "1 high-amount - again - rate -"]);
}

/// A process that dies has written the first two records of a request with a key, and has checkpoints that know of `saved` of them. The
/// next one gives the answer that the first would have given, and has only the third one written.
#[track_caller]
fn check_restart(saved: usize, shards: usize) {
    const BODY: Option<u128> = Some(5);
    let mut world = World { decisions: Decisions::remembering(), ..World::new() };
    let append = |world: &World, n: u32| {
        let ticket = Ticket { request: REQUEST, record: n, body: BODY };
        world.append_with(ticket, n.into(), &format!("p{n}"), &payment(n.into(), "s1", 160_000));
    };
    let reading = Reading { shards, checkpoint_interval_ms: i64::MAX, ..Reading::LIVE };
    let mut stream = world.open(rules(), reading);
    settle(&mut stream);
    assert_eq!(world.ask_with(BODY, 3).0, Asked::Waits { missing: vec![0, 1, 2] });
    for n in 0..2 {
        if n == saved {
            stream.stop().unwrap();
        }
        append(&world, n as u32);
        settle(&mut stream);
    }
    if saved == 2 {
        stream.stop().unwrap();
    }
    drop(stream);
    world.decisions = Decisions::remembering();
    assert_eq!(world.ask_with(BODY, 3).0, Asked::Behind, "no stream has said anything yet");
    let mut stream = world.open(rules(), reading);
    assert_eq!(world.ask_with(BODY, 3).0, Asked::Behind, "it has read nothing yet");
    settle(&mut stream);
    assert_eq!(world.ask_with(Some(6), 3).0, Asked::Another);
    let (asked, answer) = world.ask_with(BODY, 3);
    assert_eq!(asked, Asked::Waits { missing: vec![2] }, "{saved} saved, {shards} shards");
    append(&world, 2);
    settle(&mut stream);
    let told = answer.try_recv().unwrap();
    let hit = r#"high-amount high {"amount":1600}"#;
    let second = format!("1 {hit} again info {{}} rate -");
    let expected = [format!("0 {hit} again - rate -"), second.clone(), second.replacen('1', "2", 1)];
    assert_eq!(told, expected, "{saved} saved, {shards} shards");
    let (asked, answer) = world.ask_with(BODY, 3);
    assert_eq!((asked, answer.try_recv().unwrap()), (Asked::Waits { missing: vec![] }, expected.to_vec()));
    assert_eq!(stream.report().counts.rules["high-amount"].judged, 3, "each is judged once");
}

#[test]
fn a_request_with_a_key_is_known_after_a_restart() {
    for saved in 0..=2 {
        for shards in 1..=2 {
            check_restart(saved, shards);
        }
    }
}

/// Whether clock time passes while a stream waits, after `wake` has been done.
fn waits(world: &World, stream: &mut Stream, wake: impl FnOnce()) -> bool {
    use tamis_engine::Clock as _;
    settle(stream);
    wake();
    let before = world.clock.now();
    settle(stream);
    world.clock.now() > before
}

#[test]
fn a_stream_that_waits_is_woken() {
    let world = World::of(&[payment(0, "s1", 100)]);
    let mut stream = world.open(rules(), Reading::LIVE);
    assert!(waits(&world, &mut stream, || {}));
    assert!(!waits(&world, &mut stream, || world.decisions.waker().wake()));
    assert!(waits(&world, &mut stream, || {}), "once");
    let (commands, _received) = Commands::new(world.decisions.waker().clone());
    assert!(!waits(&world, &mut stream, || assert!(commands.send(Command::Stop))));
}
