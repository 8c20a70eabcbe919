//! A customer shows several documents: an age check is tried until one passes.

use tamis_sdk::prelude::*;

/// How many are too many.
#[derive(Config)]
pub struct Limits {
    /// Different documents of a customer within the window that are still normal.
    #[config(default = 1, min = 0)]
    documents_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 600_000, min = 1)]
    window_ms: i64,
}

/// A decision on the age of a customer.
#[derive(Row)]
#[row(topic = "kyc_decisions")]
pub struct Decision<'a> {
    #[row(personal)]
    customer_id: Option<&'a str>,
    #[row(personal)]
    document_hash: Option<&'a str>,
}

/// Whether the window that ends at a decision holds too many documents.
#[rule(
    key = "customer_id",
    distinct = "document_hash",
    severity = "high",
    route = "alerts_kyc",
    title = "Several documents of one customer within minutes",
    owner = "kyc"
)]
pub fn kyc_multi_document(config: &Limits, documents: &Distinct<Decision>) -> bool {
    documents.count() > config.documents_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge =
            |count: u64| testing::distinct(count, limits.window_ms, |window| kyc_multi_document(&limits, window));
        assert!(!judge(1));
        assert!(judge(2));
    }

    #[test]
    fn the_same_one_again_and_an_unknown_one_do_not_count() {
        let mut run = testing::Run::<Plugin>::new(r#"{"documents_max": 1}"#);
        let event = |time: i64, key: Option<&str>, value: Option<&str>| {
            testing::Record::new(time, format!("x{time}")).with("customer_id", key).with("document_hash", value)
        };
        let events = [
            event(0, Some("k"), Some("a")),
            event(1, Some("k"), Some("a")),
            event(2, Some("k"), None),
            event(3, None, Some("b")),
            event(4, Some("l"), Some("b")),
            event(5, Some("k"), Some("b")),
            event(6, Some("k"), None),
        ];
        let fired = run.all(&events, 4);
        assert_eq!(fired.iter().map(|fired| &fired.id[..]).collect::<Vec<_>>(), ["x5"]);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"distinct(document_hash:text)".into()));
    }
}
