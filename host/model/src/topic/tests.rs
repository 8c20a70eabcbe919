//! The published schemas, and schemas that are refused.

use super::*;

const PAYMENTS: &str = include_str!("../../../../schemas/topics/payments.schema.json");
const ORDERS: &str = include_str!("../../../../schemas/topics/orders.schema.json");
const KYC_DECISIONS: &str = include_str!("../../../../schemas/topics/kyc_decisions.schema.json");

fn required(schema: &TopicSchema) -> Vec<&str> {
    schema.fields.iter().filter(|f| f.required).map(|f| f.name.as_str()).collect()
}

#[test]
fn the_published_schemas_say_what_the_contract_says() {
    let payments = TopicSchema::parse(PAYMENTS).unwrap();
    assert_eq!((payments.name.as_str(), payments.id.as_str(), payments.fields.len()), ("payments", "payment_id", 21));
    assert_eq!(required(&payments), ["payment_id", "amount", "method", "status"]);
    assert_eq!(payments.field("risk_score").unwrap().kind, FieldKind::Integer { min: 0, max: 100 });
    assert_eq!(payments.field("created_at").unwrap().kind, FieldKind::TextOrInteger);

    let orders = TopicSchema::parse(ORDERS).unwrap();
    assert_eq!((orders.id.as_str(), orders.fields.len()), ("event_id", 17));
    assert_eq!(required(&orders), ["event_id", "event_type", "order_id"]);
    let FieldKind::Items(items) = &orders.field("items").unwrap().kind else { panic!("items are items") };
    let kinds: Vec<_> = items.iter().map(|f| (f.name.as_str(), f.kind.clone())).collect();
    let int32 = FieldKind::Integer { min: i32::MIN.into(), max: i32::MAX.into() };
    let expected = [("product_id", FieldKind::Text), ("category", FieldKind::Text)];
    assert_eq!(kinds[..2], expected);
    assert_eq!(kinds[2..], [("quantity", int32), ("unit_price", FieldKind::Amount)]);

    let kyc = TopicSchema::parse(KYC_DECISIONS).unwrap();
    assert_eq!((kyc.id.as_str(), kyc.fields.len()), ("event_id", 11));
    assert_eq!(required(&kyc), ["event_id", "kyc_ref", "decision"]);
    assert_eq!(kyc.field("confidence_score").unwrap().kind, FieldKind::Number { min: 0.0, max: 1.0 });
}

/// What becomes of the payments schema when `from` is replaced by `to`.
fn check_refused(from: &str, to: &str, reason: &str) {
    let json = PAYMENTS.replacen(from, to, 1);
    assert_ne!(json, PAYMENTS, "the schema holds {from}");
    let error = TopicSchema::parse(&json).unwrap_err().chain();
    assert!(error.contains(reason), "{error} says {reason}");
}

#[test]
fn a_schema_that_nothing_would_enforce_is_refused() {
    check_refused(r#""session_id": {"#, r#""session_id": {"pattern": "^s", "#, "unknown field `pattern`");
    for keyword in
        ["const", "format", "minLength", "maxLength", "oneOf", "anyOf", "not", "default", "multipleOf", "$ref"]
    {
        let with = format!(r#""session_id": {{"{keyword}": null, "#);
        check_refused(r#""session_id": {"#, &with, &format!("unknown field `{keyword}`"));
    }
    for keyword in ["additionalProperties", "patternProperties", "minProperties", "allOf", "if", "$defs"] {
        let with = format!(r#""{keyword}": {{}}, "required""#);
        check_refused(r#""required""#, &with, &format!("unknown field `{keyword}`"));
    }
    check_refused("2020-12", "2019-09", "$schema is not");
    check_refused(r#""minimum": 0"#, r#""minimum": 0.5"#, "bounds of an integer");
    check_refused(r#""minimum": 0"#, r#""minimum": 101"#, "minimum is above maximum");
    check_refused(r#""refunded"]"#, r#""refunded", null]"#, "enum holds null when the type does");
    check_refused(r#""psp": {"#, r#""psp": {"enum": ["a"], "#, "enum holds null when the type does");
    check_refused(r#""psp": {"#, r#""psp": {"enum": [null], "#, "enum has no value");
    check_refused(r#""psp": {"#, r#""psp": {"minimum": 1, "#, "minimum and maximum are for");
    check_refused(r#""psp": {"#, r#""psp": {"x-tamis-type": "amount", "#, "x-tamis-type amount is for");
    check_refused(r#"["payment_id", "#, r#"["payment", "#, "is required and not described");
    check_refused(r#"["payment_id", "#, r#"["psp", "#, "is either required or of type null");
    check_refused(r#""x-tamis-id": "payment_id""#, r#""x-tamis-id": "psp""#, "must be required");
    check_refused(r#""x-tamis-id": "payment_id""#, r#""x-tamis-id": "amount""#, "must be a text member");
    check_refused(r#"{"type": ["boolean", "null"]"#, r#"{"type": ["boolean", "array", "null"]"#, "of this type");
}
