//! Parts of a keyed batch, for bisection: a range of rows with just the keys they need, or a range of due keys.
//!
//! States pass from one part to the next, so that the parts together judge what the whole would have, minus what
//! is poisoned.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_select::concat::concat;
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::rule::{Judged, Keyed, NEVER, NOT_JUDGED, Subject};
use tamis_model::strings::StringsBuf;
use tamis_model::time::Millis;

/// What is cut into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Rows, for `apply`.
    Rows,
    /// Keys, for `advance`.
    Keys,
}

/// A part of a batch, as a batch of its own.
pub(crate) struct Part {
    rows: Range<usize>,
    columns: Vec<ArrayRef>,
    groups: Vec<u32>,
    /// For each key of the part its index in the whole.
    whole_keys: Vec<u32>,
    keys: StringsBuf,
    states: StringsBuf,
    identities: Option<[ArrayRef; 3]>,
}

impl Part {
    /// The part as the guest gets it.
    pub fn keyed<'a>(&'a self, whole: &Keyed<'a>) -> Keyed<'a> {
        let rows = |len: usize| if len == 0 { 0..0 } else { self.rows.clone() };
        Keyed {
            rows: self.rows.len(),
            columns: &self.columns,
            input: &whole.input[rows(whole.input.len())],
            times: &whole.times[rows(whole.times.len())],
            groups: &self.groups,
            keys: self.keys.as_strings(),
            states: self.states.as_strings(),
            identities: self.identities.as_ref(),
            watermark: whole.watermark,
        }
    }
}

/// What the parts that succeeded have made so far.
pub(crate) struct Assembly<'a> {
    whole: Keyed<'a>,
    cut: Cut,
    judged: Judged,
    emitted: Vec<Vec<ArrayRef>>,
    states: Vec<Vec<u8>>,
    wakes: Vec<Option<Millis>>,
}

impl<'a> Assembly<'a> {
    pub fn new(whole: &Keyed<'a>, cut: Cut) -> Self {
        let keys = whole.keys.len();
        Self {
            whole: whole.clone(),
            cut,
            judged: Judged::default(),
            emitted: Vec::new(),
            states: (0..keys).map(|key| whole.states.get(key).to_vec()).collect(),
            wakes: vec![None; keys],
        }
    }

    /// The part of `range`, with the states as the parts before it left them.
    pub fn part(&self, range: Range<usize>) -> Part {
        let (rows, groups, whole_keys) = match self.cut {
            Cut::Keys => {
                let key = |key: usize| u32::try_from(key).expect("keys are numbered in 32 bits");
                (0..0, Vec::new(), range.map(key).collect())
            }
            Cut::Rows => {
                let groups = self.whole.groups.get(range.clone()).unwrap_or_default();
                let (groups, whole_keys) = renumber(groups, self.whole.keys.len());
                (range, groups, whole_keys)
            }
        };
        let slice = |column: &ArrayRef| column.slice(rows.start, rows.len());
        let mut part = Part {
            columns: self.whole.columns.iter().map(slice).collect(),
            identities: self.whole.identities.map(|columns| columns.each_ref().map(slice)),
            rows,
            groups,
            keys: StringsBuf::default(),
            states: StringsBuf::default(),
            whole_keys,
        };
        for key in &part.whole_keys {
            part.keys.push(self.whole.keys.get(*key as usize));
            part.states.push(&self.states[*key as usize]);
        }
        part
    }

    /// Takes what was made of a part, in the indices of the whole.
    pub fn add(&mut self, part: &Part, judged: Judged) {
        let first_row = u32::try_from(part.rows.start).expect("rows are numbered in 32 bits");
        self.judged.findings.extend(judged.findings.into_iter().map(|mut finding| {
            match &mut finding.subject {
                Subject::Row(row) => *row += first_row,
                Subject::Remembered(event) => event.group = part.whole_keys[event.group as usize],
                Subject::Window { group, .. } => *group = part.whole_keys[*group as usize],
            }
            finding
        }));
        let states = judged.states.as_strings();
        for (i, key) in part.whole_keys.iter().enumerate() {
            self.states[*key as usize] = states.get(i).to_vec();
            self.wakes[*key as usize] = Some(judged.wakes[i]);
        }
        self.emitted.push(judged.emitted);
    }

    /// Everything together. Keys that no part judged keep their state. After `apply` they wake at once, because only
    /// the plugin knows when they are due; after `advance` never: it failed on them, and the engine drops their state.
    pub fn finish(mut self, empty: &[ArrayRef]) -> Result<Judged> {
        for ((state, wake), key) in self.states.iter().zip(&self.wakes).zip(0..) {
            self.judged.states.push(state);
            self.judged.wakes.push(match (wake, self.cut) {
                (Some(wake), _) => *wake,
                (None, Cut::Rows) if !self.whole.states.get(key).is_empty() => self.whole.watermark,
                (None, _) => NEVER,
            });
        }
        self.judged.emitted =
            (0..empty.len()).map(|column| self.column(column, &empty[column])).collect::<Result<_>>()?;
        Ok(self.judged)
    }

    fn column(&self, column: usize, empty: &ArrayRef) -> Result<ArrayRef> {
        let parts: Vec<_> = std::iter::once(empty).chain(self.emitted.iter().map(|part| &part[column])).collect();
        let parts: Vec<_> = parts.iter().map(|array| array.as_ref()).collect();
        concat(&parts).invalid("join", "what the parts of a batch emitted")
    }
}

/// The groups numbered by first appearance, and for each new number the old one.
fn renumber(groups: &[u32], keys: usize) -> (Vec<u32>, Vec<u32>) {
    let mut numbers = vec![NOT_JUDGED; keys];
    let mut whole_keys = Vec::new();
    let mut number = |group: &u32| {
        if *group == NOT_JUDGED {
            return NOT_JUDGED;
        }
        let number = &mut numbers[*group as usize];
        if *number == NOT_JUDGED {
            *number = u32::try_from(whole_keys.len()).expect("there are no more keys than in the whole");
            whole_keys.push(*group);
        }
        *number
    };
    let groups = groups.iter().map(&mut number).collect();
    (groups, whole_keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_by_first_appearance() {
        let (groups, whole) = renumber(&[4, NOT_JUDGED, 1, 4, 0], 5);
        assert_eq!((groups, whole), (vec![0, NOT_JUDGED, 1, 0, 2], vec![4, 1, 0]));
        assert_eq!(renumber(&[], 3), (vec![], vec![]));
    }
}
