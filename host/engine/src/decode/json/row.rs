//! What is known of an object's members while it is read.

use super::plan::{FieldPlan, ObjectPlan};
use super::refusal::{Reason, missing};

/// What is known of an object's members.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Those that are there, fit, and are not null.
    pub(super) present: u64,
    /// Those that do not fit.
    pub(super) wrong: u64,
    /// Those that are `true`.
    pub(super) truths: u64,
    /// Why they do not fit; the last of a member counts, as long as it is in `wrong`.
    faults: Vec<Fault>,
}

/// Why a member does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    bit: u64,
    pub(super) reason: Reason,
    /// The member with the way to it, and what would have fitted.
    pub(super) message: String,
}

impl Row {
    pub(super) fn clear(&mut self) {
        (self.present, self.wrong, self.truths) = (0, 0, 0);
        self.faults.clear();
    }

    #[inline(always)]
    pub(super) fn accept(&mut self, field: &FieldPlan) {
        self.present |= field.bit;
        self.wrong &= !field.bit;
    }

    #[inline(always)]
    pub(super) fn null(&mut self, field: &FieldPlan) {
        self.present &= !field.bit;
        self.wrong &= !field.bit;
    }

    #[cold]
    pub(super) fn refuse(&mut self, field: &FieldPlan, reason: Reason) {
        self.refuse_because(field, reason, format!("{}: expected {}", field.name, field.expected()));
    }

    #[cold]
    pub(super) fn refuse_because(&mut self, field: &FieldPlan, reason: Reason, message: String) {
        self.present &= !field.bit;
        self.wrong |= field.bit;
        self.faults.push(Fault { bit: field.bit, reason, message });
    }

    /// What is wrong with the first member, in the schema's order, that does not fit or is missing.
    pub(super) fn first_fault(&self, plan: &ObjectPlan) -> Option<Fault> {
        let faulty = self.wrong | (plan.required & !self.present);
        let field = plan.fields.get(faulty.trailing_zeros() as usize)?;
        if self.wrong & field.bit == 0 {
            return Some(Fault { bit: field.bit, reason: Reason::MissingField, message: missing(&field.name) });
        }
        self.faults.iter().rfind(|fault| fault.bit == field.bit).cloned()
    }
}
