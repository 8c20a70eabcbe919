//! Requests that are remembered by their keys, so that one that comes again is no other one.
//!
//! In memory: bounded by time and by number, and empty after a restart. Then the stream knows them by their ids.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};
use tamis_model::time::Millis;

use super::{Asked, u128_of};

/// How long a request is remembered.
const REMEMBERED_MS: Millis = 10 * 60 * 1_000;
/// Events of all requests that are remembered; the oldest requests go first.
const RECORDS_MAX: usize = 100_000;

/// What names a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Who asks: the keys of others are none of theirs.
    pub subject: String,
    /// The topic.
    pub topic: String,
    /// The key that they gave.
    pub key: String,
}

impl Key {
    /// The id of the request, which is the same in every process.
    pub fn id(&self) -> u128 {
        let mut hash = Sha256::new();
        for part in [&self.subject, &self.topic, &self.key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        u128_of(&hash.finalize().into())
    }
}

/// A request that is remembered.
pub(super) struct Known {
    pub fingerprint: [u8; 32],
    asked: Asked,
    records: usize,
}

impl Known {
    /// The request, asked again.
    pub fn asked(&self) -> Asked {
        Asked { repeated: true, ..self.asked.clone() }
    }
}

/// The requests that are remembered.
#[derive(Default)]
pub(super) struct Book {
    by_key: HashMap<Key, Known>,
    /// When each came, oldest first. Those that were forgotten before their time are still among them.
    order: VecDeque<(Millis, Key, u128)>,
    records: usize,
}

impl Book {
    /// The request with this key.
    pub fn find(&self, key: &Key) -> Option<&Known> {
        self.by_key.get(key)
    }

    /// Remembers a request.
    pub fn add(&mut self, key: Key, fingerprint: [u8; 32], asked: Asked, records: usize, now: Millis) {
        self.order.push_back((now, key.clone(), asked.id));
        self.records += records;
        self.by_key.insert(key, Known { fingerprint, asked, records });
    }

    /// Forgets a request.
    pub fn forget(&mut self, key: &Key, id: u128) {
        if self.by_key.get(key).is_some_and(|known| known.asked.id == id)
            && let Some(known) = self.by_key.remove(key)
        {
            self.records -= known.records;
        }
    }

    /// Forgets what is too old, or too much; `forgotten` hears of each.
    pub fn forget_old(&mut self, now: Millis, mut forgotten: impl FnMut(u128)) {
        while let Some((at, ..)) = self.order.front() {
            if now.saturating_sub(*at) < REMEMBERED_MS && self.records <= RECORDS_MAX {
                return;
            }
            if let Some((_, key, id)) = self.order.pop_front() {
                self.forget(&key, id);
                forgotten(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::super::Progress;
    use super::*;

    fn key(key: &str) -> Key {
        Key { subject: "shop".to_owned(), topic: "payments".to_owned(), key: key.to_owned() }
    }

    fn add(book: &mut Book, name: &str, id: u128, records: usize, now: Millis) {
        let (_, progress) = watch::channel(Progress::default());
        book.add(key(name), [0; 32], Asked { id, repeated: false, progress }, records, now);
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_none_twice() {
        let mut book = Book::default();
        let mut forgotten = Vec::new();
        add(&mut book, "a", 1, 10, 0);
        add(&mut book, "b", 2, 10, 1);
        book.forget(&key("b"), 2);
        add(&mut book, "b", 3, 10, 2);
        book.forget_old(REMEMBERED_MS - 1, |id| forgotten.push(id));
        assert!(forgotten.is_empty() && book.find(&key("a")).is_some_and(|known| known.asked().repeated));
        book.forget_old(REMEMBERED_MS + 1, |id| forgotten.push(id));
        assert_eq!(forgotten, [1, 2]);
        assert!(book.find(&key("a")).is_none() && book.find(&key("b")).is_some());
        add(&mut book, "c", 4, RECORDS_MAX, REMEMBERED_MS);
        book.forget_old(REMEMBERED_MS + 1, |id| forgotten.push(id));
        assert_eq!(forgotten, [1, 2, 3]);
        assert_eq!((book.records, book.by_key.len(), book.order.len()), (RECORDS_MAX, 1, 1));
    }
}
