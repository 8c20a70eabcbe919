//! What was loaded in this process: everything that somebody uses, and the last few things besides.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

/// How many are kept that nobody may use: who uploads a plugin makes a rule of it next, and puts that to work.
const RECENT_MAX: usize = 16;

/// What was loaded, by SHA-256. What nobody uses any more is forgotten after a while, refused uploads among it.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    known: HashMap<String, Weak<T>>,
    /// The last one last.
    recent: VecDeque<Arc<T>>,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), recent: VecDeque::new() }
    }
}

impl<T> Loaded<T> {
    /// What has this SHA-256, if it is known.
    pub fn get(&mut self, sha256: &str) -> Option<Arc<T>> {
        let found = self.known.get(sha256)?.upgrade()?;
        self.touch(&found);
        Some(found)
    }

    /// Keeps it.
    pub fn keep(&mut self, sha256: &str, value: &Arc<T>) {
        self.touch(value);
        self.known.retain(|_, known| known.strong_count() > 0);
        self.known.insert(sha256.to_owned(), Arc::downgrade(value));
    }

    fn touch(&mut self, value: &Arc<T>) {
        self.recent.retain(|recent| !Arc::ptr_eq(recent, value));
        self.recent.push_back(Arc::clone(value));
        self.recent.drain(..self.recent.len().saturating_sub(RECENT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut loaded = Loaded::default();
        let used = Arc::new(0);
        loaded.keep("0", &used);
        for number in 1..=100 {
            loaded.keep(&number.to_string(), &Arc::new(number));
            assert!(loaded.get("1").is_some(), "who is asked for again and again stays");
        }
        let check = |number: usize, expected: bool, loaded: &mut Loaded<usize>| {
            assert_eq!(loaded.get(&number.to_string()).is_some(), expected, "{number}");
        };
        check(0, true, &mut loaded);
        check(2, false, &mut loaded);
        check(80, false, &mut loaded);
        check(100, true, &mut loaded);
        assert!(loaded.known.len() <= RECENT_MAX + 2, "{} are known", loaded.known.len());
    }
}
