//! Keyed state: what the function of a rule sees of the events of a key.

pub mod crossed;
pub mod distinct;
mod events;
mod history;
mod identity;
pub mod joined;
pub(crate) mod open;
mod sides;
pub mod sliding;
pub mod tumbling;

pub use history::{Event, History, Span};
pub use identity::IdentityColumns;

/// The length of a window as it is configured, in milliseconds.
pub fn length(window_ms: impl TryInto<i64>) -> Result<i64, String> {
    let length = window_ms.try_into().ok().filter(|length| *length > 0);
    length.ok_or_else(|| "setting `window_ms`: a window is at least one millisecond long".to_owned())
}
