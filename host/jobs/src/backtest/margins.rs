//! How much before and behind a window is read, so that what counts is what a live stream raises.

use serde_json::Value;
use tamis_engine::rules::RulePlan;
use tamis_model::manifest::Late;

/// The member of a configuration that is the length of a window (contracts 3: every windowed rule has it).
const WINDOW_LENGTH: &str = "window_ms";
/// How far a rule looks that does not say.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What is read besides a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// Before it: builds the state with which the rule comes to the window.
    pub warm_up_ms: i64,
    /// Behind it: completes the tumbling windows and the pairs that began in the window.
    pub run_out_ms: i64,
}

impl Margins {
    /// What a rule needs. A rule without a key remembers nothing. One that leaves late events out has windows: its longest one, and twice
    /// that before, for what it may carry over from one to the next. One that judges late events joins: as far as it does that.
    pub fn of(plan: &RulePlan) -> Self {
        let manifest = &plan.manifest;
        let window_ms = longest_window(&plan.config);
        match manifest.late {
            _ if !manifest.keyed() => Self::default(),
            Late::Ignore => Self::windows(window_ms.unwrap_or(DAY_MS)),
            Late::Judge => {
                let reach_ms = manifest.late_ms_max.map_or(DAY_MS, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
                let join = Self { warm_up_ms: reach_ms, run_out_ms: reach_ms };
                join.or(Self::windows(window_ms.unwrap_or_default()))
            }
        }
    }

    fn windows(length_ms: i64) -> Self {
        Self { warm_up_ms: length_ms.saturating_mul(2), run_out_ms: length_ms }
    }

    /// What two rules need together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { warm_up_ms: self.warm_up_ms.max(other.warm_up_ms), run_out_ms: self.run_out_ms.max(other.run_out_ms) }
    }
}

/// The longest window of a configuration, however deep it stands.
fn longest_window(config: &str) -> Option<i64> {
    fn longest(value: &Value) -> Option<i64> {
        match value {
            Value::Object(members) => {
                let own = members.get(WINDOW_LENGTH).and_then(Value::as_i64);
                members.values().filter_map(longest).chain(own).max()
            }
            Value::Array(values) => values.iter().filter_map(longest).max(),
            _ => None,
        }
    }
    longest(&serde_json::from_str(config).ok()?).filter(|length| *length > 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tamis_model::Error;
    use tamis_model::dead_letter::PluginRef;

    use super::*;

    #[track_caller]
    fn check(key: Option<&str>, late: &str, late_ms_max: Option<u64>, config: Value, expected: (i64, i64)) {
        let mut manifest = json!({
            "name": "r", "version": "1.0.0", "title": "r", "world": "rule", "late": late,
            "inputs": [{"topic": "payments", "columns": [], "key": key}],
        });
        if let Some(late_ms_max) = late_ms_max {
            manifest["late_ms_max"] = late_ms_max.into();
        }
        let manifest = Arc::new(serde_json::from_value(manifest).unwrap());
        let plugin = PluginRef { name: "r".to_owned(), version: "1.0.0".to_owned(), sha256: String::new() };
        let make = Arc::new(|_: &str| Err(Error::invalid("make", "r", "nobody asks")));
        let plan = RulePlan::new("r", plugin, manifest, config.to_string(), make);
        let Margins { warm_up_ms, run_out_ms } = Margins::of(&plan);
        assert_eq!((warm_up_ms, run_out_ms), expected);
    }

    #[test]
    fn what_rules_need() {
        let window = json!({"attempts_max": 3, "window_ms": 5_000});
        check(None, "judge", None, window.clone(), (0, 0));
        check(Some("session_id"), "ignore", None, window.clone(), (10_000, 5_000));
        check(Some("currency"), "ignore", None, json!({}), (2 * DAY_MS, DAY_MS));
        check(Some("order_id"), "judge", Some(1_000), json!({}), (1_000, 1_000));
        check(Some("order_id"), "judge", Some(1_000), window, (10_000, 5_000));
        check(Some("order_id"), "judge", None, json!({}), (DAY_MS, DAY_MS));
        let counts = json!({"counts": {"failed": {"window_ms": 2_000}, "paid": {"window_ms": 7_000}}, "x": [{"window_ms": 8_000}]});
        check(Some("session_id"), "ignore", None, counts, (16_000, 8_000));
        check(Some("session_id"), "ignore", None, json!({"window_ms": "long"}), (2 * DAY_MS, DAY_MS));
    }
}
