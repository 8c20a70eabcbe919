//! The set of alerts depends on the records alone: not on batches, chunks, partitions or their interleaving.

use proptest::prelude::*;

use crate::feed::{NOON, Payment, Reading, World, all_rules, expected, finish};

/// Payments that mostly move on, sometimes jump back (also too late) or stand still.
pub fn feed(partitions: u32) -> impl Strategy<Value = Vec<Payment>> {
    let session = prop_oneof![4 => Just(Some("s1")), 4 => Just(Some("s2")), 1 => Just(Some("")), 1 => Just(None)];
    let moved = prop_oneof![6 => 0_i64..3_000, 2 => Just(0), 2 => -16_000_i64..0, 1 => 30_000_i64..90_000];
    let payment = (0..partitions, moved, session, 0_i64..200_000, prop::bool::weighted(0.95));
    prop::collection::vec(payment, 0..120).prop_map(|drafts| {
        let mut now = NOON;
        let place = |(partition, moved, session, amount, valid): (u32, i64, Option<&'static str>, i64, bool)| {
            now += moved;
            // 6.66 makes a rule fail; an empty session is a null token.
            let amount = if amount == 666 { 667 } else { amount };
            Payment { partition, time: now, session: session.filter(|s| !s.is_empty()), amount, valid }
        };
        drafts.into_iter().map(place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn alerts_depend_on_the_records_alone(
        feed in (1..5_u32).prop_flat_map(feed),
        rows_max in 1..40_usize,
        shards in 1..4_usize,
        chunk_records in 1..40_usize,
        often in any::<bool>(),
    ) {
        let checkpoint_interval_ms = if often { 0 } else { i64::MAX };
        let world = World::of(&feed);
        let mut stream = world.open(all_rules(), Reading { rows_max, shards, chunk_records, checkpoint_interval_ms, ..Reading::WHOLE });
        finish(&mut stream);
        prop_assert_eq!(world.raised(), expected(&feed));

        let counts = &stream.report().counts;
        let topic = counts.topics.get("payments").cloned().unwrap_or_default();
        prop_assert_eq!(topic.records, feed.len() as u64);
        prop_assert_eq!(topic.refused.values().sum::<u64>(), feed.iter().filter(|p| !p.valid).count() as u64);
        let alerts: u64 = counts.rules.values().flat_map(|rule| rule.alerts.values()).sum();
        prop_assert_eq!(alerts, world.alerts.content().len() as u64);

        let whole = World::of(&feed);
        let mut stream = whole.open(all_rules(), Reading::WHOLE);
        finish(&mut stream);
        prop_assert_eq!(world.output(), whole.output());
        prop_assert_eq!(counts, &stream.report().counts);
    }
}

#[test]
fn the_feed_of_a_known_day() {
    let mut feed: Vec<_> = (0..4).map(|n| Payment::new(n % 2, NOON + i64::from(n) * 1_000, "s1", 100)).collect();
    feed.push(Payment::new(0, NOON + 5_000, "s1", 150_001));
    let world = World::of(&feed);
    finish(&mut world.open(all_rules(), Reading::WHOLE));
    // p0 to p2 lie at 0, 1 and 2 s; the window of p4 begins behind p0.
    let raised = ["burst p2", "burst p3", "burst p4", "high-amount p4", "rate s1 2026-03-18T12:00:00.000Z"];
    assert_eq!(world.raised(), raised);
}
