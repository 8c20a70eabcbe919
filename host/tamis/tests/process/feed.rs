//! Payments on their way into the topics of a home, each with its own id and nothing left to chance.

use std::path::Path;
use std::time::Instant;

use tamis_connectors::TopicWriter;
use tamis_connectors::topics::WriterSettings;

use crate::process::PATIENCE;

/// 2026-03-18T12:00:00Z.
pub const NOON: i64 = 1_773_835_200_000;
const PARTITIONS: u32 = 2;

/// Appends the payments with these numbers. The n-th belongs to session `s<n / 8>`, is made `n * 10` ms after noon, and is risky
/// when n is a multiple of 50; each 97th cannot be decoded.
pub fn append(home: &Path, numbers: std::ops::Range<u64>) {
    let mut topics = writer(home);
    for n in numbers {
        let (session, risk) = (n / 8, if n.is_multiple_of(50) { 90 } else { 10 });
        let status = if n.is_multiple_of(7) { "failed" } else { "succeeded" };
        let method = if n.is_multiple_of(97) { "barter" } else { "card" };
        let value = format!(
            r#"{{"payment_id":"p{n}","session_id":"s{session}","customer_id":"c{session}","amount":{n}.50,"currency":"EUR","method":"{method}","status":"{status}","psp":"psp{}","risk_score":{risk},"ip_country":"FR"}}"#,
            n % 3
        );
        // All payments of a session are in one partition.
        let partition = (session % u64::from(PARTITIONS)) as u32;
        let time = NOON + 10 * n as i64;
        topics
            .append("payments", partition, time, Some(format!("s{session}").as_bytes()), Some(value.as_bytes()))
            .unwrap();
    }
    topics.flush().unwrap();
}

/// The writer of the feed. A process that another test starts holds the lock of the writer before until it has become that process:
/// what is open is its own as well between fork and exec.
pub fn writer(home: &Path) -> TopicWriter {
    let began = Instant::now();
    loop {
        match TopicWriter::open(home.join("topics"), "feed", WriterSettings::default()) {
            Err(error) if error.can_retry() && began.elapsed() < PATIENCE => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}
