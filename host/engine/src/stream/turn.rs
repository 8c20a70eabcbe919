//! A turn: batches are judged by all shards at the same time, and what comes of it is put in one order.
//!
//! Every shard sees all batches of the turn in their order, judges the rows of its own keys and fires its timers behind each batch.
//! Rules without a key judge each batch in one shard. So neither the number of shards nor the length of turns changes what is raised,
//! until the host stops a rule: it does so behind the turn, and the rule has judged all of it.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::DataType;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Result, position::Partition};

use super::Stream;
use super::batch::{Timely, Trial};
use super::deciding::{Awaited, Deciding};
use super::event::last_event;
use crate::alerts::Author;
use crate::breaker::Tally;
use crate::chunk::Chunk;
use crate::decode::Decoded;
use crate::exchange::{Part, router};
use crate::grouping::Groups;
use crate::judge::{Batch, RuleRun, Seat};
use crate::outbox::Rows;
use crate::plan::{Key, TopicPlan};
use crate::report::{of, timed};
use crate::shard::Shard;
use crate::tray::{self, Tray};
use crate::watermark::END;

/// Fewer rows are judged on one thread: to wake the others takes longer.
const ROWS_PARALLEL_MIN: usize = 256;

/// Rows that were decoded together, and the time behind them.
#[derive(Default)]
pub(super) struct Piece {
    pub rows: Option<PieceRows>,
    /// By rule how far time has come behind the rows; empty = it stands.
    pub after: Vec<Millis>,
}

/// The admitted rows of a piece.
pub(super) struct PieceRows {
    decoded: Decoded,
    columns: Vec<ArrayRef>,
    timely: Timely,
    identities: [ArrayRef; 3],
    /// By the topic's way of grouping the hash of each row's key.
    hashes: Vec<Vec<u64>>,
    /// The rows that somebody waits for.
    awaited: Vec<u32>,
}

impl PieceRows {
    /// The rows of `decoded` that `timely` admits; none when there is none.
    pub fn new(
        topic: &TopicPlan,
        mut decoded: Decoded,
        timely: Timely,
        hashes: impl FnOnce(&[ArrayRef]) -> Vec<Vec<u64>>,
    ) -> Result<Option<Self>> {
        if timely.is_empty() {
            return Ok(None);
        }
        let columns = timely.keep(&mut decoded)?;
        let hashes = hashes(&columns);
        let identities = identities(topic, &columns, decoded.times.len());
        Ok(Some(Self { decoded, columns, timely, identities, hashes, awaited: Vec::new() }))
    }

    /// Takes note of those that somebody waits for.
    pub fn watch(&mut self, deciding: &mut Deciding, piece: usize, partition: &Partition, awaited: &[Awaited]) {
        self.awaited = deciding.admit(piece, partition, &self.decoded, &self.timely, awaited);
    }

    /// The rows as the exchange takes them.
    pub fn to_hand_on<'a>(&'a self, chunk: &'a Chunk) -> router::Rows<'a> {
        router::Rows { chunk, columns: &self.columns, origins: &self.decoded.origins, before: &self.timely.before }
    }
}

/// A shard's own buffers.
#[derive(Default)]
pub(super) struct Bench {
    groups: Vec<Groups>,
    tray: Tray,
}

/// A shard in a turn.
struct AtWork<'a> {
    shard: Shard,
    bench: &'a mut Bench,
    /// By rule.
    seats: Vec<Seat<'a>>,
    result: Result<()>,
}

/// What all shards work on.
struct Turn<'a> {
    /// The topic and the partition of the rows; none when only time moves.
    from: Option<(&'a TopicPlan, &'a Partition)>,
    chunk: &'a Chunk,
    pieces: &'a [Piece],
    /// By rule.
    judges: Vec<bool>,
    hash_of_all: u64,
    part: &'a Part,
    attempt: u32,
}

impl Stream {
    /// Judges pieces, all of one partition. Afterwards the time of the rules that judge is where the last one says.
    pub(super) fn turn(&mut self, slot: Option<usize>, now: Millis, pieces: &[Piece], trial: Trial) -> Result<()> {
        let generated_at = rfc3339_millis(now);
        let hash_of_all = self.hash_of_all();
        let ahead = self.ahead();
        let Self { plan, runs, reader, benches, pool, settings, source, report, .. } = self;
        let judges = |(index, run): (usize, &RuleRun)| {
            run.kept.tripped.is_none() && trial.rule.is_none_or(|judging| judging == index)
        };
        let turn = Turn {
            from: slot.map(|slot| &reader.slots[slot]).map(|slot| (&plan.topics[slot.topic], &slot.partition)),
            chunk: &reader.chunk,
            pieces,
            judges: runs.iter().enumerate().map(judges).collect(),
            hash_of_all,
            part: &settings.part,
            attempt: trial.attempt,
        };
        let count = benches.len();
        let at_work =
            |(index, bench)| AtWork { shard: Shard { index, count }, bench, seats: Vec::new(), result: Ok(()) };
        let mut shards: Vec<AtWork<'_>> = benches.iter_mut().enumerate().map(at_work).collect();
        for (run, layout) in runs.iter_mut().zip(&plan.layouts) {
            let RuleRun { plan: rule, kept, lanes, share, .. } = run;
            let author = Author { rule, layout, topics: &plan.topics, share: *share };
            let (watermark, generated_at) = (kept.watermark, generated_at.as_str());
            for ((lane, state), shard) in lanes.iter_mut().zip(kept.states.shards_mut()).zip(&mut shards) {
                shard.seats.push(Seat { lane, state, author, watermark, reached: watermark, generated_at });
            }
        }
        let rows: usize =
            pieces.iter().filter_map(|piece| piece.rows.as_ref()).map(|rows| rows.decoded.times.len()).sum();
        let read_ahead = || {
            if let Some(slot) = ahead {
                timed(&mut report.spent.read_ns, || source.read_ahead(&reader.slots[slot].partition));
            }
        };
        pool.each_beside(rows >= ROWS_PARALLEL_MIN, &mut shards, |shard| shard.result = turn.judge(shard), read_ahead);
        let results: Vec<Result<()>> = shards.into_iter().map(|shard| shard.result).collect();
        results.into_iter().collect::<Result<()>>()?;
        let judges = turn.judges;
        if let Some(last) = pieces.last() {
            for ((run, after), _) in self.runs.iter_mut().zip(&last.after).zip(&judges).filter(|(_, judges)| **judges) {
                run.kept.watermark = run.kept.watermark.max(*after);
            }
        }
        self.clear_trays();
        if trial.attempt > 1 {
            // How long it lay among the dead letters says nothing of the stream.
            self.outbox.triggers.clear();
        }
        Ok(())
    }

    /// The partition that is read next, when the chunk at hand is worked through.
    fn ahead(&self) -> Option<usize> {
        if self.reader.pending.is_some() {
            return None;
        }
        self.reader.next(|slot| last_event(&self.times, slot))
    }

    /// Takes what the shards made, in one order.
    fn clear_trays(&mut self) {
        let Self { runs, benches, outbox, report, deciding, .. } = self;
        // A batch is one to the breaker, however many calls it took.
        let mut tallies: BTreeMap<(u32, usize), Tally> = BTreeMap::new();
        let mut trays: Vec<Tray> = benches.iter_mut().map(|bench| std::mem::take(&mut bench.tray)).collect();
        for tray in &mut trays {
            report.spent.add(tray.spent);
            tray.awaited.drain(..).for_each(|place| deciding.judged(place));
            for called in tray.calls.drain(..) {
                let counts = report.counts.of_rule(&runs[called.rule].plan);
                counts.judged += called.judged;
                counts.poisoned += called.poisoned.len() as u64;
                called.poisoned.iter().for_each(|reason| *of(&mut counts.poisoned_by, reason.name()) += 1);
                counts.emitted += called.tally.emitted;
                tallies.entry((called.batch, called.rule)).or_default().add(called.tally);
                self.changed = true;
            }
        }
        let mut any_stopped = false;
        for ((_, rule), tally) in tallies {
            any_stopped |= runs[rule].watch(tally);
        }
        for (place, item) in tray::sorted(&mut trays) {
            deciding.take(place, &item, &outbox.recent);
            outbox.take(&runs[place.rule as usize].plan, item, &mut report.counts);
        }
        deciding.finish(runs, report.revision);
        if any_stopped {
            self.take_stock();
        }
    }
}

impl Turn<'_> {
    fn judge(&self, shard: &mut AtWork<'_>) -> Result<()> {
        for (number, piece) in self.pieces.iter().enumerate() {
            if let (Some((topic, partition)), Some(rows)) = (self.from, &piece.rows) {
                self.judge_rows(shard, number, topic, partition, rows)?;
            }
            let AtWork { bench, seats, .. } = shard;
            for (rule, after) in piece.after.iter().enumerate().filter(|(rule, _)| self.judges[*rule]) {
                let seat = &mut seats[rule];
                if *after > seat.watermark {
                    seat.watermark = *after;
                    seat.reached = if *after == END { seat.reached } else { *after };
                    bench.tray.turn_to(number, rule, true);
                    seat.advance(&mut bench.tray)?;
                }
            }
        }
        Ok(())
    }

    fn judge_rows(
        &self,
        at_work: &mut AtWork<'_>,
        number: usize,
        topic: &TopicPlan,
        partition: &Partition,
        piece: &PieceRows,
    ) -> Result<()> {
        let AtWork { shard, bench: Bench { groups, tray }, seats, .. } = at_work;
        let decoded = &piece.decoded;
        let rows = Rows {
            partition,
            chunk: self.chunk,
            origins: &decoded.origins,
            times: &decoded.times,
            attempt: self.attempt,
        };
        let (identities, awaited) = (&piece.identities, &piece.awaited[..]);
        let batch = Batch { rows, columns: &piece.columns, identities, awaited };
        groups.resize_with(topic.groupings.len().max(groups.len()), Groups::default);
        let mut spent_ns = 0;
        timed(&mut spent_ns, || {
            for ((grouping, groups), hashes) in topic.groupings.iter().zip(groups.iter_mut()).zip(&piece.hashes) {
                let late = piece.timely.left_out(grouping.behind_ms_max);
                let foreign = self.part.foreign(&grouping.key, &piece.columns, rows.times.len());
                let left_out = either(late, foreign);
                let left_out = left_out.as_deref();
                match grouping.key {
                    Key::All => groups.all(rows.times.len(), left_out, self.hash_of_all, *shard),
                    Key::Column(column) => {
                        groups.by_column(piece.columns[column].as_string(), hashes, left_out, *shard);
                    }
                }
            }
        });
        tray.spent.state_ns += spent_ns;
        for reader in topic.readers.iter().filter(|reader| self.judges[reader.rule]) {
            let groups = reader.grouping.map(|grouping| &groups[grouping]);
            let is_its_own = match groups {
                Some(groups) => !groups.hashes.is_empty(),
                None => number % shard.count == shard.index,
            };
            if is_its_own {
                tray.turn_to(number, reader.rule, false);
                seats[reader.rule].apply(reader.input, &batch, groups, tray)?;
            }
        }
        Ok(())
    }
}

/// Where one of both says so.
fn either(one: Option<Vec<bool>>, other: Option<Vec<bool>>) -> Option<Vec<bool>> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.iter_mut().zip(other).for_each(|(one, other)| *one |= other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// Columns `id`, `order_id`, `customer_id`; null where the topic has none.
fn identities(topic: &TopicPlan, columns: &[ArrayRef], rows: usize) -> [ArrayRef; 3] {
    let names = &topic.identities;
    let column = |column: Option<usize>| match column {
        Some(column) => columns[column].clone(),
        None => new_null_array(&DataType::Utf8, rows),
    };
    [column(Some(names.id)), column(names.order_id), column(names.customer_id)]
}
