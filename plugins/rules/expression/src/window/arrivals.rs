//! What the columns of a batch say of its events before any of them is counted.

use super::Count;
use super::kept::Layout;
use crate::counts::{Figure, Known, Own, Split};
use crate::evaluate::{Bits, Evaluation, Interpreter, NumberValues, Numbers, Rows};

/// The events of a batch.
pub struct Arrivals<'a> {
    rows: &'a Rows<'a>,
    /// Of each count, the events in it.
    members: Vec<Bits>,
    /// What is known of the events, by the index of [`Own`].
    known: Vec<OfRows<'a>>,
    /// The events for which the condition can hold; none = all.
    gate: Option<usize>,
}

/// What is known of each event.
enum OfRows<'a> {
    Truths(Bits),
    /// Numbers, and where they are not null.
    Integers(NumberValues<'a, i64>, Bits),
    Doubles(NumberValues<'a, f64>, Bits),
}

impl<'a> Arrivals<'a> {
    /// Evaluates what needs no counts, for the rows that are judged. An error says where and why it cannot be.
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
        let mut known = Vec::with_capacity(condition.own.len());
        for own in &condition.own {
            known.push(of_rows(&mut evaluation, own, judged).map_err(|why| format!("the condition {why}"))?);
        }
        Ok(Self { rows, members, known, gate: condition.gate })
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
        self.gate.is_none_or(|gate| self.known(gate, row) == Known::Truth(true))
    }

    /// Appends what is kept of an event that can fire.
    pub fn encode(&self, layout: &Layout, members: u8, row: usize, out: &mut Vec<u8>) {
        layout.encode(members, (0..self.known.len()).map(|index| self.known(index, row)), self.rows, row, out);
    }

    fn known(&self, index: usize, row: usize) -> Known {
        match &self.known[index] {
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

fn of_rows<'a>(evaluation: &mut Evaluation<'a>, own: &'a Own, judged: &Bits) -> Result<OfRows<'a>, String> {
    Ok(match own {
        Own::Test(test) => OfRows::Truths(evaluation.holds(test, judged)?),
        Own::Integer(number) => {
            let numbers = evaluation.numbers(number, judged);
            let known = evaluation.known(&numbers, judged)?;
            let Numbers { values, .. } = numbers;
            OfRows::Integers(values, known)
        }
        Own::Double(number) => {
            let numbers = evaluation.numbers(number, judged);
            let known = evaluation.known(&numbers, judged)?;
            let Numbers { values, .. } = numbers;
            OfRows::Doubles(values, known)
        }
    })
}
