//! The document itself: whole, and of one form.

use std::collections::HashSet;

use serde_json::Value;

use crate::home::Home;

#[tokio::test]
async fn the_document_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let home = Home::new().await;
    let document = &home.contract.document;
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect(document, &mut references);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let scheme = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_what_can_go_wrong() {
    let home = Home::new().await;
    let mut ids = HashSet::new();
    for operation in home.contract.operations() {
        let (id, value) = (operation.id, operation.value);
        assert!(ids.insert(id), "{id} is there twice");
        assert!(value["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{id} says nothing");
        assert!(value["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{id} has no tag");
        let statuses: HashSet<&str> = value["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(statuses.iter().any(|status| status.starts_with('2')), "{id} never does anything");
        let mut wanted = vec!["500", "503"];
        if !operation.scopes().is_empty() {
            wanted.extend(["401", "403"]);
        }
        if !operation.parameters("path").is_empty() {
            wanted.push("404");
        }
        if value.get("requestBody").is_some() {
            wanted.extend(["400", "413", "415", "422"]);
        }
        for status in wanted {
            assert!(statuses.contains(status), "{id} does not declare {status}");
        }
        for (status, response) in value["responses"].as_object().unwrap() {
            let of = response["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
            assert!(of.is_none_or(|name| name == format!("Problem{status}")), "{id} {status}: {of:?}");
        }
    }
}

/// A path that is written in the router and not in the document would not be held against anything.
#[tokio::test]
async fn names_in_paths_are_parameters() {
    let home = Home::new().await;
    for operation in home.contract.operations() {
        let named: HashSet<&str> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: HashSet<&str> = operation.parameters("path").into_iter().collect();
        assert_eq!(named, declared, "{}", operation.id);
    }
}
