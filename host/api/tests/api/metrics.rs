//! What `/metrics` tells, and whom.

use std::sync::Arc;

use tamis_catalog::roles::Role;
use tamis_engine::meters::{Latencies, Measures};
use tamis_engine::report::RuleGauge;
use tamis_model::position::Partition;
use tamis_model::rule::Severity;

use crate::home::{Home, NOON};

#[tokio::test]
async fn metrics_are_for_those_who_may_look() {
    let home = Home::new().await;
    home.get("/metrics").send().await.is(401);
    let token = home.token("ana", Role::Viewer).await;
    home.status.send_modify(|status| {
        let report = Arc::make_mut(&mut status.report);
        report.watermarks.insert("payments".to_owned(), NOON - 12_500);
        let payments = report.counts.topics.entry("payments".to_owned()).or_default();
        (payments.records, payments.late) = (10, 2);
        payments.refused.insert("wrong_type".to_owned(), 3);
        let rule = report.counts.rules.entry("card-testing".to_owned()).or_default();
        rule.alerts.insert(Severity::High, 4);
        rule.poisoned_by.insert("trap".to_owned(), 1);
        let trial = report.counts.trials.entry("card-testing".to_owned()).or_default();
        trial.alerts.insert(Severity::High, 9);
        status.lag = Arc::new(vec![(Partition { topic: "payments".to_owned(), number: 1 }, 77)]);
        status.rules = Arc::new(vec![RuleGauge {
            rule: "card-testing".to_owned(),
            version: 2,
            trial: true,
            keys: 5,
            state_bytes: 120,
            calls: 1,
            call_ns_p50: 1,
            call_ns_p99: 1,
            call_latencies: Latencies { at_most: vec![(0.001, 1)], count: 1, sum: 0.000_5 },
            tripped: Some("it failed".to_owned()),
        }]);
        status.measures = Arc::new(Measures { batches: 6, ..Measures::default() });
    });
    let answer = home.get("/metrics").token(&token).send().await.is(200);
    assert_eq!(answer.text("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    for line in [
        "tamis_stream_up 1",
        r#"tamis_events_total{topic="payments"} 10"#,
        r#"tamis_late_events_total{topic="payments"} 2"#,
        r#"tamis_refused_events_total{topic="payments",reason="wrong_type"} 3"#,
        r#"tamis_watermark_lag_seconds{topic="payments"} 12.5"#,
        r#"tamis_consumer_lag_records{topic="payments",partition="1"} 77"#,
        r#"tamis_alerts_total{rule="card-testing",severity="high"} 4"#,
        r#"tamis_trial_alerts_total{rule="card-testing",severity="high"} 9"#,
        r#"tamis_plugin_errors_total{rule="card-testing",trial="false",reason="trap"} 1"#,
        r#"tamis_rule_call_seconds_bucket{rule="card-testing",trial="true",le="0.001"} 1"#,
        r#"tamis_state_keys{rule="card-testing",trial="true"} 5"#,
        r#"tamis_state_bytes{rule="card-testing",trial="true"} 120"#,
        r#"tamis_rule_stopped{rule="card-testing",trial="true"} 1"#,
        "tamis_batches_total 6",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("it failed"), "what people wrote or rules said is not for metrics");
}
