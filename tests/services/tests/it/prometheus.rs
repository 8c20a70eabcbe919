//! What promtool says of metrics.

use std::io::{Write, stderr};

use tamis_services::prometheus::promtool;

#[test]
fn metrics_are_checked() {
    let promtool = match promtool() {
        Ok(promtool) => promtool,
        Err(reason) => {
            // Nothing of ours is wrong on a machine that is no Debian.
            let _ = writeln!(stderr(), "not checked: {reason:#}");
            return;
        }
    };
    let check = |metrics: &str, expected: &str| {
        let error = promtool.check_metrics(metrics).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(if expected.is_empty() { error.is_empty() } else { error.contains(expected) }, "{metrics:?}: {error}");
    };
    check("# HELP rows_total Rows taken in.\n# TYPE rows_total counter\nrows_total{topic=\"payments\"} 3\n", "");
    check("# TYPE rows_total counter\nrows_total 3\n", "no help text");
    check("rows_total three\n", "expected float as value");
}
