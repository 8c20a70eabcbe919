//! Event time as it passes: watermarks move, timers fire behind them, and the exchange is told.

use std::hash::BuildHasher;

use tamis_model::Result;
use tamis_model::time::Millis;

use super::Stream;
use super::batch::Trial;
use super::turn::Piece;
use crate::plan::{ALL, Layout};
use crate::report::of;
use crate::watermark::{BEGINNING, END, TopicTime};

impl Stream {
    /// Moves the watermarks as far as they go and fires the timers behind them.
    pub(super) fn move_time(&mut self) -> Result<()> {
        let now = self.clock.now();
        let piece = Piece { rows: None, after: self.pass_time(now) };
        if piece.after.iter().zip(&self.runs).all(|(after, run)| *after <= run.kept.watermark) {
            return Ok(());
        }
        self.turn(None, now, &[piece], Trial::FIRST)
    }

    /// Moves the watermarks as far as they go. Returns where that of each rule is.
    pub(super) fn pass_time(&mut self, now: Millis) -> Vec<Millis> {
        for (time, topic) in self.times.iter_mut().zip(&self.plan.topics) {
            time.advance(now, self.settings.lateness_ms);
            if time.stands_at() > BEGINNING {
                *of(&mut self.report.watermarks, &topic.schema.name) = time.stands_at();
            }
        }
        let watermark = |layout: &Layout| {
            layout.inputs.iter().filter_map(|input| self.times[input.topic].watermark()).min().unwrap_or(BEGINNING)
        };
        self.plan.layouts.iter().map(watermark).collect()
    }

    /// Closes every open window: the input has come to its end.
    pub(super) fn close_windows(&mut self) -> Result<()> {
        let piece = Piece { rows: None, after: vec![END; self.runs.len()] };
        self.turn(None, self.clock.now(), &[piece], Trial::FIRST)?;
        self.runs.iter_mut().for_each(|run| run.kept.watermark = BEGINNING);
        self.take_stock();
        self.times.iter_mut().for_each(TopicTime::close);
        self.flush()
    }

    /// Tells the exchange how far time has come.
    pub(super) fn tell_time(&mut self) {
        let Some(router) = &mut self.router else { return };
        let now = self.clock.now();
        for slot in &self.reader.slots {
            let (highest, caught_up) = self.times[slot.topic].has_come(slot.partition.number);
            // In transactions others see it with the next checkpoint.
            self.changed |= router.tell(&slot.partition, highest, caught_up, now);
        }
    }

    /// The hash of the key of rules that put all events under one.
    pub(super) fn hash_of_all(&self) -> u64 {
        self.hasher.hash_one(ALL.as_bytes())
    }
}
