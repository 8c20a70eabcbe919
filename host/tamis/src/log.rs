//! Log lines: for people, or one JSON object a line for what gathers logs.
//!
//! The members of a JSON line are `timestamp`, `level`, `target`, `message` and the line's own fields; what a request or a batch
//! has for all its lines (`trace_id`, `request_id`, `subject`) stands beside them, as a search engine wants it.

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value};
use tamis_engine::{Clock, SystemClock};
use tamis_model::time::rfc3339_millis;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to write what is logged to standard error. `TAMIS_LOG` says what.
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_env("TAMIS_LOG").unwrap_or_else(|_| "off,tamis=info".into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.with_ansi(false).fmt_fields(JsonFields).event_format(JsonLines).init(),
    }
}

/// Fields of spans as JSON members without their braces.
struct JsonFields;

impl<'writer> FormatFields<'writer> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut members = Members::default();
        fields.record(&mut members);
        let text = Value::Object(members.0).to_string();
        writer.write_str(&text[1..text.len() - 1])
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        if !current.is_empty() {
            current.as_writer().write_char(',')?;
        }
        self.format_fields(current.as_writer(), fields)
    }
}

/// Events as JSON objects.
struct JsonLines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for JsonLines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), rfc3339_millis(SystemClock.now()).into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonFields>>() {
                let members: Map<String, Value> = serde_json::from_str(&format!("{{{fields}}}")).unwrap_or_default();
                line.extend(members);
            }
        }
        let mut members = Members::default();
        event.record(&mut members);
        line.extend(members.0);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Fields on their way into JSON.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_with_the_fields_of_its_spans() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields)
            .event_format(JsonLines);
        tracing::subscriber::with_default(subscriber.finish(), || {
            let span = tracing::info_span!("request", trace_id = "4bf9", subject = tracing::field::Empty);
            span.record("subject", "ana \"the\" first");
            span.in_scope(|| tracing::warn!(status = 404, share = 0.5, is_new = true, why = ?Some(1), "not\nthere"));
            tracing::info!("alone");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            let at = line["timestamp"].take();
            assert!(at.as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{at}");
        }
        let target = module_path!();
        let expected = [
            json!({
                "timestamp": null, "level": "WARN", "target": target, "trace_id": "4bf9", "subject": "ana \"the\" first",
                "message": "not\nthere", "status": 404, "share": 0.5, "is_new": true, "why": "Some(1)",
            }),
            json!({"timestamp": null, "level": "INFO", "target": target, "message": "alone"}),
        ];
        assert_eq!(lines, expected);
    }
}
