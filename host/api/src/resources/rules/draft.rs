//! What people write when they make a rule or another version of one.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tamis_catalog::rule_versions::{FailurePolicy, OnStateChange};
use tamis_registry::Draft;
use utoipa::ToSchema;

use crate::extract::Why;

/// Declares a request with what a version is to be, besides members of its own. Both stand in one object, which knows
/// no others: so it cannot be two types, one flattened into the other.
macro_rules! with_version {
    ($(#[$meta:meta])* struct $type:ident { $($(#[$field_meta:meta])* $field:ident: $field_type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $type {
            $($(#[$field_meta])* $field: $field_type,)*
            /// The plugin.
            #[schema(example = "card-testing")]
            plugin: Option<String>,
            /// Its version; the newest that is ready when absent and the plugin is named.
            #[schema(example = "1.0.0")]
            plugin_version: Option<String>,
            /// What differs from the defaults of the plugin, as a whole.
            #[schema(value_type = Option<Object>, example = json!({"attempts_max": 5}))]
            config: Option<Map<String, Value>>,
            /// The topic of its alerts; null = the plugin's own.
            #[serde(default, deserialize_with = "present")]
            #[schema(value_type = Option<String>, example = "alerts_fraud")]
            route: Option<Option<String>>,
            /// What becomes of the events on which it fails.
            on_failure: Option<FailurePolicy>,
            /// What becomes of the state of the version before it.
            on_state_change: Option<OnStateChange>,
            /// Why, in your words.
            why: Option<Why>,
        }

        impl $type {
            fn parts(self, based_on: Option<u32>) -> (Draft, Option<Why>) {
                let Self { plugin, plugin_version, config, route, on_failure, on_state_change, why, .. } = self;
                (Draft { plugin, plugin_version, config, route, on_failure, on_state_change, based_on }, why)
            }
        }
    };
}

with_version! {
    /// A rule to be, with what its first version is. What is absent is as the plugin has it.
    struct NewRule {
        /// Lower-case letters and digits in words joined by `-`. The plugin's name when that is absent.
        #[schema(pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", max_length = 64, example = "card-testing")]
        name: String,
    }
}

with_version! {
    /// A version to be. What is absent is as in the version that it is based on.
    struct NewVersion {
        /// The version that it is based on; the newest when absent.
        #[schema(minimum = 1)]
        based_on: Option<u32>,
    }
}

impl NewRule {
    /// Its name, what its first version is to be, and why.
    pub fn into_draft(mut self) -> (String, Draft, Option<Why>) {
        let name = std::mem::take(&mut self.name);
        let (draft, why) = self.parts(None);
        (name, draft, why)
    }
}

impl NewVersion {
    /// What the version is to be, and why.
    pub fn into_draft(self) -> (Draft, Option<Why>) {
        let based_on = self.based_on;
        self.parts(based_on)
    }
}

/// Tells what is null from what is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_not_absent() {
        let check = |body: Value, route: Option<Option<&str>>| {
            let (draft, _) = serde_json::from_value::<NewVersion>(body).unwrap().into_draft();
            assert_eq!(draft.route, route.map(|route| route.map(str::to_owned)));
        };
        check(json!({}), None);
        check(json!({"route": null}), Some(None));
        check(json!({"route": "alerts"}), Some(Some("alerts")));
    }
}
