//! Who runs: the versions of a rule set, made out of those that ran before it.
//!
//! Nothing of what ran before is touched until every version is known to start, so a set that cannot be put to work changes nothing.

use std::sync::Arc;

use tamis_model::Result;
use tamis_model::rule::Rule;

use crate::judge::RuleRun;
use crate::kept::{Inheritance, Kept};
use crate::rules::{RulePlan, RuleSet};

/// What ran before: in this process, or in the one that took the last checkpoint.
pub(crate) enum Before {
    Run(Box<RuleRun>),
    Restored(Box<Kept>),
}

impl Before {
    /// The run, if it was one.
    pub fn run(self) -> Option<RuleRun> {
        match self {
            Self::Run(run) => Some(*run),
            Self::Restored(_) => None,
        }
    }

    fn kept(&self) -> &Kept {
        match self {
            Self::Run(run) => &run.kept,
            Self::Restored(kept) => kept,
        }
    }
}

/// How a version starts.
enum Start {
    /// With the same code and configuration as before: what ran has this index.
    GoesOn(usize),
    /// With new code and what a version left that is no longer there, or runs with other code: it has this index.
    Takes(Box<dyn Rule>, usize),
    /// With new code and what was made for it.
    Has(Box<dyn Rule>, Box<Kept>),
}

/// The runs of a set. `before` is emptied, unless there is an error.
pub(crate) fn assemble(rules: &RuleSet, before: &mut Vec<Before>) -> Result<Vec<RuleRun>> {
    let starts: Vec<Start> = rules.rules.iter().map(|plan| start(plan, rules, before)).collect::<Result<_>>()?;
    let mut before: Vec<Option<Before>> = before.drain(..).map(Some).collect();
    let mut take = |index: usize| before[index].take().expect("one version takes it");
    let runs = rules.rules.iter().zip(starts).map(|(plan, start)| {
        let plan = Arc::clone(plan);
        match start {
            Start::GoesOn(index) => match take(index) {
                Before::Run(run) => run.goes_on(plan),
                Before::Restored(_) => unreachable!("what was restored has no code"),
            },
            Start::Takes(code, index) => match take(index) {
                Before::Run(run) => RuleRun::new(plan, code, run.kept),
                Before::Restored(kept) => RuleRun::new(plan, code, *kept),
            },
            Start::Has(code, kept) => RuleRun::new(plan, code, *kept),
        }
    });
    Ok(runs.collect())
}

fn start(plan: &Arc<RulePlan>, rules: &RuleSet, before: &[Before]) -> Result<Start> {
    let of_rule = |kept: &Kept| kept.author.rule == plan.name;
    let same = before.iter().position(|b| of_rule(b.kept()) && b.kept().author.version == plan.version);
    if let Some(index) = same
        && let Before::Run(run) = &before[index]
        && run.plan.plugin == plan.plugin
        && run.plan.config == plan.config
    {
        return Ok(Start::GoesOn(index));
    }
    let mut code = (plan.make)(&plan.config)?;
    let active = || before.iter().position(|b| of_rule(b.kept()) && !b.kept().author.trial);
    let Some(donor) = same.or_else(active) else {
        return Ok(Start::Has(code, Box::new(Kept::new(plan))));
    };
    let kept = before[donor].kept();
    let of_donor = |other: &Arc<RulePlan>| other.name == plan.name && other.version == kept.author.version;
    // Of two new versions the active one takes what the old one left.
    let takes = Some(donor) == same || (!plan.role.is_trial() && !rules.rules.iter().any(of_donor));
    match kept.inherited_by(plan, &mut *code)? {
        Inheritance::Same if takes => Ok(Start::Takes(code, donor)),
        Inheritance::Same => Ok(Start::Has(code, Box::new(kept.clone()))),
        Inheritance::Migrated(state) => {
            let watermark = kept.watermark;
            Ok(Start::Has(code, Box::new(Kept { state, watermark, ..Kept::new(plan) })))
        }
        Inheritance::Nothing => Ok(Start::Has(code, Box::new(Kept::new(plan)))),
    }
}
