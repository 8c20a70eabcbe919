//! A checkout by a program: its user agent says so, and no person is that fast.

use regex::{Regex, RegexBuilder};
use tamis_sdk::config::Setting;
use tamis_sdk::json::{Value as Json, json};
use tamis_sdk::prelude::*;

/// Who is a program, and who is too fast.
#[derive(Config)]
pub struct Limits {
    /// A regular expression (Rust's `regex`) that is found anywhere in the user agents of programs.
    #[config(default = Pattern::new("(?i)bot|crawl|spider|headless|curl|python-requests|selenium|phantom").expect("it is one"))]
    bot_pattern: Pattern,
    /// The shortest time that a checkout of a person takes, in milliseconds.
    #[config(default = 300)]
    processing_time_ms_min: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    user_agent: Option<&'a str>,
    processing_time_ms: Option<i64>,
}

/// Whether a program paid; null is no sign of one.
#[rule(severity = "high", route = "alerts_advanced_fraud", title = "Checkout by a program", owner = "fraud")]
pub fn bot_checkout(config: &Limits, payment: &Payment) -> bool {
    // The cheap comparison first.
    payment.processing_time_ms.is_some_and(|ms| ms < config.processing_time_ms_min)
        && payment.user_agent.is_some_and(|agent| config.bot_pattern.0.is_match(agent))
}

/// A regular expression; in a configuration its text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// What a pattern takes at most when it is compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let mut pattern = RegexBuilder::new(text);
        let pattern = pattern.nest_limit(20).size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build();
        // The message repeats the pattern with a mark below it; its last line is the reason.
        let reason =
            |message: String| message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        pattern.map(Self).map_err(|error| format!("the pattern cannot be read: {}", reason(error.to_string())))
    }
}

impl Setting for Pattern {
    fn schema() -> Json {
        json!({"type": "string", "format": "regex"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        let text = value.as_str().ok_or_else(|| format!("expected a regular expression, found {value}"))?;
        Self::new(text)
    }

    fn json(&self) -> Json {
        self.0.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use tamis_sdk::config::Config;

    use super::*;

    fn check(user_agent: Option<&str>, processing_time_ms: Option<i64>, expected: bool) {
        let payment = Payment { user_agent, processing_time_ms };
        assert_eq!(bot_checkout(&Limits::default(), &payment), expected, "{user_agent:?} {processing_time_ms:?}");
    }

    #[test]
    fn a_fast_program_fires() {
        check(Some("curl/8.5.0"), Some(299), true);
        check(Some("curl/8.5.0"), Some(300), false);
        check(Some("curl/8.5.0"), Some(-1), true);
        check(Some("Mozilla/5.0"), Some(1), false);
        check(None, Some(1), false);
        check(Some("curl/8.5.0"), None, false);
    }

    #[test]
    fn the_pattern_is_found_anywhere_and_in_any_case() {
        for agent in [
            "Googlebot/2.1",
            "a CRAWLER",
            "SpiderMonkey",
            "HeadlessChrome",
            "python-requests/2",
            "x Selenium",
            "PhantomJS",
        ] {
            check(Some(agent), Some(0), true);
        }
        for agent in ["bo t", "python requests", ""] {
            check(Some(agent), Some(0), false);
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused_by_its_name() {
        let check = |config: &str, expected: &str| assert_eq!(Limits::parse(config).err().unwrap(), expected);
        check(r#"{"bot_pattern": "bot("}"#, "setting `bot_pattern`: the pattern cannot be read: unclosed group");
        check(r#"{"bot_pattern": 1}"#, "setting `bot_pattern`: expected a regular expression, found 1");
        let large = Limits::parse(r#"{"bot_pattern": "\\w{1000}{1000}"}"#).err().unwrap();
        assert!(large.contains("cannot be read"), "{large}");
        let own = Limits::parse(r#"{"bot_pattern": "^wget"}"#).unwrap();
        assert!(own.bot_pattern.0.is_match("wget/1") && !own.bot_pattern.0.is_match("a wget"));
    }
}
