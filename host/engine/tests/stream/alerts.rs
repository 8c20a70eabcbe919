//! What leaves a stream: the content of alerts and dead letters.

use serde_json::json;
use tamis_engine::{Role, SHADOW_ALERTS};
use tamis_model::alert::{AlertMode, Trigger, alert_id};
use tamis_model::record::Record;

use crate::feed::{NOON, Payment, Reading, World, all_rules, finish, payments, settle};
use crate::rules::{high_amount, rate};

fn header<'a>(record: &'a Record, name: &str) -> &'a str {
    let (_, value) = record.headers.iter().find(|(header, _)| header == name).unwrap();
    std::str::from_utf8(value).unwrap()
}

#[test]
fn an_alert_says_what_the_contract_says() {
    let world = World::new();
    let value = r#"{"payment_id":"p1","order_id":"o1","customer_id":"c1","session_id":"s1","amount":1500.01,"method":"card","status":"failed"}"#;
    world.topics.append(&payments(0), NOON + 7, None, value);
    finish(&mut world.open(vec![high_amount(150_000)], Reading::WHOLE));
    let [record] = &world.records.content()[..] else { panic!("one alert") };
    assert_eq!(
        (&record.topic[..], record.timestamp, record.key.as_deref()),
        ("alerts_payments", NOON + 7, Some(&b"p1"[..]))
    );
    let written: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    let id = alert_id(AlertMode::Live, "high-amount", Trigger::Event { topic: "payments", id: "p1" });
    let expected = json!({
        "alert_id": id, "rule": "high-amount", "rule_version": 1, "plugin_version": "1.2.3",
        "plugin_sha256": "5a".repeat(32),
        "severity": "high", "mode": "live", "event_time": "2026-03-18T12:00:00.007Z",
        "generated_at": "2026-03-18T12:00:00.000Z", "key": null, "payment_id": "p1", "order_id": "o1",
        "customer_id": "c1", "criteria": ["high-amount"], "context": { "amount": 1500.01 },
    });
    assert_eq!(written, expected);
    assert_eq!(serde_json::to_value(&world.alerts.content()[0]).unwrap(), expected, "the other sinks get the same");
}

#[test]
fn what_an_alert_says_is_bounded_and_its_id_is_not() {
    let world = World::new();
    let long = |letter: &str| letter.repeat(100_000);
    let cut = |letter: &str| letter.repeat(4_096) + "…";
    let value = format!(
        r#"{{"payment_id":"{}","order_id":"{}","customer_id":"c1","amount":1500.01,"method":"card","status":"failed"}}"#,
        long("p"),
        long("o"),
    );
    world.topics.append(&payments(0), NOON, None, &value);
    finish(&mut world.open(vec![high_amount(150_000)], Reading::WHOLE));
    let [alert] = &world.alerts.content()[..] else { panic!("one alert") };
    let id = alert_id(AlertMode::Live, "high-amount", Trigger::Event { topic: "payments", id: &long("p") });
    assert_eq!((&alert.alert_id, &alert.payment_id, &alert.order_id), (&id, &Some(cut("p")), &Some(cut("o"))));
    let [record] = &world.records.content()[..] else { panic!("one record") };
    assert_eq!(record.key, Some(cut("p").into_bytes()));
    assert!(record.value.as_ref().unwrap().len() < 10_000);
}

#[test]
fn a_window_has_no_trigger_and_its_key_is_marked_when_it_is_personal() {
    let world = World::new();
    let value = r#"{"payment_id":"p1","customer_id":"c1","amount":1,"method":"card","status":"failed"}"#;
    world.topics.append(&payments(0), NOON + 7, None, value);
    finish(&mut world.open(vec![rate("customer_id", 0, 60_000)], Reading::WHOLE));
    let [alert] = &world.alerts.content()[..] else { panic!("one alert") };
    assert_eq!(alert.alert_id, alert_id(AlertMode::Live, "rate", Trigger::Window { key: "c1", start: NOON }));
    assert_eq!((alert.key.as_deref(), &alert.payment_id, &alert.customer_id), (Some("c1"), &None, &None));
    assert_eq!(json!(alert.context), json!({ "count": 1, "window_start": "2026-03-18T12:00:00.000Z" }));
    assert!(alert.personal.key);
}

#[test]
fn shadow_alerts_stay_off_the_live_route() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 160_000)]);
    let mut shadow = high_amount(150_000);
    shadow.role = Role::Shadow;
    finish(&mut world.open(vec![shadow], Reading::WHOLE));
    let [alert] = &world.alerts.content()[..] else { panic!("one alert") };
    let id = alert_id(AlertMode::Shadow, "high-amount", Trigger::Event { topic: "payments", id: "p0" });
    assert_eq!((&alert.alert_id, alert.mode), (&id, AlertMode::Shadow));
    assert_eq!(world.records.content()[0].topic, SHADOW_ALERTS);
}

#[test]
fn the_first_content_of_an_alert_stands() {
    for reading in [Reading::WHOLE, Reading { rows_max: 1, checkpoint_interval_ms: 0, ..Reading::WHOLE }] {
        let world = World::new();
        for amount in [160_000, 900_000, 100] {
            world.append("p", &Payment::new(0, NOON, "s1", amount));
        }
        let mut stream = world.open(vec![high_amount(150_000)], reading);
        finish(&mut stream);
        let [alert] = &world.alerts.content()[..] else { panic!("one alert") };
        assert_eq!(alert.context["amount"], 1600);
        let counts = &stream.report().counts.rules["high-amount"];
        assert_eq!((counts.findings, counts.repeated, counts.judged), (2, 1, 3));
    }
}

#[test]
fn dead_letters_carry_coordinates_and_raw_bytes() {
    let world = World::of(&[Payment::new(0, NOON, "s1", 100)]);
    let broken = r#"{"payment_id":"p1","amount":"1","method":"card","status":"failed"}"#;
    world.topics.append(&payments(0), NOON + 1, Some("k1"), broken);
    world.topics.append_line(&payments(0), "not a record");
    world.topics.append(&payments(0), NOON + 3, None, "null");
    let mut stream = world.open(all_rules(), Reading::WHOLE);
    finish(&mut stream);
    let letters = world.records.content();
    let seen: Vec<_> = letters
        .iter()
        .map(|letter| {
            (header(letter, "tamis.reason"), header(letter, "__streams.errors.offset"), letter.timestamp - NOON)
        })
        .collect();
    assert_eq!(seen, [("wrong_type", "1", 1), ("invalid_json", "-1", 1), ("tombstone", "3", 3)]);
    assert!(letters.iter().all(|letter| letter.topic == "dead_letters"));
    assert_eq!(letters[0].key.as_deref(), Some(&b"k1"[..]));
    assert_eq!(letters[0].value.as_deref(), Some(broken.as_bytes()));
    assert_eq!(letters[1].value.as_deref(), Some(&b"not a record"[..]));
    assert_eq!(letters[2].value, None);
    assert_eq!(header(&letters[0], "__streams.errors.topic"), "payments");
    assert_eq!(stream.report().counts.dead_letters, 3);
}

#[test]
fn a_poisoned_row_is_dead_lettered_for_each_rule_that_fails_and_the_others_arrive() {
    let feed = [160_000, 666, 170_000].map(|amount| Payment::new(0, NOON, "s1", amount));
    let world = World::of(&feed);
    let mut twin = high_amount(165_000);
    twin.name = "higher-amount".to_owned();
    let mut stream = world.open(vec![high_amount(150_000), twin], Reading::WHOLE);
    finish(&mut stream);
    assert_eq!(world.raised(), ["high-amount p0", "high-amount p2", "higher-amount p2"]);
    let letters: Vec<_> = world.records.content().into_iter().filter(|r| r.topic == "dead_letters").collect();
    let [letter, other] = &letters[..] else { panic!("two dead letters, not {}", letters.len()) };
    let names =
        ["tamis.reason", "tamis.plugin", "tamis.version", "__streams.errors.offset", "__streams.errors.message"];
    assert_eq!(names.map(|name| header(letter, name)), ["trap", "high-amount", "1.2.3", "1", "cannot bear it"]);
    let names = ["tamis.rule", "tamis.rule_version", "tamis.mode", "tamis.attempt"];
    assert_eq!(names.map(|name| header(letter, name)), ["high-amount", "1", "live", "1"]);
    assert_eq!(header(other, "tamis.rule"), "higher-amount");
    assert!(String::from_utf8_lossy(letter.value.as_deref().unwrap()).contains(r#""amount":6.66"#));
    let counts = &stream.report().counts;
    assert_eq!((counts.rules["high-amount"].poisoned, counts.rules["higher-amount"].poisoned), (1, 1));
}

#[test]
fn a_poisoned_key_is_dead_lettered_with_its_state_and_forgotten() {
    let feed = ["poison", "s1"].map(|session| Payment::new(0, NOON, session, 100));
    let world = World::of(&feed);
    let mut stream = world.open(vec![rate("session_id", 0, 60_000)], Reading::LIVE);
    settle(&mut stream);
    world.append("p2", &Payment::new(0, NOON + 200_000, "s1", 100));
    settle(&mut stream);
    world.append("p3", &Payment::new(0, NOON + 290_000, "s1", 100));
    settle(&mut stream);
    assert_eq!(world.raised(), ["rate s1 2026-03-18T12:00:00.000Z", "rate s1 2026-03-18T12:03:00.000Z"]);
    let letters: Vec<_> = world.records.content().into_iter().filter(|r| r.topic == "dead_letters").collect();
    let [letter] = &letters[..] else { panic!("one dead letter, not {}", letters.len()) };
    assert_eq!((letter.key.as_deref(), header(letter, "tamis.reason")), (Some(&b"poison"[..]), "deadline"));
    assert_eq!(letter.value.as_deref(), Some(&[NOON.to_le_bytes(), 1_i64.to_le_bytes()].concat()[..]));
}
