//! The document as a judge of every answer: its status must be declared, and its body must fit the schema of that.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, header};
use jsonschema::Validator;
use serde_json::{Value, json};

pub const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What the API says of itself.
pub struct Contract {
    pub document: Value,
    /// By place in the document.
    validators: Mutex<HashMap<String, Validator>>,
}

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    pub id: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub value: &'a Value,
}

impl Operation<'_> {
    /// The scopes of which one is needed; none = no token is.
    pub fn scopes(&self) -> Vec<&str> {
        let requirements = self.value["security"].as_array().unwrap();
        requirements.iter().map(|requirement| requirement["token"][0].as_str().unwrap()).collect()
    }

    /// The names of its parameters in a place.
    pub fn parameters(&self, place: &str) -> Vec<&str> {
        let parameters = self.value["parameters"].as_array().into_iter().flatten();
        parameters.filter(|parameter| parameter["in"] == place).map(|p| p["name"].as_str().unwrap()).collect()
    }
}

impl Contract {
    pub fn new(document: Value) -> Self {
        Self { document, validators: Mutex::default() }
    }

    /// All operations.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter().filter(|(method, _)| METHODS.contains(&method.as_str())).map(move |(method, value)| {
                let id = value["operationId"].as_str().unwrap();
                Operation { id, method, path, value }
            })
        });
        operations.collect()
    }

    /// The operation that a request is for.
    pub fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let fits = |template: &str| {
            let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            let is_same = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
            wanted.len() == given.len() && wanted.iter().zip(&given).all(is_same)
        };
        let method = method.to_lowercase();
        self.operations().into_iter().find(|operation| operation.method == method && fits(operation.path))
    }

    /// Fails when an answer is none that the document promises.
    pub fn check(&self, method: &str, path: &str, status: u16, headers: &HeaderMap, body: &[u8]) {
        let Some(operation) = self.operation(method, path) else {
            assert!(matches!(status, 404 | 405), "{method} {path} is not in the document, and answers {status}");
            return;
        };
        let place = format!("{method} {} {status}", operation.path);
        let declared = self.resolve(&operation.value["responses"][status.to_string()]);
        assert!(!declared.is_null(), "{place} is not declared: {}", String::from_utf8_lossy(body));
        let names = declared["headers"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        for name in names {
            assert!(headers.contains_key(name), "{place} promises the header {name}");
        }
        let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        let content = &declared["content"][media_type];
        assert!(!content.is_null(), "{place} does not declare {media_type:?}");
        if media_type.ends_with("json") {
            let body: Value = serde_json::from_slice(body).unwrap();
            let mut validators = self.validators.lock().unwrap();
            let validator =
                validators.entry(format!("{place} {media_type}")).or_insert_with(|| self.validator(content));
            let errors: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{place}: {errors:#?}\n{body:#}");
        }
    }

    /// A schema with all that it refers to.
    fn validator(&self, content: &Value) -> Validator {
        let mut schema = content["schema"].clone();
        schema["components"] = self.document["components"].clone();
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        jsonschema::validator_for(&schema).unwrap()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null),
            None => value,
        }
    }
}
