//! Event time: how far each partition and each topic has come (contracts 3, "Time").
//!
//! A partition's watermark is its highest event time minus the lateness allowed. A topic's is the lowest of
//! its partitions' and never goes back; a partition that is quiet or has ended no longer holds it, one that
//! was not read yet does. When all are quiet it goes on at clock speed.
//!
//! Two things keep the promise that no event in time is before its topic's watermark, which plugins build on:
//! a partition that had fallen quiet or ended, and one that appears when its topic has already moved, takes the
//! topic's watermark over as the least that its own can be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_model::time::Millis;

/// Before all events, and far enough from the end of the number line that a plugin may subtract a window's length.
pub const BEGINNING: Millis = Millis::MIN / 2;
/// Behind all events.
pub const END: Millis = Millis::MAX;

/// What a partition does to its topic's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Pace {
    /// Not read yet, or there is more to read: it holds.
    Reading,
    /// Nothing more since this clock time: it holds for a while.
    CaughtUp(Millis),
    /// Nothing more for so long that it no longer holds.
    Quiet,
    /// Nothing will come any more.
    Ended,
}

/// The event time of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionTime {
    /// The highest event time seen.
    highest: Option<Millis>,
    /// The event time seen last.
    last: Option<Millis>,
    /// What the watermark is at least.
    floor: Millis,
    pace: Pace,
}

impl PartitionTime {
    fn new(floor: Millis) -> Self {
        Self { highest: None, last: None, floor, pace: Pace::Reading }
    }

    /// The highest event time seen.
    pub fn highest(&self) -> Option<Millis> {
        self.highest
    }

    /// The event time seen last.
    pub fn last(&self) -> Option<Millis> {
        self.last
    }

    /// Events before it are late.
    pub fn watermark(&self, lateness_ms: i64) -> Millis {
        self.highest.map_or(self.floor, |highest| highest.saturating_sub(lateness_ms).max(self.floor))
    }

    /// Takes an event's time. Returns how many milliseconds it lies behind the watermark: more than 0 = it is late.
    pub fn observe(&mut self, time: Millis, lateness_ms: i64) -> i64 {
        let behind_ms = self.watermark(lateness_ms).saturating_sub(time).max(0);
        self.highest = self.highest.max(Some(time));
        self.last = Some(time);
        behind_ms
    }

    /// Events up to `highest` have come that are not seen here.
    pub fn raise(&mut self, highest: Millis) {
        self.highest = self.highest.max(Some(highest));
    }

    fn holds(&self) -> bool {
        matches!(self.pace, Pace::Reading | Pace::CaughtUp(_))
    }
}

/// The event time of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicTime {
    watermark: Millis,
    /// Since when no partition holds the watermark, on the clock.
    free_since: Option<Millis>,
    partitions: BTreeMap<u32, PartitionTime>,
}

impl Default for TopicTime {
    fn default() -> Self {
        Self { watermark: BEGINNING, free_since: None, partitions: BTreeMap::new() }
    }
}

impl TopicTime {
    /// The partition is there.
    pub fn register(&mut self, number: u32) {
        let floor = self.watermark;
        self.partitions.entry(number).or_insert_with(|| PartitionTime::new(floor));
    }

    /// A partition that was registered.
    pub fn partition(&mut self, number: u32) -> &mut PartitionTime {
        self.partitions.get_mut(&number).expect("a partition is registered when it is discovered")
    }

    /// The highest event time of a partition, and whether it has nothing more for now.
    pub fn has_come(&self, number: u32) -> (Option<Millis>, bool) {
        let partition = self.partitions.get(&number);
        partition.map_or((None, false), |p| (p.highest, matches!(p.pace, Pace::CaughtUp(_) | Pace::Quiet)))
    }

    /// A restart: nothing was read yet in this process, so every partition holds again.
    pub fn reopen(&mut self) {
        self.free_since = None;
        for partition in self.partitions.values_mut() {
            match partition.pace {
                Pace::Reading => {}
                Pace::CaughtUp(_) => partition.pace = Pace::Reading,
                Pace::Quiet | Pace::Ended => partition.wake(self.watermark),
            }
        }
    }

    /// The partition has records to read.
    pub fn reading(&mut self, number: u32) {
        let watermark = self.watermark;
        let partition = self.partition(number);
        match partition.pace {
            Pace::Reading => {}
            Pace::CaughtUp(_) => partition.pace = Pace::Reading,
            Pace::Quiet | Pace::Ended => partition.wake(watermark),
        }
    }

    /// The partition was asked at clock time `now` and has nothing more.
    pub fn caught_up(&mut self, number: u32, now: Millis, quiet_ms: i64) {
        let partition = self.partition(number);
        partition.pace = match partition.pace {
            Pace::Reading | Pace::Ended => Pace::CaughtUp(now),
            Pace::CaughtUp(since) if now.saturating_sub(since) >= quiet_ms => Pace::Quiet,
            unchanged @ (Pace::CaughtUp(_) | Pace::Quiet) => unchanged,
        };
    }

    /// The partition has come to its end.
    pub fn ended(&mut self, number: u32) {
        self.partition(number).pace = Pace::Ended;
    }

    /// Partitions that are no longer there have come to their end.
    pub fn end_missing(&mut self, is_there: impl Fn(u32) -> bool) {
        self.partitions.iter_mut().filter(|(number, _)| !is_there(**number)).for_each(|(_, p)| p.pace = Pace::Ended);
    }

    /// Moves the watermark as far as the partitions (and, where they are all quiet, the clock) let it.
    pub fn advance(&mut self, now: Millis, lateness_ms: i64) {
        let holding = self.partitions.values().filter(|p| p.holds()).map(|p| p.watermark(lateness_ms)).min();
        match (holding, self.free_since) {
            (Some(lowest), _) => {
                self.free_since = None;
                self.watermark = self.watermark.max(lowest);
            }
            (None, None) => self.free_since = Some(now),
            (None, Some(since)) => {
                // From BEGINNING there is nowhere to go on from: no event was ever seen.
                if self.watermark > BEGINNING && !self.has_ended() {
                    self.watermark = self.watermark.saturating_add(now.saturating_sub(since).max(0));
                }
                self.free_since = Some(now);
            }
        }
    }

    /// No event before it will come any more, late ones apart. None when the topic holds nobody up: it has come to its end, or is
    /// quiet and never had an event.
    pub fn watermark(&self) -> Option<Millis> {
        let silent = self.free_since.is_some() && self.watermark == BEGINNING;
        (!silent && !self.has_ended()).then_some(self.watermark)
    }

    /// Where the watermark stands, whoever it holds up.
    pub fn stands_at(&self) -> Millis {
        self.watermark
    }

    /// Whether every partition has come to its end.
    pub fn has_ended(&self) -> bool {
        self.partitions.values().all(|partition| partition.pace == Pace::Ended)
    }

    /// The input has come to its end and all windows were closed: what is appended later starts anew where each
    /// partition stands.
    pub fn close(&mut self) {
        self.watermark = BEGINNING;
        self.free_since = None;
        for partition in self.partitions.values_mut() {
            partition.floor = BEGINNING;
        }
    }
}

impl PartitionTime {
    fn wake(&mut self, topic_watermark: Millis) {
        self.floor = self.floor.max(topic_watermark);
        self.pace = Pace::Reading;
    }
}

#[cfg(test)]
mod tests;
