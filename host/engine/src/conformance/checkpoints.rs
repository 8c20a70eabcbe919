//! The contract of [`CheckpointStore`].

use std::collections::BTreeMap;

use serde_json::json;
use tamis_model::position::Positions;

use super::partition;
use crate::checkpoint::{Checkpoint, CheckpointStore, Keyed};
use crate::entries::{self, Entries, Entry};

/// What a checkpoint store is tested over.
pub trait CheckpointHarness {
    /// A new store over what was saved.
    fn open(&mut self) -> Box<dyn CheckpointStore>;

    /// Damages the last checkpoint, in the `n`-th way. False when there are not so many.
    fn damage_latest(&mut self, _n: usize) -> bool {
        false
    }

    /// Leaves what a `save` leaves that was interrupted before it was durable. False when the medium has nothing of that kind.
    fn interrupt_save(&mut self) -> bool {
        false
    }
}

/// Tests a [`CheckpointStore`].
pub fn checkpoint_contract<H: CheckpointHarness>(mut make: impl FnMut() -> H) {
    small_state_reads_back(&mut make());
    keyed_state_is_the_sum_of_its_changes(&mut make());
    an_interrupted_save_does_not_count(&mut make());
    for n in 0.. {
        let mut harness = make();
        save_script(&mut harness);
        if !harness.damage_latest(n) {
            break;
        }
        let mut store = harness.open();
        let read = store.latest().and_then(|_| store.restore(&mut |_| Ok(())));
        read.expect_err("a damaged checkpoint is an error, never an older one");
    }
}

fn small_state_reads_back<H: CheckpointHarness>(harness: &mut H) {
    assert_eq!(harness.open().latest().expect("an empty store can be asked"), None, "no checkpoint at first");
    for number in 0..4 {
        let saved = checkpoint(number);
        let mut store = harness.open();
        store.save(&saved).expect("a healthy store saves");
        assert_eq!(store.latest().expect("it reads back"), Some(saved.clone()), "in the same process");
        assert_eq!(harness.open().latest().expect("it reads back"), Some(saved), "in a new process");
    }
}

/// What checkpoints say of keyed state, and what each comes to: by owner and key the value.
type Content = BTreeMap<(String, Vec<u8>), Vec<u8>>;

fn keyed_state_is_the_sum_of_its_changes<H: CheckpointHarness>(harness: &mut H) {
    let mut expected = Content::new();
    let mut same = harness.open();
    for checkpoint in script() {
        apply(&mut expected, &checkpoint);
        // Some processes save several.
        if checkpoint.number % 3 == 0 {
            same = harness.open();
        }
        same.save(&checkpoint).expect("a healthy store saves");
        for store in [&mut same, &mut harness.open()] {
            let latest = store.latest().expect("it reads back");
            assert_eq!(latest, Some(checkpoint.without_entries()), "owners are named, their entries come apart");
            assert_eq!(content(&mut **store), expected, "after checkpoint {}", checkpoint.number);
        }
    }
}

fn an_interrupted_save_does_not_count<H: CheckpointHarness>(harness: &mut H) {
    let expected = save_script(harness);
    if !harness.interrupt_save() {
        return;
    }
    let mut store = harness.open();
    let last = store.latest().expect("it reads back").expect("it is there");
    assert_eq!(content(&mut *store), expected, "what a save began is not there");
    let next = Checkpoint { number: last.number + 1, ..last };
    harness.open().save(&next).expect("saving goes on");
    assert_eq!(content(&mut *harness.open()), expected, "nor does it come back");
}

/// Returns what it comes to.
fn save_script<H: CheckpointHarness>(harness: &mut H) -> Content {
    let mut expected = Content::new();
    let mut store = harness.open();
    for checkpoint in script() {
        apply(&mut expected, &checkpoint);
        store.save(&checkpoint).expect("a healthy store saves");
    }
    expected
}

/// What a store holds; the progress that it tells is checked on the way.
fn content(store: &mut dyn CheckpointStore) -> Content {
    let mut content = Content::new();
    let mut told = 0;
    let restored = store.restore(&mut |part| {
        let found: Vec<_> = entries::read(part.owner, part.block).collect::<Result<_, _>>()?;
        assert!(part.read >= told + found.len() as u64 && part.read <= part.of, "progress goes on, to its end at most");
        told = part.read;
        found.iter().for_each(|entry| put(&mut content, part.owner, *entry));
        Ok(())
    });
    restored.expect("it reads back");
    content
}

fn put(content: &mut Content, owner: &str, entry: Entry<'_>) {
    let place = (owner.to_owned(), entry.key.to_vec());
    match entry.value {
        Some(value) => content.insert(place, value.to_vec()),
        None => content.remove(&place),
    };
}

fn apply(content: &mut Content, checkpoint: &Checkpoint) {
    content.retain(|(owner, _), _| checkpoint.keyed.get(owner).is_some_and(|keyed| !keyed.whole));
    for (owner, keyed) in &checkpoint.keyed {
        for block in keyed.changes.blocks() {
            entries::read(owner, &block.bytes)
                .for_each(|entry| put(content, owner, entry.expect("they were just put")));
        }
    }
}

/// Checkpoints of two owners and one that comes and goes.
fn script() -> Vec<Checkpoint> {
    let whole = |changes| Keyed { whole: true, changes, ..Keyed::default() };
    let only = |changes| Keyed { changes, ..Keyed::default() };
    let all = |value| entries((0..40).map(|key| (key, Some(value))));
    let many = || entries((0..60_000).map(|key| (key, Some(2))));
    let steps = [
        vec![("é/1", whole(all(0))), ("empty", whole(Entries::default()))],
        vec![("é/1", only(entries([(1, Some(1)), (2, None), (50, Some(1))]))), ("empty", Keyed::default())],
        // Forgotten and there again; said twice; forgotten without ever having been there.
        vec![("é/1", only(entries([(2, Some(2)), (3, None), (3, Some(2)), (99, None)]))), ("empty", Keyed::default())],
        // One goes, another comes.
        vec![("é/1", Keyed::default()), ("new", whole(all(3)))],
        vec![("é/1", whole(entries([(7, Some(4)), (8, Some(4))]))), ("new", only(entries([(0, Some(4))])))],
        // One that went comes again, without what it had.
        vec![("é/1", Keyed::default()), ("new", Keyed::default()), ("empty", whole(entries([(1, Some(5))])))],
        // A round of `new` in two steps, and what came before it is superfluous.
        vec![("é/1", Keyed::default()), ("new", round(Entries::default(), Entries::default(), true))],
        vec![("é/1", Keyed::default()), ("new", round(entries([(5, None)]), entries((0..5).map(first)), false))],
        vec![("é/1", Keyed::default()), ("new", round(entries([(60, Some(6))]), entries((6..40).map(later)), true))],
        vec![("é/1", whole(many())), ("new", only(entries([(6, None)])))],
        vec![("é/1", round(Entries::default(), Entries::default(), true)), ("new", Keyed::default())],
        vec![("é/1", only(entries([(0, None)]))), ("new", Keyed::default())],
    ];
    let steps = steps.into_iter().enumerate();
    steps
        .map(|(number, owners)| {
            let keyed = owners.into_iter().map(|(owner, keyed)| (owner.to_owned(), keyed)).collect();
            Checkpoint { keyed, ..checkpoint(number as u64) }
        })
        .collect()
}

fn first(key: u32) -> (u32, Option<u8>) {
    (key, Some(if key == 0 { 4 } else { 3 }))
}

fn later(key: u32) -> (u32, Option<u8>) {
    (key, Some(3))
}

fn round(changes: Entries, repeated: Entries, round_ends: bool) -> Keyed {
    Keyed { whole: false, changes, repeated, round_ends }
}

/// Keys with values of 40 bytes.
fn entries(content: impl IntoIterator<Item = (u32, Option<u8>)>) -> Entries {
    let mut entries = Entries::default();
    for (key, value) in content {
        match value {
            Some(value) => entries.put(&key.to_be_bytes(), &[&[value], &[0xff; 39]]),
            None => entries.put_gone(&key.to_be_bytes()),
        }
    }
    entries
}

fn checkpoint(number: u64) -> Checkpoint {
    let mut positions = Positions::default();
    positions.set(&partition(0), 7 + number as i64);
    positions.set(&partition(1), i64::MAX);
    let every_byte = (0..=u8::MAX).cycle().take(3000).collect();
    Checkpoint {
        number,
        positions,
        staged: BTreeMap::from([("records".to_owned(), json!({"end": [number, null, "é\n"]}))]),
        state: BTreeMap::from([("rule/é".to_owned(), every_byte), ("empty".to_owned(), Vec::new())]),
        keyed: BTreeMap::new(),
    }
}
