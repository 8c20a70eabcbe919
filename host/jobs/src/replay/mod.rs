//! Replays: a stretch of the topics or of their archive through rules once more, by the engine that runs live, without a clock.
//!
//! What a replay raises has the ids that it had, or would have had, live (in shadow mode those of shadow mode), and is written where it is
//! missing ([`Known`]): so a replay can be repeated, and one that died is finished by the next.

mod graft;
mod known;
mod up_to;

pub use self::graft::Graft;
pub use self::known::{Elsewhere, Known, Redirected, Written, WrittenCounts};
pub use self::up_to::UpTo;
