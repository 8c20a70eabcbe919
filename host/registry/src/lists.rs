//! Lists that configurations refer to: `"x-list": "<name>"` on a setting of the configuration's schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tamis_model::manifest::Manifest;

/// The settings whose values are a list's unless a version sets them itself: setting and list.
pub(crate) fn declared(manifest: &Manifest) -> impl Iterator<Item = (&str, &str)> {
    let properties = manifest.config.schema["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(setting, schema)| Some((setting.as_str(), schema["x-list"].as_str()?)))
}

/// The values of a setting in the manifest's defaults.
pub(crate) fn default_values(manifest: &Manifest, setting: &str) -> Vec<String> {
    let values = manifest.config.defaults[setting].as_array().into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Overrides with the values of the lists, and which revisions went in. `list` gives the revision and the values of a list.
pub(crate) fn filled<'a>(
    manifest: &Manifest,
    overrides: &Map<String, Value>,
    list: impl Fn(&str) -> Option<(u64, &'a [String])>,
) -> (Map<String, Value>, BTreeMap<String, u64>) {
    let (mut config, mut revisions) = (overrides.clone(), BTreeMap::new());
    for (setting, name) in declared(manifest).filter(|(setting, _)| !overrides.contains_key(*setting)) {
        if let Some((revision, values)) = list(name) {
            config.insert(setting.to_owned(), values.into());
            revisions.insert(name.to_owned(), revision);
        }
    }
    (config, revisions)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_value(json!({
            "name": "a", "version": "1.0.0", "title": "a", "world": "rule", "config": {
                "schema": {"type": "object", "properties": {
                    "countries": {"type": "array", "x-list": "high_risk_countries"}, "limit": {"type": "integer"},
                }},
                "defaults": {"countries": ["NG", "RU"], "limit": 3},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_list_stands_in_for_a_setting_that_a_version_does_not_set() {
        let manifest = manifest();
        assert_eq!(declared(&manifest).collect::<Vec<_>>(), [("countries", "high_risk_countries")]);
        assert_eq!(default_values(&manifest, "countries"), ["NG", "RU"]);
        let check = |overrides: Value, there: bool, config: Value, revisions: Value| {
            let values = ["KP".to_owned()];
            let Value::Object(overrides) = overrides else { panic!("overrides are an object") };
            let list = |name: &str| (there && name == "high_risk_countries").then_some((4, &values[..]));
            let (filled, used) = filled(&manifest, &overrides, list);
            assert_eq!((Value::Object(filled), json!(used)), (config, revisions));
        };
        check(json!({}), true, json!({"countries": ["KP"]}), json!({"high_risk_countries": 4}));
        check(json!({"limit": 1}), false, json!({"limit": 1}), json!({}));
        check(json!({"countries": []}), true, json!({"countries": []}), json!({}));
    }
}
