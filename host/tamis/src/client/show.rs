//! What the host answered, for people or as JSON lines.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;
use tamis_model::Result;
use tamis_model::error::Context;

use crate::table::{Row, print, print_text};

/// Characters of a configuration, or of what changed, that a table shows.
const CELL_CHARS_MAX: usize = 100;

/// One object: its members, one a line.
pub(super) fn one(body: &Value, json: bool) -> Result<ExitCode> {
    let text = match (json, body) {
        (true, body) => body.to_string(),
        (false, Value::Object(members)) => {
            let line = |(name, value): (&String, &Value)| match value {
                Value::String(text) => format!("{name}: {text}"),
                value => format!("{name}: {value}"),
            };
            members.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        (false, Value::Null) => return Ok(ExitCode::SUCCESS),
        (false, other) => other.to_string(),
    };
    print_text(&text).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// A token that was made, with its text.
pub(super) fn new_token(made: &Value, json: bool) -> Result<ExitCode> {
    if json {
        return one(made, json);
    }
    let [text, subject, role, end, id] = ["text", "subject", "role", "expires_at", "id"].map(|name| cell(&made[name]));
    let said =
        format!("The token of {subject}, {role} until {end}, with the id {id}; it is shown this once:\n\n    {text}\n");
    print_text(&said).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// A row of which the table shows some members.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident, $row:ident: $([$head:literal $member:literal])*) => {
        #[derive(Serialize)]
        #[serde(transparent)]
        struct $row<'a>(&'a Value);

        impl Row for $row<'_> {
            const HEAD: &'static [&'static str] = &[$($head),*];

            fn cells(&self) -> Vec<String> {
                vec![$(cell(&self.0[$member])),*]
            }
        }

        $(#[$doc])*
        pub(super) fn $name(items: &[Value], json: bool) -> Result<ExitCode> {
            print(&items.iter().map($row).collect::<Vec<_>>(), json).outage("write to", "standard output")?;
            Ok(ExitCode::SUCCESS)
        }
    };
}

rows! {
    /// Rules.
    rules, RuleRow: ["RULE" "name"] ["MODE" "mode"] ["#ACTIVE" "active_version"] ["TRIAL" "trial"] ["CHANGED" "changed_at"]
}

rows! {
    /// Revisions of a rule.
    history, RevisionRow: ["#REVISION" "revision"] ["AT" "at"] ["WHO" "subject"] ["WHAT" "action"] ["#VERSION" "version"] ["WHY" "why"]
        ["BEFORE" "before"] ["AFTER" "after"]
}

rows! {
    /// Versions of a rule.
    versions, VersionRow: ["#VERSION" "number"] ["STATE" "state"] ["AUTHOR" "author"] ["CREATED" "created_at"] ["WHY" "why"]
        ["APPROVED BY" "approved_by"] ["PLUGIN" "plugin"] ["OF VERSION" "plugin_version"] ["CONFIG" "config"]
        ["ON FAILURE" "on_failure"] ["ON STATE CHANGE" "on_state_change"] ["ROUTE" "route"]
}

rows! {
    /// Rows of the audit log.
    audit, AuditRow: ["AT" "at"] ["WHO" "subject"] ["WHAT" "action"] ["TO WHAT" "object"] ["OUTCOME" "outcome"] ["WHY" "why"]
        ["REFUSED BECAUSE" "reason"]
}

rows! {
    /// Revisions of a list.
    list_history, ListRevisionRow: ["#REVISION" "revision"] ["AT" "at"] ["WHO" "subject"] ["ADDED" "added"] ["REMOVED" "removed"]
        ["WHY" "why"]
}

rows! {
    /// Lists.
    lists, ListRow: ["LIST" "name"] ["#REVISION" "revision"] ["#VALUES" "values_count"] ["CHANGED" "at"] ["BY" "subject"] ["WHY" "why"]
}

rows! {
    /// Tokens.
    tokens, TokenRow: ["ID" "id"] ["NAME" "name"] ["WHOSE" "subject"] ["ROLE" "role"] ["EXPIRES" "expires_at"] ["REVOKED" "revoked_at"]
        ["LAST USED" "last_used_at"]
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => shortened(other.to_string()),
    }
}

/// The beginning of what is too long for a column; `--json` has it whole.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(CELL_CHARS_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
