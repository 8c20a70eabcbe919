//! A rule without a toolchain: a condition in CEL over the columns of a topic and declared counts over sliding windows.
//!
//! ```json
//! {
//!   "topic": "payments",
//!   "condition": "amount > 500.0 && ip_country != billing_country && failed_10m > 3",
//!   "key": "customer_id",
//!   "counts": { "failed_10m": { "where": "status == 'failed'", "window_ms": 600000 } },
//!   "severity": "high"
//! }
//! ```
//!
//! `docs/expressions.md` is the language for those who write conditions. In short: columns are texts, integers, decimals (exact hundredths),
//! doubles, and true or false; numbers of all types compare and add; **a comparison with null is false**, `!=` too, and `has(x)` or
//! `x == null` ask for it; a row whose condition cannot be evaluated (division by zero, a number beyond 64 bits, a key that a map does not
//! have) is refused with the reason, unless another part of the condition, or a count, decides alone; what cannot work at all is refused when
//! the rule is configured, with line and column.
//!
//! # How
//!
//! [`parse`] reads the text with the parser of `cel`; [`compile`] checks names and types and makes a [`plan`]; [`evaluate`] applies that to
//! the columns of a batch, one test after the other to all rows that are still open. What the compiler does not know is left to the
//! interpreter of `cel`, a call at a time, with operands that are evaluated here: so nulls, decimals and errors mean the same everywhere.
//!
//! A condition with counts is split by [`counts`]: what an event's own columns say is evaluated when the event arrives, and [`window`] judges
//! the rest, event by event.

use tamis_sdk::bindings::types::{Finding, Keyed, RuleOutcome, Subject};
use tamis_sdk::rule::{self, RulePlugin};

mod columns;
mod compile;
mod counts;
mod describe;
mod evaluate;
mod parse;
mod place;
mod plan;
mod settings;
mod window;

use columns::Column;
use compile::Used;
use evaluate::{Bits, Evaluation, Interpreter, Rows};
use plan::Test;
use settings::Settings;
use window::Counting;

/// The rule as its host calls it.
#[derive(Debug)]
pub struct Plugin {
    settings: Settings,
    /// The columns that it reads.
    columns: Vec<Column>,
    /// How many of them are the condition's: alerts tell these.
    told: usize,
    /// The condition of a rule without counts.
    condition: Test,
    /// The condition of a rule with counts.
    counting: Option<Counting>,
    interpreter: Interpreter,
}

/// More columns than an alert can tell beside its counts are not read.
const TOLD_MAX: usize = 40;

impl Plugin {
    fn of(settings: Settings) -> Result<Self, String> {
        let topic = settings.topic()?;
        let names: Vec<&str> = settings.counts.keys().map(String::as_str).collect();
        let mut used = Used::default();
        let mut compile = |setting: &str, text: &str, counts: &[&str]| {
            let parsed = parse::parse(text);
            let test = parsed.and_then(|parsed| compile::condition(&parsed, &topic, counts, &mut used));
            test.map(|test| (test, used.columns.len())).map_err(|refusal| format!("setting `{setting}`, {refusal}"))
        };
        let (condition, told) = compile("condition", &settings.condition, &names)?;
        if told > TOLD_MAX {
            return Err(format!("setting `condition`: it names {told} columns, at most {TOLD_MAX}"));
        }
        let mut counts = Vec::with_capacity(settings.counts.len());
        for (name, count) in &settings.counts {
            let setting = format!("counts.{name}.where");
            let condition = count.condition.as_deref().map(|text| compile(&setting, text, &[])).transpose()?;
            let condition = condition.map(|(condition, _)| condition);
            counts.push(window::Count { name: name.clone(), condition, window_ms: count.window_ms });
        }
        let columns = used.columns;
        let severity = settings.severity.severity();
        let counting =
            (!counts.is_empty()).then(|| Counting::new(counts, condition.clone(), &columns[..told], severity));
        Ok(Self { settings, columns, told, condition, counting, interpreter: Interpreter::default() })
    }

    fn judge_rows(&self, rows: &Keyed) -> Result<RuleOutcome, String> {
        let table = Rows::of(&rows.batch, &self.columns)?;
        let holds = Evaluation::new(&table, &self.interpreter).holds(&self.condition, &Bits::all(table.len));
        let holds = holds.map_err(|why| format!("the condition {why}"))?;
        let mut outcome = rule::empty_outcome(0, 0);
        let severity = self.settings.severity.severity();
        let finding = |row| Finding { subject: Subject::Row(row as u32), severity, criteria: 1, context: Vec::new() };
        outcome.findings.extend(holds.iter().map(finding));
        Ok(outcome)
    }
}

impl RulePlugin for Plugin {
    fn manifest() -> String {
        let defaults = Self::configure(&settings::defaults().to_string());
        defaults.expect("the defaults are valid").describe()
    }

    fn configure(config: &str) -> Result<Self, String> {
        Settings::read(config).and_then(Self::of)
    }

    fn describe(&self) -> String {
        describe::manifest(self)
    }

    fn apply(&mut self, rows: &Keyed) -> Result<RuleOutcome, String> {
        match &self.counting {
            Some(counting) => counting.apply(rows, &self.columns, &self.interpreter),
            None => self.judge_rows(rows),
        }
    }

    fn advance(&mut self, due: &Keyed) -> Result<RuleOutcome, String> {
        match &self.counting {
            Some(counting) => counting.advance(due, &self.interpreter),
            None => Ok(rule::nothing(due)),
        }
    }
}

tamis_sdk::export_rule!(Plugin);

#[cfg(test)]
mod tests;
