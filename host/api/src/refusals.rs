//! What is kept of refusals: the audit log grows for ever, so that whoever is refused must not decide how fast.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tamis_catalog::Action;
use tamis_model::time::Millis;

/// Between two rows about the same token and action.
const INTERVAL_MS: Millis = 60_000;
/// Tokens and actions that are remembered.
const REMEMBERED_MAX: usize = 4_096;
/// Bytes of what somebody was refused to change: names are shorter.
const OBJECT_BYTES_MAX: usize = 128;

/// When each token was last refused each action.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<(String, Action), Millis>>);

impl Refusals {
    /// Whether a refusal is kept: one a minute is.
    pub fn is_news(&self, token_id: &str, action: Action, now: Millis) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (token_id.to_owned(), action);
        if last.get(&key).is_some_and(|last| now - last < INTERVAL_MS) {
            return false;
        }
        if last.len() >= REMEMBERED_MAX {
            last.retain(|_, last| now - *last < INTERVAL_MS);
        }
        if last.len() < REMEMBERED_MAX {
            last.insert(key, now);
        }
        true
    }
}

/// What is kept of the name of what somebody was refused to change.
pub(crate) fn cut(object: &str) -> &str {
    &object[..object.floor_char_boundary(OBJECT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_a_minute_is_news() {
        let refusals = Refusals::default();
        let check = |token: &str, action, now, expected| {
            assert_eq!(refusals.is_news(token, action, now), expected, "{token} {action} {now}");
        };
        check("a", Action::ListPut, 0, true);
        check("a", Action::ListPut, 59_999, false);
        check("a", Action::RunStart, 59_999, true);
        check("b", Action::ListPut, 59_999, true);
        check("a", Action::ListPut, 60_000, true);
        for token in 0..10_000 {
            refusals.is_news(&token.to_string(), Action::ListPut, 60_001);
        }
        assert_eq!(refusals.0.lock().unwrap().len(), REMEMBERED_MAX);
        check("new", Action::ListPut, 60_001 + INTERVAL_MS, true);
        check("new", Action::ListPut, 60_002 + INTERVAL_MS, false);
    }

    #[test]
    fn names_are_cut_between_characters() {
        let check = |object: &str, bytes: usize| assert_eq!(cut(object).len(), bytes, "{object}");
        check("", 0);
        check(&"x".repeat(128), 128);
        check(&"x".repeat(129), 128);
        check(&"\u{e4}".repeat(80), 128);
        check(&format!("x{}", "\u{e4}".repeat(80)), 127);
    }
}
