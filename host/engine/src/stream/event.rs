//! What a stream does next.

use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use super::Stream;
use super::reader::{Pending, Reader, Slot};
use crate::report::timed;
use crate::source::Read;
use crate::watermark::TopicTime;

/// What is next.
pub(super) enum Event {
    CheckpointDue,
    Rows(Pending),
    CaughtUp(usize),
    /// Nothing has arrived of this partition yet, which goes on holding back its topic.
    Waiting(usize),
    Passed(usize, Millis),
    Ended(usize),
    Idle,
    EndOfInput,
    Finished,
}

impl Stream {
    /// Decides; reads where records are needed.
    pub(super) fn next_event(&mut self) -> Result<Event> {
        if self.finished {
            return Ok(Event::Finished);
        }
        let since_checkpoint = self.clock.now().saturating_sub(self.checkpointed_at);
        if self.changed && !self.is_saving && since_checkpoint >= self.settings.checkpoint_interval_ms {
            return Ok(Event::CheckpointDue);
        }
        if let Some(pending) = self.reader.pending.take() {
            return Ok(Event::Rows(pending));
        }
        let Self { reader, times, .. } = self;
        let Some(slot) = reader.choose(|slot| last_event(times, slot)) else {
            let at_end = self.settings.bounded && self.reader.all_ended();
            return Ok(if at_end { Event::EndOfInput } else { Event::Idle });
        };
        let Reader { slots, chunk, .. } = &mut self.reader;
        let partition = &slots[slot].partition;
        let read = timed(&mut self.report.spent.read_ns, || self.source.read(partition, chunk))?;
        match read {
            Read::Records => {
                self.idle_ms = 1;
                self.times[slots[slot].topic].reading(partition.number);
                Ok(Event::Rows(Pending { slot, from: 0 }))
            }
            Read::CaughtUp if self.settings.bounded => {
                Err(Error::invalid("read to its end", partition, "its source is not bounded"))
            }
            Read::CaughtUp => Ok(Event::CaughtUp(slot)),
            Read::Waiting => Ok(Event::Waiting(slot)),
            Read::Passed(highest) => Ok(Event::Passed(slot, highest)),
            Read::Ended => Ok(Event::Ended(slot)),
        }
    }

    /// Finds the partitions that there are.
    pub(super) fn discover(&mut self) -> Result<()> {
        for partition in self.source.partitions()? {
            let topic = self.plan.topic(&partition.topic);
            let topic = topic.ok_or_else(|| Error::invalid("read", &partition, "its topic has no schema here"))?;
            self.times[topic].register(partition.number);
            self.reader.add(&partition, topic);
        }
        Ok(())
    }
}

/// The time of a partition's last event; lowest when it had none.
pub(super) fn last_event(times: &[TopicTime], slot: &Slot) -> Millis {
    times[slot.topic].has_come(slot.partition.number).0.unwrap_or(Millis::MIN)
}
