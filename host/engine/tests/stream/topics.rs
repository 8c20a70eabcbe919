//! A rule over two topics.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use tamis_engine::RulePlan;
use tamis_model::manifest::{Late, Manifest};
use tamis_model::position::Partition;
use tamis_model::rule::{Finding, Judged, Keyed, NEVER, NOT_JUDGED, Rule, Severity, Subject, Value};
use tamis_model::time::Millis;
use tamis_model::{Result, time::window_start};

use crate::feed::{NOON, Reading, World, finish, payments};
use crate::rules::plan;

const WINDOW_MS: Millis = 60_000;

/// Fires for every order event that follows a payment of its order in the order in which the stream has them, and for windows
/// in which an order had events of both topics.
struct Pairs;

/// For each open window its start and which inputs it has seen.
fn decode(state: &[u8]) -> Vec<(Millis, u8)> {
    let window = |bytes: &[u8]| (i64::from_le_bytes(bytes[..8].try_into().unwrap()), bytes[8]);
    state.chunks(9).map(window).collect()
}

fn finish_group(windows: &[(Millis, u8)], judged: &mut Judged) {
    let state: Vec<u8> = windows.iter().flat_map(|(s, seen)| [&s.to_le_bytes()[..], &[*seen]].concat()).collect();
    judged.states.push(&state);
    judged.wakes.push(windows.iter().map(|(start, _)| start + WINDOW_MS).min().unwrap_or(NEVER));
}

impl Rule for Pairs {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        assert_eq!((rows.input.len(), rows.columns.len()), (rows.rows, 2));
        let mut judged = Judged::default();
        let mut groups: Vec<_> = (0..rows.keys.len()).map(|group| decode(rows.states.get(group))).collect();
        for row in (0..rows.rows).filter(|row| rows.groups[*row] != NOT_JUDGED) {
            let input = rows.input[row];
            let (method, event) = (rows.columns[0].as_string::<i32>(), rows.columns[1].as_string::<i32>());
            assert_eq!(
                (method.is_valid(row), event.is_valid(row)),
                (input == 0, input == 1),
                "null where it is not from"
            );
            assert!(rows.times[row] >= rows.watermark, "the watermark is the lowest of both topics'");
            let start = window_start(rows.times[row], WINDOW_MS);
            let windows = &mut groups[rows.groups[row] as usize];
            match windows.iter_mut().find(|window| window.0 == start) {
                Some(window) => window.1 |= 1 << input,
                None => windows.push((start, 1 << input)),
            }
            if input == 1 && event.value(row) == "cancelled" {
                judged.findings.push(Finding {
                    subject: Subject::Row(row as u32),
                    severity: Severity::High,
                    criteria: 1,
                    context: vec![Value::Text(event.value(row).to_owned())],
                });
            }
        }
        groups.iter().for_each(|windows| finish_group(windows, &mut judged));
        Ok(judged)
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        let mut judged = Judged::default();
        for group in 0..due.keys.len() {
            let windows = decode(due.states.get(group));
            let (closed, open): (Vec<_>, Vec<_>) =
                windows.into_iter().partition(|(s, _)| s + WINDOW_MS <= due.watermark);
            for (start, _) in closed.into_iter().filter(|(_, seen)| *seen == 3) {
                judged.findings.push(Finding {
                    subject: Subject::Window { group: group as u32, start, end: start + WINDOW_MS },
                    severity: Severity::Warning,
                    criteria: 1,
                    context: vec![Value::Null],
                });
            }
            finish_group(&open, &mut judged);
        }
        Ok(judged)
    }
}

fn pairs() -> RulePlan {
    let input = |topic: &str, column: &str| {
        let column = serde_json::json!({ "name": column, "type": "text", "required": true });
        serde_json::json!({ "topic": topic, "key": "order_id", "columns": [column] })
    };
    let mut manifest: Manifest = serde_json::from_value(serde_json::json!({
        "name": "pairs", "version": "1.0.0", "title": "pairs", "world": "rule", "criteria": ["pairs"],
        "context": [{ "name": "event_type" }], "inputs": [input("payments", "method"), input("orders", "event_type")],
    }))
    .unwrap();
    manifest.late = Late::Ignore;
    plan(manifest, "0", || Pairs)
}

/// Orders lie half a minute to two minutes behind payments, so a window closes long after one topic has left it.
fn world() -> World {
    let world = World::new();
    let orders = Partition { topic: "orders".to_owned(), number: 0 };
    for n in 0..40_i64 {
        let order = n % 5;
        let payment =
            format!(r#"{{"payment_id":"p{n}","order_id":"o{order}","amount":1,"method":"card","status":"failed"}}"#);
        world.topics.append(&payments((n % 2) as u32), NOON + n * 11_000, None, &payment);
        let kind = if n % 8 == 7 { "cancelled" } else { "created" };
        let event =
            format!(r#"{{"event_id":"e{n}","event_type":"{kind}","order_id":"o{order}","customer_id":"c{n}"}}"#);
        if n % 3 == 1 {
            world.topics.append(&orders, NOON + n * 11_000 + (n % 4) * 30_000, None, &event);
        }
    }
    world
}

#[test]
fn rows_of_both_topics_meet_whatever_the_batches() {
    let whole = world();
    finish(&mut whole.open(vec![pairs()], Reading::WHOLE));
    let raised: Vec<_> = whole.alerts.content().iter().map(|alert| alert.payment_id.is_some()).collect();
    assert!(!raised.is_empty() && raised.iter().all(|payment| !payment), "an order's alert names no payment");
    for rows_max in 1..9 {
        for chunk_records in [1, 2, 7, 50] {
            let world = world();
            let reading = Reading { rows_max, shards: 2, chunk_records, checkpoint_interval_ms: 0, ..Reading::WHOLE };
            finish(&mut world.open(vec![pairs()], reading));
            assert_eq!(world.output(), whole.output(), "rows_max {rows_max}, chunk_records {chunk_records}");
        }
    }
    // Of n = 7, 15, 23, 31 and 39 those with n % 3 = 1 exist: 7 and 31.
    let mut cancelled: Vec<_> =
        whole.alerts.content().into_iter().filter(|alert| alert.customer_id.is_some()).collect();
    cancelled.sort_by_key(|alert| alert.event_time.clone());
    let named: Vec<_> =
        cancelled.iter().map(|a| (a.order_id.as_deref(), a.key.as_deref(), a.customer_id.as_deref())).collect();
    assert_eq!(named, [(Some("o2"), Some("o2"), Some("c7")), (Some("o1"), Some("o1"), Some("c31"))]);
    // By hand: the windows (minute, order) that have a payment and an order event of it.
    let mut windows = std::collections::BTreeSet::new();
    for n in 0..40 {
        for m in (0..40).filter(|m| m % 3 == 1 && m % 5 == n % 5) {
            let (payment, order) = (n * 11_000, m * 11_000 + m % 4 * 30_000);
            if payment / WINDOW_MS == order / WINDOW_MS && !late(m) {
                windows.insert((payment / WINDOW_MS, n % 5));
            }
        }
    }
    assert_eq!(whole.alerts.content().len(), windows.len() + 2);
}

/// Whether the order event `m` is more than ten seconds behind one before it in its partition.
fn late(m: i64) -> bool {
    let time = |m: i64| m * 11_000 + m % 4 * 30_000;
    (0..m).any(|before| before % 3 == 1 && time(before) - 10_000 > time(m))
}
