//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

use tamis_engine::meters::Latencies;

/// A label with its value.
pub(super) type Label<'a> = (&'static str, &'a dyn Display);

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, or begins anew.
    Counter,
    /// It is what it is.
    Gauge,
    /// Counts by bounds.
    Histogram,
}

/// Metrics on their way into text.
#[derive(Default)]
pub(super) struct Exposition(String);

/// The samples of one metric. Its head is written with the first of them.
pub(super) struct Family<'a> {
    out: &'a mut String,
    head: Option<(Kind, &'static str)>,
    name: &'static str,
}

impl Exposition {
    /// Begins the metric `name`.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Family<'_> {
        Family { out: &mut self.0, head: Some((kind, help)), name }
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Adds a histogram.
    pub fn latencies(&mut self, labels: &[Label<'_>], latencies: &Latencies) {
        for (bound, count) in &latencies.at_most {
            self.line("_bucket", labels, Some(bound), count);
        }
        self.line("_bucket", labels, Some(&"+Inf"), latencies.count);
        self.line("_sum", labels, None, latencies.sum);
        self.line("_count", labels, None, latencies.count);
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<&dyn Display>, value: impl Display) {
        let Self { out, head, name } = self;
        // Writing into a text does not fail.
        if let Some((kind, help)) = head.take() {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        let _ = write!(out, "{name}{suffix}");
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (label, value) in labels {
            let _ = write!(out, "{before}{label}=\"{}\"", escaped(&value.to_string()));
            before = ',';
        }
        let _ = writeln!(out, "{} {value}", if before == ',' { "}" } else { "" });
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_text() {
        let mut exposition = Exposition::default();
        exposition.family(Kind::Gauge, "none", "Nothing.");
        let mut family = exposition.family(Kind::Counter, "rows_total", "Rows.");
        family.sample(&[("topic", &"payments"), ("reason", &"a \"b\"\\\n")], 3);
        family.sample(&[], 0.25);
        let at_most = vec![(0.000_01, 1), (2.5, 3)];
        let latencies = Latencies { at_most, count: 4, sum: 7.5 };
        exposition.family(Kind::Histogram, "call_seconds", "Calls.").latencies(&[("rule", &"r")], &latencies);
        let expected = r#"# HELP rows_total Rows.
# TYPE rows_total counter
rows_total{topic="payments",reason="a \"b\"\\\n"} 3
rows_total 0.25
# HELP call_seconds Calls.
# TYPE call_seconds histogram
call_seconds_bucket{rule="r",le="0.00001"} 1
call_seconds_bucket{rule="r",le="2.5"} 3
call_seconds_bucket{rule="r",le="+Inf"} 4
call_seconds_sum{rule="r"} 7.5
call_seconds_count{rule="r"} 4
"#;
        assert_eq!(exposition.into_text(), expected);
    }
}
