//! How rules look at events, each way in its plainest reading: one by one, by windows, by pairs.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};
use tamis_model::time::rfc3339_millis;

use super::alerts::{Alerts, Content, told};
use super::decode::Event;
use super::settings::{Settings, route};

const DAY_MS: i64 = 86_400_000;

/// A rule of the table.
#[derive(Clone, Copy)]
pub struct Rule<'s> {
    pub name: &'static str,
    pub severity: &'static str,
    pub settings: &'s Settings,
    /// The settings that its alerts tell.
    pub told: &'static [&'static str],
}

/// What a sliding window is measured by, and the setting that it must be above.
pub struct Tally<'t> {
    pub name: &'static str,
    pub max: &'static str,
    pub of: &'t dyn Fn(&[&Event]) -> i64,
}

impl Rule<'_> {
    fn window_ms(&self) -> i64 {
        self.settings.integer(self.name, "window_ms")
    }

    fn content(&self, key: Option<&str>, event_time: i64, context: Json) -> Content {
        let Json::Object(mut context) = context else { panic!("a context is an object") };
        context.extend(self.told.iter().map(|name| ((*name).to_owned(), self.settings.get(self.name, name).clone())));
        Content {
            route: route(self.name).to_owned(),
            record_key: key.unwrap_or_default().to_owned(),
            rule: self.name.to_owned(),
            mode: "live".to_owned(),
            severity: self.severity.to_owned(),
            criteria: vec![self.name.to_owned()],
            key: key.map(str::to_owned),
            event_time: rfc3339_millis(event_time),
            context: told(context),
            ..Content::default()
        }
    }

    /// What a window came to when the event that it ends at fired. Within a partition that is said by the order of the feed; where the
    /// events are from several, some of them may have arrived later.
    fn at_firing(&self, x: &Event, window: &[&Event], tallies: &[Tally<'_>]) -> Vec<Vec<i64>> {
        let measure = |events: &[&Event]| tallies.iter().map(|tally| (tally.of)(events)).collect::<Vec<_>>();
        let maxima: Vec<_> = tallies.iter().map(|tally| self.settings.integer(self.name, tally.max)).collect();
        let fires = |tallied: &Vec<i64>| tallied.iter().zip(&maxima).all(|(tallied, max)| tallied > max);
        let all = measure(window);
        if !fires(&all) {
            return Vec::new();
        }
        if window.iter().all(|e| (e.topic, e.partition) == (x.topic, x.partition)) {
            let own = window.iter().position(|e| std::ptr::eq(*e, x)).unwrap();
            return (own + 1..=window.len()).map(|n| measure(&window[..n])).find(fires).into_iter().collect();
        }
        all.iter().zip(&maxima).fold(vec![Vec::new()], |begun, (all, max)| {
            begun.iter().flat_map(|begun| (max + 1..=*all).map(|next| [&begun[..], &[next]].concat())).collect()
        })
    }
}

impl Alerts {
    /// An event fires.
    fn event(&mut self, event: &Event, content: Content) {
        let id = event.text(if event.topic == "payments" { "payment_id" } else { "event_id" }).unwrap();
        let text = |name: &str| event.text(name).map(str::to_owned);
        let content = Content {
            record_key: content.key.clone().unwrap_or_else(|| id.to_owned()),
            payment_id: text("payment_id"),
            order_id: text("order_id"),
            customer_id: text("customer_id"),
            ..content
        };
        self.add(&format!("{}|{}|{id}", content.rule, event.topic), content);
    }

    /// Each event by itself, late ones too. Its alert tells `columns`.
    pub fn single(
        &mut self,
        events: &[Event],
        rule: Rule<'_>,
        (topic, columns): (&str, &[&str]),
        severity_of_many: &str,
        criteria: impl Fn(&Event) -> Vec<&'static str>,
    ) {
        for event in events.iter().filter(|event| event.topic == topic) {
            let criteria: Vec<_> = criteria(event).into_iter().map(str::to_owned).collect();
            if criteria.is_empty() {
                continue;
            }
            let context: Map<_, _> = columns.iter().map(|name| ((*name).to_owned(), event.told(name))).collect();
            let mut content = Content { criteria, ..rule.content(None, event.time, context.into()) };
            if content.criteria.len() > 1 {
                content.severity = severity_of_many.to_owned();
            }
            self.event(event, content);
        }
    }

    /// Each event with those of its key in (time − length, time].
    pub fn sliding<'e>(
        &mut self,
        events: &'e [Event],
        rule: Rule<'_>,
        counted: impl Fn(&'e Event) -> Option<&'e str>,
        tallies: &[Tally<'_>],
    ) {
        let in_time = || events.iter().filter(|event| !event.is_late());
        for x in in_time() {
            let Some(key) = counted(x) else { continue };
            let start = x.time - rule.window_ms();
            let in_window = |e: &&Event| e.time > start && e.time <= x.time;
            let window: Vec<_> = in_time().filter(|e| counted(e) == Some(key)).filter(in_window).collect();
            for tallied in rule.at_firing(x, &window, tallies) {
                let mut context = json!({"window_start": rfc3339_millis(start), "window_end": rfc3339_millis(x.time)});
                tallies.iter().zip(tallied).for_each(|(tally, tallied)| context[tally.name] = tallied.into());
                self.event(x, rule.content(Some(key), x.time, context));
            }
        }
    }

    /// Each window [start, start + length) of a key that is not empty. `judge` tells what its alert says of it.
    pub fn tumbling<'e>(
        &mut self,
        events: &'e [Event],
        rule: Rule<'_>,
        key: impl Fn(&'e Event) -> Option<&'e str>,
        judge: impl Fn(&[&Event]) -> Option<Json>,
    ) {
        for ((key, start), window) in windows(events, rule.window_ms(), key) {
            if let Some(mut context) = judge(&window) {
                context["window_start"] = rfc3339_millis(start).into();
                context["window_end"] = rfc3339_millis(start + rule.window_ms()).into();
                self.add(&format!("{}|{key}|{start}", rule.name), rule.content(Some(key), start, context));
            }
        }
    }

    /// Each payment of an order with the events of that order at most a day apart, in the order of the feed. `judge` tells what its
    /// alert says, and which of them it is about.
    pub fn joined(
        &mut self,
        events: &[Event],
        rule: Rule<'_>,
        judge: impl for<'e> Fn(&Event, &[&'e Event]) -> Option<(Json, &'e Event)>,
    ) {
        let judged = |topic: &'static str| events.iter().filter(move |e| e.topic == topic && e.behind_ms <= DAY_MS);
        for payment in judged("payments") {
            let Some(order_id) = payment.text("order_id") else { continue };
            let reaches =
                |order: &&Event| order.is("order_id", order_id) && (order.time - payment.time).abs() <= DAY_MS;
            let orders: Vec<_> = judged("orders").filter(reaches).collect();
            if let Some((mut context, order)) = judge(payment, &orders) {
                context["joined_time"] = rfc3339_millis(order.time).into();
                self.event(payment, rule.content(Some(order_id), payment.time, context));
            }
        }
    }
}

/// The events in time of each key and window.
pub fn windows<'e>(
    events: &'e [Event],
    length: i64,
    key: impl Fn(&'e Event) -> Option<&'e str>,
) -> BTreeMap<(&'e str, i64), Vec<&'e Event>> {
    let mut windows = BTreeMap::<_, Vec<_>>::new();
    for event in events.iter().filter(|event| !event.is_late()) {
        if let Some(key) = key(event) {
            windows.entry((key, event.time.div_euclid(length) * length)).or_default().push(event);
        }
    }
    windows
}
