//! The threads that shards work on.

use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tamis_model::Result;
use tamis_model::error::Context as _;

/// Threads, or none when everything is done where it is asked for.
pub(crate) struct Pool(Option<ThreadPool>);

impl Pool {
    /// So many threads; one is the one that asks.
    pub fn new(threads: usize) -> Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("shard-{index}"));
        let pool = (threads > 1).then(|| builder.build());
        Ok(Self(pool.transpose().outage("start", format!("{threads} threads for shards"))?))
    }

    /// Does some work for each item: at the same time, where that is worth it.
    pub fn each<T: Send>(&self, at_once: bool, items: &mut [T], work: impl Fn(&mut T) + Send + Sync) {
        match &self.0 {
            Some(pool) if at_once && items.len() > 1 => pool.install(|| items.par_iter_mut().for_each(work)),
            _ => items.iter_mut().for_each(work),
        }
    }
}
