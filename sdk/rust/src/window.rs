//! Keyed state: what the function of a rule sees of the events of a key.

mod distinct;
mod events;
mod joined;
mod sliding;
mod tumbling;

pub use distinct::{Distinct, apply as apply_to_distinct};
pub use events::{Event, advance as advance_events};
pub use joined::{Joined, Pairing, advance as advance_joined, apply as apply_to_joined};
pub use sliding::{Counted, Keeping, Kept, Sliding, apply as apply_to_sliding};
pub use tumbling::{Tumbling, advance as advance_tumbling, apply as apply_to_tumbling};

/// The length of a window as it is configured, in milliseconds.
pub fn length(window_ms: impl TryInto<i64>) -> Result<i64, String> {
    let length = window_ms.try_into().ok().filter(|length| *length > 0);
    length.ok_or_else(|| "setting `window_ms`: a window is at least one millisecond long".to_owned())
}
