//! Write Tamis plugins in Rust: a plugin is a function.
//!
//! The shape of the function is the plugin. `&Config` is what an admin can change, a row struct names the columns that
//! are read, window types are the state that is kept. No statics, no registration, no I/O: a unit test calls the function.
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! /// What an admin can change.
//! #[derive(Config)]
//! pub struct Limits {
//!     /// The highest amount that is still normal, in euros.
//!     #[config(default = 1500, min = 0)]
//!     amount_max: i64,
//! }
//!
//! #[derive(Row)]
//! #[row(topic = "payments")]
//! pub struct Payment {
//!     amount: Cents,
//! }
//!
//! #[rule(severity = "high", route = "alerts_psp_payments", title = "High amounts", owner = "fraud")]
//! pub fn high_amount(config: &Limits, payment: &Payment) -> bool {
//!     payment.amount.0 > 100 * config.amount_max
//! }
//!
//! assert!(high_amount(&Limits::default(), &Payment { amount: Cents(150_001) }));
//! ```
//!
//! # Rules
//!
//! What a rule's function takes decides what is kept by key and when it is called:
//!
//! | parameter | called |
//! |---|---|
//! | `&Payment` | for each row |
//! | `&Sliding<Payment>` | for each event, with the window that ends there; again when an earlier event arrives after it |
//! | `&Distinct<Payment>` | the same, with the number of different values of the column `distinct = "…"` |
//! | `&Crossed<Payment, Order>` | as `&Sliding`, for each event of either topic, with how many events of each there are |
//! | `&Tumbling<Payment, Tally>` | once for each window that the watermark has passed |
//! | `&Joined<Payment, Order>` | for each payment with the first order of its key at most 24 h apart; with `pairing = "any"` with each, until it fires |
//!
//! It returns `bool`, or `[bool; N]` for `criteria = ["…", …]`. A window's length is the setting `window_ms`.
//!
//! What is kept of a key outlives a new version of the plugin as long as it is written in the same way: see [`mod@state`].
//!
//! # Aggregates
//!
//! An aggregate emits a row for each window that is over: see [`mod@aggregate`].
//!
//! # Transforms
//!
//! A transform makes a trusted row of a raw one: see [`mod@transform`], and [`read`] for the cells of files.
//!
//! # Checks
//!
//! A check judges what was observed of a dataset: see [`mod@check`].

extern crate self as tamis_sdk;

pub mod aggregate;
pub mod bindings;
pub mod check;
pub mod config;
pub mod counts;
pub mod encoding;
mod export;
pub mod host;
pub mod manifest;
pub mod output;
pub mod percent;
pub mod read;
pub mod row;
pub mod rule;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text_set;
pub mod total;
pub mod transform;
pub mod value;
pub mod window;

#[doc(hidden)]
pub use serde_json as json;
#[doc(hidden)]
pub use tamis_sdk_macros::world;
pub use tamis_sdk_macros::{Config, Output, Row, State, aggregate, check, rule, transform};
#[doc(hidden)]
pub use wit_bindgen;

/// What a plugin needs.
pub mod prelude {
    pub use crate::check::{Dataset, NumberType, Observe, Values, Verdict};
    pub use crate::counts::Counts;
    pub use crate::output::{Coarse, EmailPseudo, Fields, List, Pseudo, Struct, Written};
    pub use crate::percent::Percent;
    pub use crate::read::{self, Cell};
    pub use crate::row::ColumnType;
    pub use crate::state::Fold;
    pub use crate::text_set::TextSet;
    pub use crate::total::Total;
    pub use crate::transform::Outcome;
    pub use crate::value::{Cents, Date, Timestamp};
    pub use crate::window::crossed::Crossed;
    pub use crate::window::distinct::Distinct;
    pub use crate::window::joined::Joined;
    pub use crate::window::sliding::{Kept, Sliding};
    pub use crate::window::tumbling::Tumbling;
    pub use crate::{Config, Output, Row, State, aggregate, check, rule, transform};
}
