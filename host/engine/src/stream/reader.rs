//! Which partition is read next.
//!
//! The one whose last event is the oldest, so that the partitions advance together and little has to wait in
//! the state of rules. A partition without new records is asked again when the others had a turn.

use tamis_model::position::Partition;
use tamis_model::time::Millis;

use crate::chunk::Chunk;

/// The partitions, and the chunk that is being worked through.
#[derive(Default)]
pub(super) struct Reader {
    pub slots: Vec<Slot>,
    pub chunk: Chunk,
    /// Where the chunk's next record is.
    pub pending: Option<Pending>,
    turn: u64,
}

/// A partition that can be read.
pub(super) struct Slot {
    pub partition: Partition,
    /// The index of its topic.
    pub topic: usize,
    /// It is not asked again before this turn.
    next_turn: u64,
    /// Whether there was a moment at which it had nothing more.
    caught_up: bool,
    ended: bool,
}

/// A chunk that is not worked through yet.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub slot: usize,
    pub from: usize,
}

impl Reader {
    /// Adds a partition, unless it is known.
    pub fn add(&mut self, partition: &Partition, topic: usize) {
        if self.slots.iter().all(|slot| slot.partition != *partition) {
            self.slots.push(Slot { partition: partition.clone(), topic, next_turn: 0, caught_up: false, ended: false });
        }
    }

    /// The partition to read next; `last_event` gives the time of a partition's last event, lowest when it had none.
    pub fn choose(&mut self, last_event: impl FnMut(&Slot) -> Millis) -> Option<usize> {
        self.turn += 1;
        self.oldest(self.turn, last_event)
    }

    /// Which one it will be, as things are.
    pub fn next(&self, last_event: impl FnMut(&Slot) -> Millis) -> Option<usize> {
        self.oldest(self.turn + 1, last_event)
    }

    fn oldest(&self, turn: u64, mut last_event: impl FnMut(&Slot) -> Millis) -> Option<usize> {
        let askable = self.slots.iter().enumerate().filter(|(_, slot)| !slot.ended && slot.next_turn <= turn);
        askable.min_by_key(|(_, slot)| last_event(slot)).map(|(index, _)| index)
    }

    /// The partition has nothing more for now.
    pub fn caught_up(&mut self, slot: usize) {
        self.slots[slot].caught_up = true;
        self.pass_over(slot);
    }

    /// The others come first, as often as there are partitions.
    pub fn pass_over(&mut self, slot: usize) {
        self.slots[slot].next_turn = self.turn + 1 + self.slots.len() as u64;
    }

    /// The partition has come to its end.
    pub fn ended(&mut self, slot: usize) {
        self.slots[slot].ended = true;
    }

    /// Whether everything was read that was there at first.
    pub fn is_caught_up(&self) -> bool {
        self.slots.iter().all(|slot| slot.caught_up || slot.ended)
    }

    /// All partitions may be asked again.
    pub fn ask_again(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.next_turn = 0);
    }

    /// Whether nothing more will come.
    pub fn all_ended(&self) -> bool {
        self.slots.iter().all(|slot| slot.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_the_others_get_their_turn() {
        let mut reader = Reader::default();
        for number in 0..3 {
            reader.add(&Partition { topic: "payments".to_owned(), number }, 0);
        }
        let mut last_event = [Millis::MIN, 5, 9];
        let mut order = Vec::new();
        for _ in 0..8 {
            let slot = reader.choose(|slot| last_event[slot.partition.number as usize]);
            order.push(slot);
            match slot {
                Some(0) => reader.caught_up(0),
                Some(slot) => last_event[slot] += 3,
                None => reader.ask_again(),
            }
        }
        assert_eq!(order, [Some(0), Some(1), Some(1), Some(2), Some(0), Some(1), Some(2), Some(1)]);
        reader.caught_up(0);
        reader.ended(1);
        reader.ended(2);
        assert_eq!(reader.choose(|_| 0), None);
        assert!(!reader.all_ended());
        reader.ask_again();
        assert_eq!(reader.choose(|_| 0), Some(0));
        reader.ended(0);
        assert!(reader.all_ended());
    }
}
