//! Real services, started, cut off and killed.

#![allow(clippy::unwrap_used, reason = "a test stops at the first failure, in its helpers too")]

mod kafka;
mod prometheus;
mod proxy;

use std::thread::sleep;
use std::time::Duration;

/// Waits until something holds that must come; a minute at most.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("{what}: it never came");
}
