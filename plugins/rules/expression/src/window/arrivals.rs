//! What the columns of a batch say of its events before any of them is counted.

use super::Count;
use super::kept::Layout;
use crate::counts::{Figure, Known, Own, Remainder, Split, Subject, Unknown};
use crate::evaluate::{Bits, Evaluation, Failures, Interpreter, NumberValues, Rows};

/// The events of a batch.
pub struct Arrivals<'a> {
    rows: &'a Rows<'a>,
    /// Of each count, the events in it.
    members: Vec<Bits>,
    /// What is known of the events that can fire, by the index of [`Own`].
    known: Vec<(OfRows<'a>, Failures)>,
    /// The events for which the condition can hold, or fail.
    can_fire: Bits,
    refused: Option<String>,
}

/// What is known of each event for which it can be evaluated.
enum OfRows<'a> {
    Truths(Bits),
    /// Numbers, and where they are not null.
    Integers(NumberValues<'a, i64>, Bits),
    Doubles(NumberValues<'a, f64>, Bits),
}

impl<'a> Arrivals<'a> {
    /// Evaluates what needs no counts, for the rows that are judged. An error says where and why it is not known whether one is counted.
    pub fn of(
        rows: &'a Rows<'a>,
        judged: &Bits,
        counts: &'a [Count],
        condition: &'a Split,
        interpreter: &'a Interpreter,
    ) -> Result<Self, String> {
        let mut evaluation = Evaluation::new(rows, interpreter);
        let mut members = Vec::with_capacity(counts.len());
        for count in counts {
            members.push(match &count.condition {
                None => judged.clone(),
                Some(condition) => {
                    let holds = evaluation.holds(condition, judged);
                    holds.map_err(|why| format!("count `{}` {why}", count.name))?
                }
            });
        }
        let mut can_fire = judged.clone();
        let mut known = Vec::with_capacity(condition.own.len());
        for own in &condition.own {
            let (values, failures) = of_rows(&mut evaluation, own, &can_fire);
            if let (OfRows::Truths(holds), true, true) = (&values, condition.gated, known.is_empty()) {
                can_fire.clone_from(holds);
                failures.iter().for_each(|failure| can_fire.insert(failure.row));
            }
            known.push((values, failures));
        }
        let mut arrivals = Self { rows, members, known, can_fire, refused: None };
        arrivals.decide_failed(&condition.remainder);
        Ok(arrivals)
    }

    /// Of the events for which something cannot be evaluated: which can fire nevertheless, and which the condition fails for whatever is
    /// counted.
    fn decide_failed(&mut self, remainder: &Remainder) {
        let mut failed = Bits::none(self.rows.len);
        for (_, failures) in &self.known {
            failures.iter().for_each(|failure| failed.insert(failure.row));
        }
        let mut known = Vec::with_capacity(self.known.len());
        for row in failed.iter() {
            known.clear();
            known.extend((0..self.known.len()).map(|index| self.known(index, row)));
            match remainder.holds(Subject { known: &known, counts: &[] }) {
                Ok(true) | Err(Unknown::Counts) => {}
                Ok(false) => self.can_fire.remove(row),
                Err(Unknown::Failed(place)) if self.refused.is_none() => {
                    let mut failures = self.known.iter().filter_map(|(_, failures)| failures.at(row));
                    let failure = failures.find(|failure| failure.place == place);
                    self.refused =
                        Some(failure.map_or_else(|| format!("cannot be evaluated: {place}"), ToString::to_string));
                }
                Err(Unknown::Failed(_)) => {}
            }
        }
    }

    /// Where and why the condition cannot be evaluated for an event, whatever is counted.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The counts that an event is in, a bit each.
    pub fn members(&self, row: usize) -> u8 {
        self.members
            .iter()
            .enumerate()
            .fold(0, |bits, (count, members)| bits | u8::from(members.contains(row)) << count)
    }

    /// Whether the condition can hold for an event.
    pub fn can_fire(&self, row: usize) -> bool {
        self.can_fire.contains(row)
    }

    /// Appends what is kept of an event that can fire.
    pub fn encode(&self, layout: &Layout, members: u8, row: usize, out: &mut Vec<u8>) {
        layout.encode(members, (0..self.known.len()).map(|index| self.known(index, row)), self.rows, row, out);
    }

    fn known(&self, index: usize, row: usize) -> Known {
        let (values, failures) = &self.known[index];
        if let Some(failure) = failures.at(row) {
            return Known::Failed(failure.place);
        }
        match values {
            OfRows::Truths(holds) => Known::Truth(holds.contains(row)),
            OfRows::Integers(values, known) => {
                Known::Figure(known.contains(row).then(|| Figure::Integer(values.at(row))))
            }
            OfRows::Doubles(values, known) => {
                Known::Figure(known.contains(row).then(|| Figure::Double(values.at(row))))
            }
        }
    }
}

fn of_rows<'a>(evaluation: &mut Evaluation<'a>, own: &'a Own, among: &Bits) -> (OfRows<'a>, Failures) {
    match own {
        Own::Test(test) => {
            let (holds, failures) = evaluation.tested(test, among);
            (OfRows::Truths(holds), failures)
        }
        Own::Integer(number) => {
            let (values, known, failures) = evaluation.computed(number, among);
            (OfRows::Integers(values, known), failures)
        }
        Own::Double(number) => {
            let (values, known, failures) = evaluation.computed(number, among);
            (OfRows::Doubles(values, known), failures)
        }
    }
}
