//! What of a feed is judged: the records that fit contracts 3, "Decoding", and how far each lies behind its partition. The others
//! become dead letters.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::feed::Record;

/// A record that fits.
#[derive(Debug)]
pub struct Event {
    pub topic: &'static str,
    pub partition: u32,
    pub time: i64,
    /// How far it lies behind the watermark of its partition; above 0 it is late.
    pub behind_ms: i64,
    members: Map<String, Json>,
}

/// A record that does not, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Letter {
    pub topic: String,
    pub partition: String,
    pub offset: String,
    pub time: i64,
    /// None = a tombstone.
    pub value: Option<Vec<u8>>,
    pub reason: String,
}

/// How a member is written.
enum Form {
    Text,
    OneOf(&'static [&'static str]),
    Amount,
    Integer(i64, i64),
    Number(f64, f64),
    Truth,
}

use Form::{Amount, Integer, Number, OneOf, Text, Truth};

/// Name, form, whether it must be there.
type Member = (&'static str, Form, bool);

const INT32: Form = Integer(i32::MIN as i64, i32::MAX as i64);
const INT64: Form = Integer(i64::MIN, i64::MAX);

const PAYMENT: &[Member] = &[
    ("payment_id", Text, true),
    ("order_id", Text, false),
    ("customer_id", Text, false),
    ("session_id", Text, false),
    ("amount", Amount, true),
    ("currency", Text, false),
    ("method", OneOf(&["card", "paypal", "sepa", "apple_pay", "google_pay"]), true),
    ("status", OneOf(&["succeeded", "failed", "pending", "refunded"]), true),
    ("psp", Text, false),
    ("risk_score", Integer(0, 100), false),
    ("fraud_flag", Truth, false),
    ("billing_country", Text, false),
    ("ip_country", Text, false),
    ("ip_address", Text, false),
    ("device_fingerprint", Text, false),
    ("card_ref", Text, false),
    ("card_masked", Text, false),
    ("user_agent", Text, false),
    ("processing_time_ms", INT64, false),
];

const ORDER: &[Member] = &[
    ("event_id", Text, true),
    ("event_type", OneOf(&["created", "shipped", "delivered", "cancelled"]), true),
    ("order_id", Text, true),
    ("customer_id", Text, false),
    ("total", Amount, false),
    ("subtotal", Amount, false),
    ("discount", Amount, false),
    ("item_count", INT32, false),
    ("delivery_method", OneOf(&["standard", "express", "pickup"]), false),
    ("delivery_country", Text, false),
];

const DECISION: &[Member] = &[
    ("event_id", Text, true),
    ("kyc_ref", Text, true),
    ("customer_id", Text, false),
    ("decision", OneOf(&["majeur", "mineur", "en_attente"]), true),
    ("document_hash", Text, false),
    ("confidence_score", Number(0.0, 1.0), false),
];

const NULL_TOKENS: [&str; 7] = ["", "NULL", "null", "N/A", "NA", "NaN", "None"];

/// The events of a feed, in its order, and the dead letters, in theirs.
pub fn events(feed: &[Record]) -> (Vec<Event>, Vec<Letter>) {
    let mut seen = BTreeMap::new();
    let (mut events, mut letters) = (Vec::new(), Vec::new());
    for Record { topic, partition, time, value } in feed {
        // A dead letter, too, has a time.
        let (offset, highest) = seen.entry((*topic, *partition)).or_insert((0, i64::MIN / 2));
        let behind_ms = (*highest - 10_000 - time).max(0);
        match accepted(topic, value) {
            Ok(members) => events.push(Event { topic, partition: *partition, time: *time, behind_ms, members }),
            Err(reason) => letters.push(Letter {
                topic: (*topic).to_owned(),
                partition: partition.to_string(),
                offset: offset.to_string(),
                time: *time,
                value: (reason != "tombstone").then(|| value.clone().into_bytes()),
                reason: reason.to_owned(),
            }),
        }
        (*offset, *highest) = (*offset + 1, (*time).max(*highest));
    }
    letters.sort();
    (events, letters)
}

/// The members of a record, or why it is refused.
fn accepted(topic: &str, value: &str) -> Result<Map<String, Json>, &'static str> {
    let mut members = match serde_json::from_str(value) {
        Ok(Json::Object(members)) => members,
        Ok(Json::Null) => return Err("tombstone"),
        Ok(_) => return Err("not_an_object"),
        Err(_) => return Err("invalid_json"),
    };
    let is_token = |value: &Json| value.as_str().is_some_and(|text| NULL_TOKENS.contains(&text.trim()));
    members.values_mut().filter(|value| is_token(value)).for_each(|value| *value = Json::Null);
    let forms = match topic {
        "payments" => PAYMENT,
        "orders" => ORDER,
        _ => DECISION,
    };
    for (name, form, required) in forms {
        match members.get(*name).filter(|value| !value.is_null()) {
            None if *required => return Err("missing_field"),
            None => {}
            Some(value) => form.check(value)?,
        }
    }
    Ok(members)
}

impl Form {
    fn check(&self, value: &Json) -> Result<(), &'static str> {
        let within = |is_within: bool| if is_within { Ok(()) } else { Err("out_of_range") };
        let typed = |is_typed: bool| if is_typed { Ok(()) } else { Err("wrong_type") };
        match self {
            Text => typed(value.is_string()),
            OneOf(texts) => match value.as_str() {
                Some(text) if texts.contains(&text) => Ok(()),
                Some(_) => Err("not_in_enum"),
                None => Err("wrong_type"),
            },
            Amount => typed(value.is_number()),
            Integer(min, max) => within((*min..=*max).contains(&integer(value).ok_or("wrong_type")?)),
            Number(min, max) => within((*min..=*max).contains(&value.as_f64().ok_or("wrong_type")?)),
            Truth => typed(value.is_boolean()),
        }
    }
}

/// A whole number, also with a zero fraction.
fn integer(value: &Json) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
}

/// Hundredths of a decimal number, rounded half away from zero.
fn cents(number: &str) -> i64 {
    let (sign, digits) = number.strip_prefix('-').map_or((1, number), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{fraction}000");
    let cents = whole.parse::<i64>().unwrap() * 100 + fraction[..2].parse::<i64>().unwrap();
    sign * (cents + i64::from(fraction.as_bytes()[2] >= b'5'))
}

impl Event {
    pub fn is_late(&self) -> bool {
        self.behind_ms > 0
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// The text of an event of this topic.
    pub fn text_of(&self, topic: &str, name: &str) -> Option<&str> {
        if self.topic == topic { self.text(name) } else { None }
    }

    pub fn is(&self, name: &str, text: &str) -> bool {
        self.text(name) == Some(text)
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        integer(self.members.get(name)?)
    }

    pub fn truth(&self, name: &str) -> Option<bool> {
        self.members.get(name)?.as_bool()
    }

    /// A member as the context of an alert tells it.
    pub fn told(&self, name: &str) -> Json {
        let number = match name {
            "amount" | "total" | "subtotal" | "discount" => self.cents(name).map(|cents| match cents % 100 {
                0 => (cents / 100).into(),
                _ => (cents as f64 / 100.0).into(),
            }),
            _ => self.integer(name).map(Json::from),
        };
        number.or_else(|| self.members.get(name).cloned()).unwrap_or_default()
    }

    pub fn cents(&self, name: &str) -> Option<i64> {
        self.members.get(name)?.as_number().map(|number| cents(&number.to_string()))
    }
}

#[test]
fn amounts_are_rounded_from_their_text() {
    for (number, expected) in [("1", 100), ("-0.5", -50), ("1.005", 101), ("1500.004", 150_000), ("-1.005", -101)] {
        assert_eq!(cents(number), expected, "{number}");
    }
}
