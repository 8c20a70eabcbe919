//! The words of `tamis backtest`.

use chrono::{DateTime, NaiveDate};
use clap::Args;
use serde_json::{Map, Value};
use tamis_jobs::backtest::{BacktestRequest, OtherVersion};
use tamis_model::time::rfc3339_millis;

/// What is tried, over which time, and what it is compared with.
#[derive(Args, Clone, Debug)]
pub struct BacktestArguments {
    /// Try this plugin; without a version its newest one.
    #[arg(long, value_name = "NAME[@VERSION]", required_unless_present = "rule", conflicts_with = "rule_version")]
    plugin: Option<String>,
    /// Try a version of this rule; beside --plugin, the rule under whose name the plugin runs.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Which version of the rule; else the active one, else the newest.
    #[arg(long, value_name = "N", requires = "rule")]
    rule_version: Option<u32>,
    /// Settings that differ from those of the rule's version, or from the plugin's defaults.
    #[arg(long, value_name = "JSON", value_parser = object)]
    config: Option<Map<String, Value>>,
    /// The first moment whose alerts count: a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: String,
    /// The first moment whose alerts no longer count.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: String,
    /// How much is read before `from` to build the state: 90s, 15m, 24h, 2d; else what the rule needs.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    warm_up: Option<u64>,
    /// How much is read behind `to` to complete windows and pairs; else what the rule needs.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    run_out: Option<u64>,
    /// Compare with this version of the rule, or of a plugin; else with the rule's active version.
    #[arg(long, value_name = "N|NAME@VERSION")]
    compare_with: Option<String>,
}

impl BacktestArguments {
    /// The request that they make.
    pub(super) fn request(&self) -> BacktestRequest {
        let versioned = |text: &String| match text.split_once('@') {
            Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
            None => (text.clone(), None),
        };
        let (plugin, plugin_version) = self.plugin.as_ref().map(versioned).unzip();
        let other = |text: &String| match text.parse() {
            Ok(number) => OtherVersion::Rule(number),
            Err(_) => OtherVersion::Plugin(text.clone()),
        };
        BacktestRequest {
            rule: self.rule.clone(),
            version: self.rule_version,
            plugin,
            plugin_version: plugin_version.flatten(),
            config: self.config.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            warmup_ms: self.warm_up,
            run_out_ms: self.run_out,
            compare_with: self.compare_with.as_ref().map(other),
            ..BacktestRequest::default()
        }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON object: {error}"))
}

/// A date, which is its midnight in UTC, or a time in RFC 3339.
fn moment(text: &str) -> Result<String, String> {
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(rfc3339_millis(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis()));
    }
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| "it is no date, nor a time like 2026-03-18T14:00:00Z")?;
    Ok(rfc3339_millis(time.timestamp_millis()))
}

/// A number and its unit, in milliseconds.
fn duration(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("its unit is ms, s, m, h or d: 90s, 15m, 24h".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{digits:?} is no whole number"))?;
    number.checked_mul(unit_ms).ok_or_else(|| "it is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: BacktestArguments,
    }

    fn check(line: &str, expected: Result<Value, &str>) {
        let words = ["backtest"].into_iter().chain(line.split_whitespace());
        match (Line::try_parse_from(words), expected) {
            (Ok(parsed), Ok(expected)) => {
                let request = parsed.arguments.request();
                assert_eq!(serde_json::to_value(request).unwrap(), expected, "{line}");
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{line}: {error}"),
            (parsed, expected) => panic!("{line}: {:?} instead of {expected:?}", parsed.map(|line| line.arguments)),
        }
    }

    #[test]
    fn what_can_be_asked_for() {
        let (from, to) = ("2026-03-18T00:00:00.000Z", "2026-03-18T13:00:00.000Z");
        let window = "--from 2026-03-18 --to 2026-03-18T14:00:00+01:00";
        check(
            &format!("--plugin card-testing@1.1.0 --config {{\"attempts_max\":5}} --compare-with 3 {window}"),
            Ok(
                json!({"plugin": "card-testing", "plugin_version": "1.1.0", "config": {"attempts_max": 5}, "compare_with": 3,
                      "from": from, "to": to, "source": "topics"}),
            ),
        );
        check(
            &format!("--rule a --rule-version 4 --warm-up 90m --run-out 0s --compare-with b@1.0.0 {window}"),
            Ok(json!({"rule": "a", "version": 4, "warmup_ms": 5_400_000, "run_out_ms": 0, "compare_with": "b@1.0.0",
                      "from": from, "to": to, "source": "topics"})),
        );
        check(window, Err("--plugin"));
        check(&format!("--plugin a --rule-version 1 --rule b {window}"), Err("cannot be used with"));
        check("--plugin a --from yesterday --to 2026-03-18", Err("no date"));
        check(&format!("--plugin a --config 5 {window}"), Err("no JSON object"));
        for (text, words) in [
            ("5", "its unit"),
            ("5w", "its unit"),
            ("1.5h", "no whole number"),
            ("h", "no whole number"),
            ("-1h", ""),
            ("999999999999999d", "too long"),
        ] {
            check(&format!("--plugin a --warm-up {text} {window}"), Err(words));
        }
    }
}
