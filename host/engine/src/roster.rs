//! Who runs: the versions of a rule set, made out of those that ran before it.
//!
//! A version that cannot be started does not hold the others up: what ran in its place goes on, and a kill switch always takes effect.

use std::sync::Arc;

use tamis_model::rule::Rule;
use tamis_model::{Error, Result};

use crate::judge::RuleRun;
use crate::kept::{Inheritance, Kept};
use crate::rules::{RulePlan, RuleSet};

/// What ran before: in this process, or in the one that took the last checkpoint.
pub(crate) enum Before {
    Run(Box<RuleRun>),
    Restored(Box<Kept>),
}

impl Before {
    /// What runs, and what rests.
    pub fn apart(before: Vec<Self>) -> (Vec<RuleRun>, Vec<Kept>) {
        let (mut runs, mut resting) = (Vec::new(), Vec::new());
        for before in before {
            match before {
                Self::Run(run) => runs.push(*run),
                Self::Restored(kept) => resting.push(*kept),
            }
        }
        (runs, resting)
    }

    fn kept(&self) -> &Kept {
        match self {
            Self::Run(run) => &run.kept,
            Self::Restored(kept) => kept,
        }
    }

    fn into_kept(self) -> Kept {
        match self {
            Self::Run(run) => run.kept,
            Self::Restored(kept) => *kept,
        }
    }
}

/// How a version starts.
enum Start {
    /// With the same code and configuration as before: what ran has this index.
    GoesOn(usize),
    /// With new code and what a version left that is no longer there, or runs with other code: it has this index.
    Takes(Vec<Box<dyn Rule>>, usize),
    /// With new code and what was made for it.
    Has(Vec<Box<dyn Rule>>, Box<Kept>, Begins),
}

/// How what was made for a version came about.
enum Begins {
    /// It can be made again out of the same state, or there is none.
    Made,
    /// The state that is there was left aside.
    Anew,
}

/// A version of the set that cannot be started, and why.
pub(crate) struct Refused {
    pub plan: Arc<RulePlan>,
    pub error: Error,
}

/// What a set comes to. Nothing of what ran before is touched yet.
pub(crate) struct Roster {
    /// What will run.
    pub rules: RuleSet,
    pub refused: Vec<Refused>,
    /// Whether a version begins anew that could not do so a second time: it is on trial, and does not read what is there.
    pub forgets: bool,
    starts: Vec<Start>,
}

impl Roster {
    /// Makes the code of a set, and looks whether it can go on with what was before.
    pub fn new(rules: &RuleSet, before: &[Before], shards: usize) -> Self {
        let revision = rules.revision;
        let mut roster = Self {
            rules: RuleSet { revision, ..RuleSet::default() },
            refused: Vec::new(),
            forgets: false,
            starts: Vec::new(),
        };
        for plan in &rules.rules {
            let (plan, start) = match start(plan, rules, before, shards) {
                Ok(start) => (Some(Arc::clone(plan)), Some(start)),
                Err(error) => {
                    roster.refused.push(Refused { plan: Arc::clone(plan), error });
                    in_place_of(plan, rules, before).unzip()
                }
            };
            roster.forgets |= matches!(start, Some(Start::Has(_, _, Begins::Anew)));
            roster.rules.rules.extend(plan);
            roster.starts.extend(start);
        }
        roster
    }

    /// The runs; what is left of rules that were refused; and those.
    pub fn assemble(self, before: Vec<Before>) -> (Vec<RuleRun>, Vec<Kept>, Vec<Refused>) {
        let Self { rules, refused, starts, .. } = self;
        let mut before: Vec<Option<Before>> = before.into_iter().map(Some).collect();
        let mut take = |index: usize| before[index].take().expect("one version takes it");
        let runs = rules.rules.into_iter().zip(starts).map(|(plan, start)| match start {
            Start::GoesOn(index) => match take(index) {
                Before::Run(run) => run.goes_on(plan),
                Before::Restored(_) => unreachable!("what was restored has no code"),
            },
            Start::Takes(codes, index) => RuleRun::new(plan, codes, take(index).into_kept()),
            Start::Has(codes, kept, _) => RuleRun::new(plan, codes, *kept),
        });
        let runs = runs.collect();
        let rests = |kept: &Kept| refused.iter().any(|refused| refused.plan.name == kept.author.rule);
        let resting = before.into_iter().flatten().map(Before::into_kept).filter(rests).collect();
        (runs, resting, refused)
    }
}

/// What goes on in the place of a version that cannot be started: what ran there, unless the set has another place for that.
fn in_place_of(plan: &RulePlan, rules: &RuleSet, before: &[Before]) -> Option<(Arc<RulePlan>, Start)> {
    before.iter().enumerate().find_map(|(index, before)| match before {
        Before::Run(run)
            if run.plan.name == plan.name
                && run.plan.role.is_trial() == plan.role.is_trial()
                && !rules.rules.iter().any(|other| other.name == plan.name && other.version == run.plan.version) =>
        {
            Some((Arc::clone(&run.plan), Start::GoesOn(index)))
        }
        _ => None,
    })
}

fn start(plan: &Arc<RulePlan>, rules: &RuleSet, before: &[Before], shards: usize) -> Result<Start> {
    let of_rule = |kept: &Kept| kept.author.rule == plan.name;
    let same = before.iter().position(|b| of_rule(b.kept()) && b.kept().author.version == plan.version);
    if let Some(index) = same
        && let Before::Run(run) = &before[index]
        && run.plan.plugin == plan.plugin
        && run.plan.config == plan.config
    {
        return Ok(Start::GoesOn(index));
    }
    let mut codes: Vec<_> = (0..shards).map(|_| (plan.make)(&plan.config)).collect::<Result<_>>()?;
    let active = || before.iter().position(|b| of_rule(b.kept()) && !b.kept().author.trial);
    let Some(donor) = same.or_else(active) else {
        return Ok(Start::Has(codes, Box::new(Kept::new(plan, shards)), Begins::Made));
    };
    let kept = before[donor].kept();
    let of_donor = |other: &Arc<RulePlan>| other.name == plan.name && other.version == kept.author.version;
    // Of two new versions the active one takes what the old one left.
    let takes = Some(donor) == same || (!plan.role.is_trial() && !rules.rules.iter().any(of_donor));
    match kept.inherited_by(plan, &mut *codes[0])? {
        Inheritance::Same if takes => Ok(Start::Takes(codes, donor)),
        Inheritance::Same => Ok(Start::Has(codes, Box::new(kept.copied()), Begins::Made)),
        Inheritance::Migrated(states) => {
            let watermark = kept.watermark;
            Ok(Start::Has(codes, Box::new(Kept { states, watermark, ..Kept::new(plan, shards) }), Begins::Made))
        }
        Inheritance::Nothing => Ok(Start::Has(codes, Box::new(Kept::new(plan, shards)), Begins::Anew)),
    }
}
