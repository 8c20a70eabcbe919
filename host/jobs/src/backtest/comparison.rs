//! What the versions of a backtest raised: counted as it comes, and compared by the ids of alerts.
//!
//! An id that was taken in is followed to the end, so what is said of the ids that are compared is exact, however many others there are.

use std::collections::{BTreeMap, HashMap};

use chrono::DateTime;
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::rule::Severity;
use tamis_model::time::{Millis, window_start};
use tamis_model::{Error, Kind, Result};

use super::{Bounds, Window};

/// One of the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that is tried.
    New,
    /// The one that it is compared with.
    Old,
}

impl Side {
    pub const BOTH: [Self; 2] = [Self::New, Self::Old];

    fn other(self) -> Self {
        match self {
            Self::New => Self::Old,
            Self::Old => Self::New,
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Alerts by how bad they are.
pub(super) type BySeverity = BTreeMap<Severity, u64>;

/// An alert id, which is written as 32 hex digits.
type Id = [u8; 16];

/// The alerts of both versions.
pub(super) struct Comparison {
    window: Window,
    bounds: Bounds,
    /// Which sides raised an id.
    raised: HashMap<Id, u8>,
    tallies: [Tally; 2],
    /// Ids that both raised.
    pub both: u64,
    /// The first of them, as the new version and as the old one has it.
    pub pairs: Vec<(Alert, Alert)>,
}

/// The alerts of a version whose time lies in the window.
#[derive(Default)]
pub(super) struct Tally {
    pub total: u64,
    pub by_severity: BySeverity,
    /// By the beginning of an hour or a day.
    pub at: BTreeMap<Millis, BySeverity>,
    /// Those whose ids there was no room for: they may have been counted before.
    pub not_compared: u64,
    /// The first ones.
    pub first: Vec<Alert>,
    /// Those that the other version has not raised (yet), with their place in the order.
    waiting: HashMap<Id, (u64, Alert)>,
}

impl Comparison {
    pub fn new(window: Window, bounds: Bounds) -> Self {
        let (raised, tallies, pairs) = Default::default();
        Self { window, bounds, raised, tallies, both: 0, pairs }
    }

    /// Takes an alert in, unless its time lies outside the window or this side has raised it before.
    pub fn take(&mut self, side: Side, alert: &Alert) -> Result<()> {
        let time = DateTime::parse_from_rfc3339(&alert.event_time).corrupt("read the time of", "an alert")?;
        let time = time.timestamp_millis();
        if !self.window.has(time) {
            return Ok(());
        }
        let id = id(alert)?;
        match self.raised.get(&id).copied() {
            Some(sides) if sides & side.bit() != 0 => return Ok(()),
            Some(sides) => {
                self.raised.insert(id, sides | side.bit());
                self.meet(side, &id, alert);
            }
            None if self.raised.len() < self.bounds.ids_max => {
                self.raised.insert(id, side.bit());
                self.wait(side, id, alert);
            }
            None => self.tallies[side as usize].not_compared += 1,
        }
        let (bucket, examples_max) = (window_start(time, self.window.bucket_ms()), self.bounds.examples_max);
        self.tallies[side as usize].count(alert, bucket, examples_max);
        Ok(())
    }

    /// What a version raised.
    pub fn tally(&self, side: Side) -> &Tally {
        &self.tallies[side as usize]
    }

    /// How many compared ids only this side raised.
    pub fn only(&self, side: Side) -> u64 {
        let tally = self.tally(side);
        tally.total - tally.not_compared - self.both
    }

    /// Some of the alerts that only this side raised, in the order in which it raised them.
    pub fn only_examples(&self, side: Side) -> impl Iterator<Item = &Alert> {
        let mut waiting: Vec<_> = self.tally(side).waiting.values().collect();
        waiting.sort_unstable_by_key(|(place, _)| *place);
        waiting.into_iter().take(self.bounds.examples_max).map(|(_, alert)| alert)
    }

    /// The other side raised it before.
    fn meet(&mut self, side: Side, id: &Id, alert: &Alert) {
        self.both += 1;
        let waited = self.tallies[side.other() as usize].waiting.remove(id);
        if let Some((_, other)) = waited
            && self.pairs.len() < self.bounds.examples_max
        {
            self.pairs.push(match side {
                Side::New => (alert.clone(), other),
                Side::Old => (other, alert.clone()),
            });
        }
    }

    fn wait(&mut self, side: Side, id: Id, alert: &Alert) {
        let Tally { waiting, total, .. } = &mut self.tallies[side as usize];
        if waiting.len() < self.bounds.waiting_max {
            waiting.insert(id, (*total, alert.clone()));
        }
    }
}

impl Tally {
    fn count(&mut self, alert: &Alert, bucket: Millis, examples_max: usize) {
        self.total += 1;
        *self.by_severity.entry(alert.severity).or_default() += 1;
        *self.at.entry(bucket).or_default().entry(alert.severity).or_default() += 1;
        if self.first.len() < examples_max {
            self.first.push(alert.clone());
        }
    }
}

fn id(alert: &Alert) -> Result<Id> {
    let id = u128::from_str_radix(&alert.alert_id, 16);
    id.map(u128::to_be_bytes).map_err(|_| Error::new(Kind::Corrupt, "read the id of", "an alert"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tamis_model::alert::{AlertContext, AlertMode, Personal};
    use tamis_model::time::rfc3339_millis;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const WINDOW: Window = Window { from: HOUR_MS, to: 5 * HOUR_MS };

    fn alert(id: u64, time: Millis, severity: Severity) -> Alert {
        Alert {
            alert_id: format!("{id:032x}"),
            rule: "r".to_owned(),
            rule_version: 1,
            plugin_version: "1.0.0".to_owned(),
            plugin_sha256: String::new(),
            severity,
            mode: AlertMode::Live,
            event_time: rfc3339_millis(time),
            generated_at: rfc3339_millis(0),
            key: None,
            payment_id: Some(format!("p{id}")),
            order_id: None,
            customer_id: None,
            criteria: Vec::new(),
            context: AlertContext::default(),
            lists: Arc::default(),
            personal: Personal::default(),
        }
    }

    fn comparison(bounds: Bounds, raised: &[(Side, u64)]) -> Comparison {
        let mut comparison = Comparison::new(WINDOW, bounds);
        for (side, id) in raised {
            comparison.take(*side, &alert(*id, HOUR_MS, Severity::High)).unwrap();
        }
        comparison
    }

    /// Both, only new, only old, not compared of new and of old.
    fn figures(comparison: &Comparison) -> (u64, u64, u64, u64, u64) {
        let not_compared = |side| comparison.tally(side).not_compared;
        let (new, old) = (Side::New, Side::Old);
        (comparison.both, comparison.only(new), comparison.only(old), not_compared(new), not_compared(old))
    }

    fn names<'a>(alerts: impl Iterator<Item = &'a Alert>) -> Vec<&'a str> {
        alerts.filter_map(|alert| alert.payment_id.as_deref()).collect()
    }

    const N: Side = Side::New;
    const O: Side = Side::Old;

    #[test]
    fn alerts_are_compared_by_their_ids() {
        let raised = [(N, 1), (N, 2), (O, 2), (N, 2), (O, 3), (O, 3), (O, 4), (N, 4), (N, 5), (O, 6)];
        let comparison = comparison(Bounds::default(), &raised);
        assert_eq!(figures(&comparison), (2, 2, 2, 0, 0));
        assert_eq!(names(comparison.only_examples(N)), ["p1", "p5"]);
        assert_eq!(names(comparison.only_examples(O)), ["p3", "p6"]);
        let pairs: Vec<_> = comparison.pairs.iter().map(|(new, old)| (&new.alert_id, &old.alert_id)).collect();
        assert!(pairs.iter().all(|(new, old)| new == old));
        assert_eq!(names(comparison.pairs.iter().map(|(new, _)| new)), ["p2", "p4"]);
        assert_eq!(comparison.tally(N).total, 4, "an id counts once");
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_not_compared() {
        let bounds = Bounds { ids_max: 2, ..Bounds::default() };
        let raised = [(N, 1), (N, 2), (N, 3), (N, 3), (O, 3), (O, 2), (O, 4)];
        let comparison = comparison(bounds, &raised);
        assert_eq!(figures(&comparison), (1, 1, 0, 2, 2));
        assert_eq!((comparison.tally(N).total, comparison.tally(O).total), (4, 3));
    }

    #[test]
    fn examples_are_few_and_those_that_wait_for_one_as_well() {
        let bounds = Bounds { examples_max: 1, waiting_max: 2, ..Bounds::default() };
        let raised = [(N, 1), (N, 2), (N, 3), (O, 1), (O, 2), (O, 3), (N, 4)];
        let comparison = comparison(bounds, &raised);
        assert_eq!(figures(&comparison), (3, 1, 0, 0, 0));
        assert_eq!(names(comparison.pairs.iter().map(|(_, old)| old)), ["p1"]);
        assert_eq!(names(comparison.only_examples(N)), ["p4"]);
        assert_eq!(names(comparison.tally(N).first.iter()), ["p1"]);
    }

    #[test]
    fn only_alerts_of_the_window_count_by_the_hour_and_by_how_bad_they_are() {
        let mut comparison = Comparison::new(WINDOW, Bounds::default());
        let times = [HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS - 1, 2 * HOUR_MS, 5 * HOUR_MS - 1, 5 * HOUR_MS];
        for (id, time) in times.into_iter().enumerate() {
            let severity = if id == 3 { Severity::Critical } else { Severity::High };
            comparison.take(N, &alert(id as u64, time, severity)).unwrap();
        }
        let tally = comparison.tally(N);
        let counts = |counts: &[(Severity, u64)]| counts.iter().copied().collect::<BySeverity>();
        assert_eq!(tally.by_severity, counts(&[(Severity::High, 3), (Severity::Critical, 1)]));
        let at = [
            (1, counts(&[(Severity::High, 2)])),
            (2, counts(&[(Severity::Critical, 1)])),
            (4, counts(&[(Severity::High, 1)])),
        ];
        assert_eq!(tally.at, at.into_iter().map(|(hour, counts)| (hour * HOUR_MS, counts)).collect());
    }
}
