//! JSON Schemas: of manifests, and of configurations, which come from plugins and are therefore not trusted.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tamis_model::manifest::MANIFEST_SCHEMA;
use tamis_model::{Error, Result};

/// Violations that an error names; more would not help anybody.
const VIOLATIONS_MAX: usize = 5;

/// A compiled JSON Schema.
#[derive(Debug)]
pub(crate) struct Schema(Validator);

impl Schema {
    /// `schemas/manifest.schema.json`.
    pub fn of_manifests() -> Result<Self> {
        let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).expect("the host's own schema is JSON");
        Self::compile(&schema).map_err(|e| Error::invalid("compile", "the schema of manifests", e))
    }

    /// Compiles `schema`; refuses references that leave it, and patterns that need backtracking: both would let a
    /// plugin decide how long the host works.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        if let Some(reference) = remote_reference(schema) {
            return Err(format!("it refers to `{reference}`, outside of itself"));
        }
        jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map(Self)
            .map_err(|e| format!("at `{}`: {e}", e.instance_path()))
    }

    /// Whether `instance` fits; if not, where (JSON pointers) and why.
    pub fn check(&self, instance: &Value) -> Result<(), String> {
        let mut violations: Vec<String> = Vec::new();
        for error in self.0.iter_errors(instance).take(VIOLATIONS_MAX) {
            violations.push(match error.instance_path().as_str() {
                "" => format!("at the root: {error}"),
                pointer => format!("at `{pointer}`: {error}"),
            });
        }
        if violations.is_empty() { Ok(()) } else { Err(violations.join("; ")) }
    }
}

/// The first `$ref` or `$dynamicRef` that is no fragment of the schema itself, or `$schema` of an unknown dialect.
fn remote_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(name, value)| match (name.as_str(), value) {
            ("$ref" | "$dynamicRef", Value::String(target)) if !target.starts_with('#') => Some(target.as_str()),
            ("$schema", Value::String(dialect)) if !dialect.contains("json-schema.org/") => Some(dialect.as_str()),
            _ => remote_reference(value),
        }),
        Value::Array(items) => items.iter().find_map(remote_reference),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_schemas_that_leave_themselves() {
        let refused = |schema: Value| Schema::compile(&schema).map(|_| ()).unwrap_err();
        assert!(refused(json!({"$ref": "https://example.org/s.json"})).contains("https://example.org/s.json"));
        assert!(refused(json!({"properties": {"a": {"$ref": "other.json#/x"}}})).contains("other.json"));
        assert!(refused(json!({"type": "strange"})).contains("strange"));
        assert!(Schema::compile(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}})).is_ok());
    }

    #[test]
    fn refuses_patterns_that_backtrack() {
        assert!(Schema::compile(&json!({"pattern": "(a)\\1"})).is_err());
    }

    #[test]
    fn says_where_and_why() {
        let schema = Schema::compile(&json!({"properties": {"n": {"type": "integer"}}})).unwrap();
        assert_eq!(schema.check(&json!({"n": 1})), Ok(()));
        assert!(schema.check(&json!({"n": "x"})).unwrap_err().contains("at `/n`"));
    }
}
