//! What a change of a topic's schema breaks, and for whom.
//!
//! A change is backward compatible when those with the new schema can read the records that were written with the old one, and forward
//! compatible when those with the old schema can read the records that are written with the new one. Who reads is the decoder and, behind
//! it, rules. What was built on a member is broken whichever way when it becomes a column of another type, names records otherwise or no
//! longer is marked as personal. And so is a rule that the host no longer starts: it reads a member that was removed, is said to be
//! nowhere null and may be now, or is personal now.

use serde::Serialize;

use super::{Field, FieldKind, TopicSchema};

/// Which readers a change must not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Those with the new schema, reading what was written with the old one.
    Backward,
    /// Those with the old schema, reading what is written with the new one.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
        }
    }

    /// Whether somebody who asks for this one must know of a change that breaks `broken`.
    pub fn is_broken_by(self, broken: Self) -> bool {
        self == Self::Full || broken == Self::Full || self == broken
    }
}

/// A change that breaks somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breaking {
    /// What was changed: `orders.items[].quantity`.
    pub path: String,
    /// Which compatibility it breaks.
    pub breaks: Compatibility,
    /// What was done, and what comes of it.
    pub change: String,
}

/// The changes from `old` to `new` that break somebody, in the order of the old schema's members.
pub fn breaking_changes(old: &TopicSchema, new: &TopicSchema) -> Vec<Breaking> {
    let mut changes = Changes(Vec::new());
    if old.name != new.name {
        changes.add(&old.name, Compatibility::Full, format!("is another topic now: {}", new.name));
    }
    let names = [
        ("x-tamis-id", Some(&old.id), Some(&new.id), "the identity of alerts and of records changes"),
        ("x-tamis-order-id", old.order_id.as_ref(), new.order_id.as_ref(), "alerts name another order"),
        ("x-tamis-customer-id", old.customer_id.as_ref(), new.customer_id.as_ref(), "alerts name another customer"),
    ];
    for (keyword, before, after, outcome) in names.into_iter().filter(|(_, before, after, _)| before != after) {
        let said = |name: Option<&String>| name.map_or("nothing", String::as_str).to_owned();
        let change = format!("{keyword} was {} and is {}: {outcome}", said(before), said(after));
        changes.add(&old.name, Compatibility::Full, change);
    }
    changes.members(&old.name, &old.fields, &new.fields, Members::OfRecords);
    changes.0
}

/// Whose members are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    /// Rules read those that are columns.
    OfRecords,
    OfItems,
}

impl Members {
    fn is_column(self, field: &Field) -> bool {
        self == Self::OfRecords && field.column_type().is_some()
    }
}

struct Changes(Vec<Breaking>);

impl Changes {
    fn add(&mut self, path: &str, breaks: Compatibility, change: impl Into<String>) {
        self.0.push(Breaking { path: path.to_owned(), breaks, change: change.into() });
    }

    fn members(&mut self, owner: &str, old: &[Field], new: &[Field], whose: Members) {
        let find = |fields: &'_ [Field], name: &str| fields.iter().position(|field| field.name == name);
        for field in old {
            let path = format!("{owner}.{}", field.name);
            match find(new, &field.name) {
                Some(index) => self.member(&path, field, &new[index], whose.is_column(field)),
                None if whose.is_column(field) => {
                    self.add(&path, Compatibility::Full, "was removed: a rule that reads it does not start any more");
                }
                None if field.required => {
                    self.add(&path, Compatibility::Forward, "was removed: the old schema refuses records without it");
                }
                None => self.add(&path, Compatibility::Forward, "was removed: those who read it get nothing any more"),
            }
        }
        for field in new.iter().filter(|field| field.required && find(old, &field.name).is_none()) {
            let path = format!("{owner}.{}", field.name);
            self.add(&path, Compatibility::Backward, "was added and is required: no old record has it");
        }
    }

    fn member(&mut self, path: &str, old: &Field, new: &Field, is_column: bool) {
        match (old.required, new.required) {
            (false, true) => self.add(path, Compatibility::Backward, "is required now: old records may lack it"),
            (true, false) => {
                let breaks = if is_column { Compatibility::Full } else { Compatibility::Forward };
                let change =
                    "is no longer required: the old schema, and a rule that counts on it, refuse to do without it";
                self.add(path, breaks, change);
            }
            _ => {}
        }
        match (old.personal, new.personal) {
            (true, false) => {
                let change = "is no longer marked personal: it would be stored as it is";
                self.add(path, Compatibility::Full, change);
            }
            (false, true) if is_column => {
                let change = "is personal now: a rule that reads it and does not say so does not start any more";
                self.add(path, Compatibility::Full, change);
            }
            _ => {}
        }
        self.kind(path, &old.kind, &new.kind);
    }

    fn kind(&mut self, path: &str, old: &FieldKind, new: &FieldKind) {
        match (old, new) {
            (FieldKind::Items(old), FieldKind::Items(new)) => {
                self.members(&format!("{path}[]"), old, new, Members::OfItems);
            }
            (FieldKind::Enum(old), FieldKind::Enum(new)) => {
                let missing = |from: &[String], of: &[String]| -> Vec<String> {
                    of.iter().filter(|value| !from.contains(value)).cloned().collect()
                };
                for value in missing(new, old) {
                    let change = format!("no longer has the value {value}: old records may hold it");
                    self.add(path, Compatibility::Backward, change);
                }
                for value in missing(old, new) {
                    let change = format!("has the new value {value}: the old schema refuses it");
                    self.add(path, Compatibility::Forward, change);
                }
            }
            (FieldKind::Text, FieldKind::Enum(_)) => {
                self.add(path, Compatibility::Backward, "has an enum now: old records may hold other values");
            }
            (FieldKind::Enum(_), FieldKind::Text) => {
                self.add(path, Compatibility::Forward, "has no enum any more: the old schema refuses other values");
            }
            (FieldKind::Integer { min, max }, FieldKind::Integer { min: new_min, max: new_max }) => {
                self.bound(path, "minimum", min, new_min, new_min > min);
                self.bound(path, "maximum", max, new_max, new_max < max);
            }
            (FieldKind::Number { min, max }, FieldKind::Number { min: new_min, max: new_max }) => {
                self.bound(path, "minimum", min, new_min, new_min > min);
                self.bound(path, "maximum", max, new_max, new_max < max);
            }
            (old, new) if old == new => {}
            (old, new) => {
                let change = format!("was {} and is {}: what reads it was built for the other", name(old), name(new));
                self.add(path, Compatibility::Full, change);
            }
        }
    }

    fn bound<T: PartialEq + std::fmt::Display>(&mut self, path: &str, keyword: &str, old: &T, new: &T, narrower: bool) {
        if old == new {
            return;
        }
        let (breaks, outcome) = match narrower {
            true => (Compatibility::Backward, "old records may lie beyond it"),
            false => (Compatibility::Forward, "the old schema refuses what lies between"),
        };
        self.add(path, breaks, format!("{keyword} was {old} and is {new}: {outcome}"));
    }
}

/// A kind as people call it.
fn name(kind: &FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "a string",
        FieldKind::Enum(_) => "a string of an enum",
        FieldKind::Amount => "an amount",
        FieldKind::Integer { .. } => "an integer",
        FieldKind::Number { .. } => "a number",
        FieldKind::Boolean => "a boolean",
        FieldKind::TextOrInteger => "a string or an integer",
        FieldKind::Items(_) => "an array",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = include_str!("../../../../schemas/topics/orders.schema.json");

    /// What a replacement in the schema of the orders breaks, and what the way back does.
    fn check(from: &str, to: &str, there: &[(&str, Compatibility, &str)], back: &[(&str, Compatibility, &str)]) {
        let changed = ORDERS.replacen(from, to, 1);
        assert_ne!(changed, ORDERS, "the schema holds {from}");
        let (old, new) = (TopicSchema::parse(ORDERS).unwrap(), TopicSchema::parse(&changed).unwrap());
        for (changes, expected) in [(breaking_changes(&old, &new), there), (breaking_changes(&new, &old), back)] {
            assert_eq!(changes.len(), expected.len(), "{from} to {to}: {changes:?}");
            for (change, (path, breaks, words)) in changes.iter().zip(expected) {
                assert_eq!((&*change.path, change.breaks), (*path, *breaks), "{from} to {to}");
                assert!(change.change.contains(words), "{} says {words}", change.change);
            }
        }
    }

    #[test]
    fn what_breaks_whom() {
        use Compatibility::{Backward, Forward, Full};
        check(r#""title": ""#, r#""title": "Other "#, &[], &[]);
        check(
            r#""coupon_code": {"type": ["string", "null"]}"#,
            r#""coupon": {"type": ["string", "null"]}"#,
            &[("orders.coupon_code", Full, "was removed")],
            &[("orders.coupon", Full, "was removed")],
        );
        check(
            r#""shipped", "#,
            "",
            &[("orders.event_type", Backward, "no longer has the value shipped")],
            &[("orders.event_type", Forward, "has the new value shipped")],
        );
        check(
            r#""channel": {"type": ["string", "null"]}"#,
            r#""channel": {"type": ["string", "null"], "enum": ["web", null]}"#,
            &[("orders.channel", Backward, "has an enum now")],
            &[("orders.channel", Forward, "has no enum any more")],
        );
        check(
            r#""channel": {"type": ["string", "null"]}"#,
            r#""channel": {"type": ["integer", "null"]}"#,
            &[("orders.channel", Full, "was a string and is an integer")],
            &[("orders.channel", Full, "was an integer and is a string")],
        );
        check(
            r#""x-tamis-customer-id": "customer_id""#,
            r#""x-tamis-customer-id": "coupon_code""#,
            &[("orders", Full, "x-tamis-customer-id was customer_id and is coupon_code")],
            &[("orders", Full, "was coupon_code")],
        );
        check(
            r#""x-tamis-topic": "orders""#,
            r#""x-tamis-topic": "sales""#,
            &[("orders", Full, "sales")],
            &[("sales", Full, "")],
        );
        check(
            r#", "x-tamis-personal": true"#,
            "",
            &[("orders.customer_id", Full, "no longer marked personal")],
            &[("orders.customer_id", Full, "is personal now")],
        );
    }

    #[test]
    fn what_is_required_and_what_is_inside_of_items() {
        use Compatibility::{Backward, Forward, Full};
        let old = TopicSchema::parse(ORDERS).unwrap();
        let changed = |change: &dyn Fn(&mut Vec<Field>)| {
            let mut new = old.clone();
            change(&mut new.fields);
            new
        };
        let index = |name: &str| old.fields.iter().position(|field| field.name == name).unwrap();
        let check =
            |change: &dyn Fn(&mut Vec<Field>), path: &str, there: Compatibility, back: Option<Compatibility>| {
                let new = changed(change);
                let of = |changes: Vec<Breaking>| changes.into_iter().map(|c| (c.path, c.breaks)).collect::<Vec<_>>();
                assert_eq!(of(breaking_changes(&old, &new)), [(path.to_owned(), there)]);
                let back: Vec<_> = back.into_iter().map(|back| (path.to_owned(), back)).collect();
                assert_eq!(of(breaking_changes(&new, &old)), back);
            };
        check(&|fields| fields[index("total")].required = true, "orders.total", Backward, Some(Full));
        let required = || Field { name: "new".to_owned(), kind: FieldKind::Text, required: true, personal: false };
        check(&|fields| fields.push(required()), "orders.new", Backward, Some(Full));
        // No rule reads what is in an array.
        let in_items = |fields: &mut Vec<Field>, change: &dyn Fn(&mut Vec<Field>)| {
            let FieldKind::Items(items) = &mut fields[index("items")].kind else { panic!("items are items") };
            change(items);
        };
        check(
            &|fields| in_items(fields, &|items| items[0].required = true),
            "orders.items[].product_id",
            Backward,
            Some(Forward),
        );
        check(&|fields| in_items(fields, &|items| items.truncate(3)), "orders.items[].unit_price", Forward, None);
        check(&|fields| fields.retain(|field| field.name != "items"), "orders.items", Forward, None);
        check(&|fields| fields.retain(|field| field.name != "total"), "orders.total", Full, None);
        let quantity = |fields: &mut Vec<Field>, min: i64, max: i64| {
            in_items(fields, &|items| {
                let quantity = items.iter_mut().find(|field| field.name == "quantity").unwrap();
                quantity.kind = FieldKind::Integer { min, max };
            });
        };
        let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
        check(&|fields| quantity(fields, 0, max), "orders.items[].quantity", Backward, Some(Forward));
        check(&|fields| quantity(fields, min, max + 1), "orders.items[].quantity", Forward, Some(Backward));
    }

    #[test]
    fn who_asks_for_one_way_is_not_told_of_the_other() {
        use Compatibility::{Backward, Forward, Full};
        let told = [Backward, Forward, Full].map(|asked| [Backward, Forward, Full].map(|b| asked.is_broken_by(b)));
        assert_eq!(told, [[true, false, true], [false, true, true], [true, true, true]]);
    }
}
