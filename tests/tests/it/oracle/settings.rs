//! What the rules are told: the defaults of contracts 3, and others that suit a short feed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// Every rule of the table.
pub const RULES: [&str; 18] = [
    "payment-direct-fraud",
    "payment-high-amount",
    "psp-error-rate",
    "order-anomaly",
    "order-cancellation-burst",
    "order-express-share",
    "card-testing",
    "fraud-bin",
    "geo-mismatch",
    "bot-checkout",
    "card-wallet",
    "shared-device",
    "paid-cancelled-order",
    "amount-mismatch",
    "cross-velocity",
    "shared-ip",
    "kyc-multi-document",
    "kyc-minor-rate",
];
pub const AGGREGATES: [&str; 2] = ["payments_by_currency", "orders_by_country"];

/// Where the alerts of a rule go.
pub fn route(rule: &str) -> &'static str {
    match rule {
        "payment-direct-fraud" => "alerts_fraud_payments",
        "payment-high-amount" | "psp-error-rate" => "alerts_psp_payments",
        "order-anomaly" | "order-cancellation-burst" | "order-express-share" => "alerts_orders",
        "paid-cancelled-order" | "amount-mismatch" | "cross-velocity" | "shared-ip" => "alerts_fraud_crossed",
        "kyc-multi-document" | "kyc-minor-rate" => "alerts_kyc",
        _ => "alerts_advanced_fraud",
    }
}

/// What a rule is told other than its defaults.
pub type Overrides = BTreeMap<&'static str, Json>;

/// Nothing, or limits and one length for all windows that make a short feed fire; and a length that windows have.
pub fn overrides() -> impl Strategy<Value = (i64, Overrides)> {
    let window_ms = prop::sample::select(vec![1, 2, 999, 1_000, 3_000, 5_000, 60_000]);
    let percent = prop::sample::select(vec![json!(0), json!(5), json!(10.5), json!(33.3), json!(50), json!(100)]);
    let others = (window_ms, 0..4u64, percent)
        .prop_map(|(window_ms, limit, percent)| (window_ms, others(window_ms, limit, &percent)));
    prop_oneof![1 => Just((5_000, Overrides::new())), 3 => others]
}

fn others(window_ms: i64, limit: u64, percent: &Json) -> Overrides {
    BTreeMap::from([
        (
            "payment-direct-fraud",
            json!({"risk_score_max": 60, "failed_risk_score_max": 60, "high_risk_countries": ["FR"]}),
        ),
        ("payment-high-amount", json!({"amount_max": 1499.99})),
        ("psp-error-rate", json!({"error_percent_max": percent, "count_min": limit, "window_ms": window_ms})),
        ("order-anomaly", json!({"total_max": 1, "discount_percent_max": percent, "item_count_max": limit})),
        ("order-cancellation-burst", json!({"cancellations_max": limit, "window_ms": window_ms})),
        ("order-express-share", json!({"express_percent_max": percent, "window_ms": window_ms})),
        ("card-testing", json!({"attempts_max": limit, "window_ms": window_ms})),
        ("fraud-bin", json!({"fraud_bins": ["497010"]})),
        ("geo-mismatch", json!({"risk_score_max": 10 * limit})),
        ("bot-checkout", json!({"processing_time_ms_min": 301})),
        ("card-wallet", json!({"cards_max": limit, "window_ms": window_ms})),
        ("shared-device", json!({"customers_max": limit, "window_ms": window_ms})),
        ("amount-mismatch", json!({"percent_max": percent})),
        ("cross-velocity", json!({"payments_max": limit, "orders_max": limit / 2, "window_ms": window_ms})),
        ("shared-ip", json!({"customers_max": limit, "window_ms": window_ms})),
        ("kyc-multi-document", json!({"documents_max": limit, "window_ms": window_ms})),
        ("kyc-minor-rate", json!({"minor_percent_max": percent, "decided_min": limit, "window_ms": window_ms})),
    ])
}

/// The settings of every rule.
pub struct Settings(BTreeMap<&'static str, Json>);

/// The defaults of the contract, and what is said otherwise.
pub fn effective(overrides: &Overrides) -> Settings {
    let mut settings = defaults();
    for (rule, members) in overrides {
        for (name, value) in members.as_object().unwrap() {
            settings.get_mut(rule).unwrap()[name] = value.clone();
        }
    }
    Settings(settings)
}

fn defaults() -> BTreeMap<&'static str, Json> {
    const MINUTE: i64 = 60_000;
    BTreeMap::from([
        (
            "payment-direct-fraud",
            json!({
                "risk_score_max": 70, "failed_risk_score_max": 40,
                "high_risk_countries": ["NG", "RU", "KP", "IR", "UA", "VN"],
            }),
        ),
        ("payment-high-amount", json!({"amount_max": 1500})),
        ("psp-error-rate", json!({"error_percent_max": 20, "count_min": 1, "window_ms": 5 * MINUTE})),
        ("order-anomaly", json!({"total_max": 3000, "discount_percent_max": 30, "item_count_max": 4})),
        ("order-cancellation-burst", json!({"cancellations_max": 10, "window_ms": MINUTE})),
        ("order-express-share", json!({"express_percent_max": 50, "window_ms": 5 * MINUTE})),
        ("card-testing", json!({"attempts_max": 3, "window_ms": 5_000})),
        ("fraud-bin", json!({"fraud_bins": ["400000", "411111", "510510", "555555"]})),
        ("geo-mismatch", json!({"risk_score_max": 60})),
        ("bot-checkout", json!({"processing_time_ms_min": 300})),
        ("card-wallet", json!({"cards_max": 2, "window_ms": 10 * MINUTE})),
        ("shared-device", json!({"customers_max": 3, "window_ms": 5 * MINUTE})),
        ("paid-cancelled-order", json!({})),
        ("amount-mismatch", json!({"percent_max": 5})),
        ("cross-velocity", json!({"payments_max": 3, "orders_max": 2, "window_ms": 2 * MINUTE})),
        ("shared-ip", json!({"customers_max": 2, "window_ms": 5 * MINUTE})),
        ("kyc-multi-document", json!({"documents_max": 1, "window_ms": 10 * MINUTE})),
        ("kyc-minor-rate", json!({"minor_percent_max": 30, "decided_min": 10, "window_ms": 30 * MINUTE})),
    ])
}

impl Settings {
    pub fn get(&self, rule: &str, name: &str) -> &Json {
        &self.0[rule][name]
    }

    pub fn integer(&self, rule: &str, name: &str) -> i64 {
        self.get(rule, name).as_i64().unwrap()
    }

    /// An amount in cents.
    pub fn cents(&self, rule: &str, name: &str) -> i64 {
        (self.get(rule, name).as_f64().unwrap() * 100.0).round() as i64
    }

    pub fn lists(&self, rule: &str, name: &str, text: &str) -> bool {
        self.get(rule, name).as_array().unwrap().iter().any(|item| item == text)
    }

    /// Whether `part` is more than so many percent of `whole`, exactly; here they have one digit behind the point at most.
    pub fn exceeds(&self, rule: &str, name: &str, part: i64, whole: i64) -> bool {
        let tenths = (self.get(rule, name).as_f64().unwrap() * 10.0).round() as i128;
        whole > 0 && 1000 * i128::from(part) > tenths * i128::from(whole)
    }
}
