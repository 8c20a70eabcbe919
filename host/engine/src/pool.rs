//! The threads that shards work on.

use rayon::{ThreadPool, ThreadPoolBuilder};
use tamis_model::Result;
use tamis_model::error::Context as _;
use tracing::Span;

/// Threads, or none when everything is done where it is asked for.
pub(crate) struct Pool(Option<ThreadPool>);

impl Pool {
    /// So many threads, beside the one that asks and waits for them.
    pub fn new(threads: usize) -> Result<Self> {
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("shard-{index}"));
        let pool = (threads > 1).then(|| builder.build());
        Ok(Self(pool.transpose().outage("start", format!("{threads} threads for shards"))?))
    }

    /// Does some work for each item: at the same time, where that is worth it. Whatever it logs is of the span of the one that asks.
    pub fn each<T: Send>(&self, at_once: bool, items: &mut [T], work: impl Fn(&mut T) + Send + Sync) {
        self.each_beside(at_once, items, work, || ());
    }

    /// The same. Whoever asks does something else meanwhile, unless it has to do the work itself.
    pub fn each_beside<T: Send>(
        &self,
        at_once: bool,
        items: &mut [T],
        work: impl Fn(&mut T) + Send + Sync,
        meanwhile: impl FnOnce(),
    ) {
        match &self.0 {
            Some(pool) if at_once && items.len() > 1 => {
                let (span, work) = (&Span::current(), &work);
                pool.in_place_scope(|scope| {
                    items.iter_mut().for_each(|item| scope.spawn(move |_| span.in_scope(|| work(item))));
                    meanwhile();
                });
            }
            _ => items.iter_mut().for_each(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::Subscriber;
    use tracing::span::Id;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    /// Counts how often spans are entered.
    struct Entered(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Entered {
        fn on_enter(&self, _: &Id, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn work_is_in_the_span_of_who_asks_for_it() {
        let entered = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new(2).unwrap();
        let subscriber = tracing_subscriber::registry().with(Entered(entered.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error_span!("batch").in_scope(|| pool.each(true, &mut [0; 8], |item| *item += 1));
        });
        assert_eq!(entered.load(Ordering::SeqCst), 1 + 8);
    }
}
