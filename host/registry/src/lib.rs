//! Plugins and rules as people change them: what needs the catalogue and the sandbox at the same time.

mod rule_plan;

pub use rule_plan::rule_plan;
