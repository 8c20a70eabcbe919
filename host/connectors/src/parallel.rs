//! Work that waits for the disk, several pieces at a time: syncs that wait together cost little more than one.

use std::sync::Mutex;
use std::thread;

use tamis_model::Result;

/// Threads at work at a time.
const THREADS_MAX: usize = 8;

/// Does `work` for each item, in any order. After a failure nothing new is begun; what is told is one of the failures.
pub(crate) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let threads = items.len().min(THREADS_MAX);
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().expect("nobody panics with it").next();
    let worker = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                items.lock().expect("nobody panics with it").by_ref().for_each(drop);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        let join = |other: thread::ScopedJoinHandle<'_, Result<()>>| other.join().expect("the work does not panic");
        others.into_iter().map(join).fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tamis_model::Error;

    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_a_failure_is_told() {
        for count in [0, 1, 7, 100] {
            let sum = AtomicU32::new(0);
            let add = |n: u32| {
                sum.fetch_add(n, Ordering::Relaxed);
                Ok(())
            };
            each((0..count).collect(), add).unwrap();
            assert_eq!(sum.into_inner(), (0..count).sum::<u32>());
        }
        let refuse = |n: u32| if n == 3 { Err(Error::invalid("add", n, "it is three")) } else { Ok(()) };
        assert!(each((0..3).collect(), refuse).is_ok());
        assert_eq!(each((0..100).collect(), refuse).unwrap_err().to_string(), "cannot add 3");
    }
}
