//! Configurations: JSON in, a checked Rust struct out, and the JSON Schema that says what fits.

use serde_json::{Map, Value as Json, json};

use crate::percent::Percent;

/// A configuration. `#[derive(Config)]` writes it.
pub trait Config: Sized {
    /// Names of the settings that stand in the context of findings: numbers and truth values that events are compared with.
    fn context() -> Vec<&'static str>;
    /// The JSON Schema of a configuration.
    fn schema() -> Json;
    /// A configuration with every default.
    fn defaults() -> Json;
    /// Reads a configuration; what is left out has its default. The message names the member that is wrong.
    fn read(members: &Map<String, Json>) -> Result<Self, String>;

    /// Reads a configuration from JSON text.
    fn parse(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text).map_err(|e| format!("the configuration is no JSON: {e}"))? {
            Json::Object(members) => Self::read(&members),
            _ => Err("the configuration is no JSON object".to_owned()),
        }
    }
}

/// The configuration of a plugin that has none.
impl Config for () {
    fn context() -> Vec<&'static str> {
        Vec::new()
    }

    fn schema() -> Json {
        json!({"type": "object", "additionalProperties": false, "properties": {}})
    }

    fn defaults() -> Json {
        json!({})
    }

    fn read(members: &Map<String, Json>) -> Result<Self, String> {
        known(members, &[])
    }
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// Its JSON Schema, without bounds and description.
    fn schema() -> Json;
    /// Reads it. The message says what was expected and what was found.
    fn read(value: &Json) -> Result<Self, String>;
    /// What stands for it when it is left out and has no default of its own.
    fn absent() -> Option<Self> {
        None
    }
    /// Its JSON form.
    fn json(&self) -> Json;
    /// Whether it belongs into a finding's context.
    const IN_CONTEXT: bool = false;
}

/// A setting whose values an admin can keep as a list of the host: `#[config(list)]`.
#[diagnostic::on_unimplemented(message = "only a list of texts can be a `list` of the host, and `{Self}` is none")]
pub trait Listed: Setting {}

impl Listed for Vec<String> {}

fn expected<T>(what: &str, found: &Json) -> Result<T, String> {
    Err(format!("expected {what}, found {found}"))
}

/// A whole number, also when it is written with a zero fraction, as JSON Schema has it.
fn integer(value: &Json) -> Option<i128> {
    let exact = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    exact.or_else(|| value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 1e18).map(|v| v as i128))
}

macro_rules! integers {
    ($($type:ty: $minimum:expr, $what:literal;)*) => {$(
        impl Setting for $type {
            const IN_CONTEXT: bool = true;

            fn schema() -> Json {
                match $minimum {
                    Some(minimum) => json!({"type": "integer", "minimum": minimum}),
                    None => json!({"type": "integer"}),
                }
            }

            fn read(value: &Json) -> Result<Self, String> {
                match integer(value).and_then(|v| v.try_into().ok()) {
                    Some(value) => Ok(value),
                    None => expected($what, value),
                }
            }

            fn json(&self) -> Json {
                (*self).into()
            }

        }
    )*};
}

integers! {
    i64: None::<u64>, "an integer";
    u64: Some(0), "an integer of at least 0";
    i32: None::<u64>, "an integer of 32 bits";
    u32: Some(0), "an integer of at least 0 and 32 bits";
}

impl Setting for f64 {
    const IN_CONTEXT: bool = true;

    fn schema() -> Json {
        json!({"type": "number"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        value.as_f64().map_or_else(|| expected("a number", value), Ok)
    }

    fn json(&self) -> Json {
        (*self).into()
    }
}

impl Setting for Percent {
    const IN_CONTEXT: bool = true;

    fn schema() -> Json {
        json!({"type": "number"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        let percent = value.as_f64().and_then(Self::from_f64);
        percent.map_or_else(|| expected("a number with at most nine digits behind the point", value), Ok)
    }

    fn json(&self) -> Json {
        self.as_f64().into()
    }
}

impl Setting for bool {
    const IN_CONTEXT: bool = true;

    fn schema() -> Json {
        json!({"type": "boolean"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        value.as_bool().map_or_else(|| expected("true or false", value), Ok)
    }

    fn json(&self) -> Json {
        (*self).into()
    }
}

impl Setting for String {
    fn schema() -> Json {
        json!({"type": "string"})
    }

    fn read(value: &Json) -> Result<Self, String> {
        value.as_str().map_or_else(|| expected("a text", value), |text| Ok(text.to_owned()))
    }

    fn json(&self) -> Json {
        self.clone().into()
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema() -> Json {
        json!({"type": "array", "items": T::schema()})
    }

    fn read(value: &Json) -> Result<Self, String> {
        let Some(items) = value.as_array() else { return expected("a list", value) };
        let read = |(i, item)| T::read(item).map_err(|reason| format!("item {i}: {reason}"));
        items.iter().enumerate().map(read).collect()
    }

    fn json(&self) -> Json {
        self.iter().map(T::json).collect()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn schema() -> Json {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }

    fn read(value: &Json) -> Result<Self, String> {
        if value.is_null() { Ok(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn json(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::json)
    }
}

/// Bounds of a number, both included; checked against the JSON value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// The lowest.
    pub min: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
}

/// The schema of a member that the host's list `name` stands for when it is left out; for the code that `#[derive(Config)]`
/// writes.
pub fn listed<T: Listed>(mut schema: Json, name: &str) -> Json {
    schema["x-list"] = name.into();
    schema
}

/// Refuses members that are not among `names`; for the code that `#[derive(Config)]` writes.
pub fn known(members: &Map<String, Json>, names: &[&str]) -> Result<(), String> {
    match members.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) if names.is_empty() => Err(format!("unknown setting `{name}`: there are none")),
        Some(name) => Err(format!("unknown setting `{name}`; there are `{}`", names.join("`, `"))),
        None => Ok(()),
    }
}

/// Reads a member; for the code that `#[derive(Config)]` writes.
pub fn member<T: Setting>(
    members: &Map<String, Json>,
    name: &str,
    bounds: Bounds,
    default: Option<fn() -> T>,
) -> Result<T, String> {
    let Some(value) = members.get(name) else {
        return default_of(default).ok_or_else(|| format!("setting `{name}` is missing"));
    };
    let read = T::read(value).map_err(|reason| format!("setting `{name}`: {reason}"))?;
    if let Some(number) = value.as_f64() {
        match bounds {
            Bounds { min: Some(min), .. } if number < min => {
                return Err(format!("setting `{name}`: {number} is below {min}"));
            }
            Bounds { max: Some(max), .. } if number > max => {
                return Err(format!("setting `{name}`: {number} is above {max}"));
            }
            _ => {}
        }
    }
    Ok(read)
}

/// The default of a setting: its own, or what stands for an absent one.
pub fn default_of<T: Setting>(default: Option<fn() -> T>) -> Option<T> {
    default.map(|default| default()).or_else(T::absent)
}

/// Adds the default of a member, if it has one; for the code that `#[derive(Config)]` writes.
pub fn member_default<T: Setting>(defaults: &mut Map<String, Json>, name: &str, default: Option<fn() -> T>) {
    if let Some(default) = default_of(default) {
        defaults.insert(name.to_owned(), default.json());
    }
}

/// The schema of a member, which is also noted among the required ones when it has no default; for the code that
/// `#[derive(Config)]` writes.
pub fn member_schema<T: Setting>(
    description: &str,
    bounds: Bounds,
    default: Option<fn() -> T>,
    required: &mut Vec<&'static str>,
    name: &'static str,
) -> Json {
    let mut schema = T::schema();
    for (keyword, bound) in [("minimum", bounds.min), ("maximum", bounds.max)] {
        if let Some(bound) = bound {
            schema[keyword] =
                if bound.fract() == 0.0 && bound.abs() < 1e15 { json!(bound as i64) } else { json!(bound) };
        }
    }
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
    if default_of(default).is_none() {
        required.push(name);
    }
    schema
}
