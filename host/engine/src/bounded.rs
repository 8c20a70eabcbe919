//! Reading a bounded source to its end, beside all streams.

use std::thread;
use std::time::{Duration, Instant};

use tamis_model::position::Partition;
use tamis_model::{Error, Kind, Result};

use crate::chunk::Chunk;
use crate::source::{Read, Source};

/// Between two looks at what is on its way.
const ARRIVAL_PAUSE: Duration = Duration::from_millis(2);
/// When nothing has arrived for so long, nothing will.
const ARRIVAL_MAX: Duration = Duration::from_secs(60);

/// Reads on in a partition to its end; `take` sees every chunk.
pub fn read_to_end(
    source: &mut dyn Source,
    partition: &Partition,
    take: &mut dyn FnMut(&Chunk) -> Result<()>,
) -> Result<()> {
    let (mut chunk, mut arrived) = (Chunk::default(), Instant::now());
    loop {
        match source.read(partition, &mut chunk)? {
            Read::Records => {
                take(&chunk)?;
                arrived = Instant::now();
            }
            Read::Waiting if arrived.elapsed() > ARRIVAL_MAX => {
                let reason = format!("for {} s nothing of it has arrived", ARRIVAL_MAX.as_secs());
                return Err(Error::new(Kind::Outage, "read to its end", partition).because(reason));
            }
            Read::Waiting => thread::sleep(ARRIVAL_PAUSE),
            Read::Ended => return Ok(()),
            Read::CaughtUp | Read::Passed(_) => {
                return Err(Error::invalid("read to its end", partition, "its source is not bounded"));
            }
        }
    }
}
