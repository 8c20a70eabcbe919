//! What a pipeline has judged already.

use tamis_engine::{Chunk, Read, Source};
use tamis_model::Result;
use tamis_model::position::{Partition, Positions};

/// A bounded source up to the positions of a pipeline that goes on there: what lies behind them it will judge itself, and would raise again
/// what a replay had raised before it.
pub struct UpTo {
    inner: Box<dyn Source>,
    positions: Positions,
}

impl UpTo {
    /// The records of `inner` before `positions`; none of a partition that has none.
    pub fn new(inner: Box<dyn Source>, positions: Positions) -> Self {
        Self { inner, positions }
    }
}

impl Source for UpTo {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.inner.open(positions)
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        self.inner.partitions()
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let end = self.positions.next(partition);
        match self.inner.read(partition, chunk)? {
            Read::Records => {}
            other => return Ok(other),
        }
        chunk.retain(|chunk: &Chunk, origin| chunk.record(origin).offset.is_none_or(|offset| offset < end));
        // Offsets only grow: nothing of the partition lies before the end any more.
        Ok(if chunk.records().is_empty() { Read::Ended } else { Read::Records })
    }

    fn release(&mut self, positions: &Positions) -> Result<()> {
        self.inner.release(positions)
    }
}

#[cfg(test)]
mod tests {
    use tamis_engine::memory::MemoryTopics;

    use super::*;

    #[test]
    fn what_the_pipeline_will_judge_itself_is_left_to_it() {
        let topics = MemoryTopics::new();
        let partition = |number| Partition { topic: "payments".to_owned(), number };
        for number in 0..3 {
            for n in 0..7 {
                topics.append(&partition(number), n, None, "{}");
            }
        }
        let mut positions = Positions::default();
        positions.set(&partition(0), 4);
        positions.set(&partition(1), 7);
        let mut source = UpTo::new(Box::new(topics.source(true, 3)), positions);
        source.open(&Positions::default()).unwrap();
        let mut chunk = Chunk::default();
        let mut read = |number| {
            let mut offsets = Vec::new();
            while source.read(&partition(number), &mut chunk).unwrap() == Read::Records {
                offsets.extend(chunk.origins().map(|origin| chunk.record(origin).offset.unwrap()));
            }
            offsets
        };
        assert_eq!([read(0), read(1), read(2)], [vec![0, 1, 2, 3], vec![0, 1, 2, 3, 4, 5, 6], vec![]]);
    }
}
