//! A day of the reference company (contracts, head): generated from a seed, with the anomalies that real sources have.
//!
//! Times, amounts and people are made up; volumes and shares are those of the contract: 50 000 web events,
//! 25 000 payment attempts of which 8 % are fraudulent, 10 000 order events; and 1 000 decisions on the age of customers.

mod company;
mod crm;
mod generate;
mod incidents;
mod inlet;
mod kyc;
mod live;
mod nginx;
mod orders;
mod payments;
mod run;
mod summary;
mod switch;

use tamis_model::record::Record;
use tamis_model::time::Millis;

pub use generate::{Marker, generate, orders, payments};
pub use run::run;

/// The day that is generated, UTC.
pub const DAY: &str = "2026-03-19";
/// The logical date of the nightly run that follows it.
pub const AS_OF_DAY: &str = "2026-03-20";

/// 2026-03-19T00:00:00Z.
fn day_start() -> Millis {
    1_773_878_400_000
}

/// How many times the company's usual volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scale(pub u32);

impl Scale {
    fn of(self, usual: u64) -> u64 {
        usual * u64::from(self.0)
    }
}

/// A record on its way into a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its time.
    pub timestamp: Millis,
    /// Its key: the customer.
    pub key: String,
    /// Its JSON.
    pub value: String,
}

impl Event {
    /// As a record of a topic.
    fn record(&self, topic: &str) -> Record {
        Record {
            topic: topic.to_owned(),
            partition: None,
            timestamp: self.timestamp,
            key: Some(self.key.clone().into_bytes()),
            value: Some(self.value.clone().into_bytes()),
            value_is_json: true,
            headers: Vec::new(),
        }
    }
}

fn cents(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}
