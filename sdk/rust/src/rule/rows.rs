//! Rules that judge each row by itself.

use super::{Terms, Verdict, empty_outcome};
use crate::bindings::types::{Keyed, RuleOutcome, Strings, Subject};
use crate::row::{Membership, Row};

/// Judges every row that counts. Late rows too: a row alone is never too late.
pub fn apply<R: Row, V: Verdict>(
    rows: &Keyed,
    terms: &Terms,
    judge: impl for<'a> Fn(&R::At<'a>) -> V,
) -> Result<RuleOutcome, String> {
    let count = rows.batch.rows as usize;
    let columns = R::columns(&rows.batch.columns, Membership::all(count))?;
    let mut outcome = empty_outcome(0, 0);
    for row in 0..count {
        let view = R::at(&columns, row);
        let criteria = if R::FILTERED && !R::counted(&view) { 0 } else { judge(&view).criteria() };
        if criteria != 0 {
            outcome.findings.push(terms.finding(Subject::Row(row as u32), criteria, Vec::new()));
        }
    }
    Ok(outcome)
}

/// The outcome of a call that has nothing to do.
pub fn nothing(due: &Keyed) -> RuleOutcome {
    let keys = due.groups.as_ref().map_or(0, |groups| groups.keys.offsets.len().saturating_sub(1));
    let states = Strings { offsets: vec![0; keys + 1], data: Vec::new() };
    RuleOutcome { findings: Vec::new(), emitted: None, states, wakes: vec![super::NEVER; keys] }
}
