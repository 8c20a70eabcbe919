//! Who may do what: permissions, which are the scopes of tokens, and the roles that have them.

use crate::named::named;

named! {
    /// What a token may do.
    pub enum Permission: "permission" {
        /// Look at everything but dead letters, audit log and tokens.
        Read = "read",
        /// Look at dead letters, raw records included.
        DeadLettersRead = "dead_letters:read",
        /// Upload plugins.
        PluginsWrite = "plugins:write",
        /// Make rules and versions, submit them, try them in shadow, end a trial.
        RulesWrite = "rules:write",
        /// Approve and reject versions.
        RulesReview = "rules:review",
        /// Put versions to work: active, canary, roll back, enable.
        RulesActivate = "rules:activate",
        /// The kill switch.
        RulesDisable = "rules:disable",
        /// Change lists.
        ListsWrite = "lists:write",
        /// Start and cancel backtests.
        BacktestsWrite = "backtests:write",
        /// Send dead letters through again.
        DeadLettersRedrive = "dead_letters:redrive",
        /// Start runs.
        RunsWrite = "runs:write",
        /// Ask for decisions, which writes the events.
        DecisionsWrite = "decisions:write",
        /// Look at the audit log.
        AuditRead = "audit:read",
        /// Look at tokens, make and revoke them.
        TokensWrite = "tokens:write",
    }
}

named! {
    /// What somebody does here; each token has one.
    pub enum Role: "role" {
        /// Looks.
        Viewer = "viewer",
        /// Writes rules and puts what others approved to work.
        Analyst = "analyst",
        /// Keeps it running, too.
        Engineer = "engineer",
        /// Approves what others wrote.
        Reviewer = "reviewer",
        /// May do everything.
        Admin = "admin",
    }
}

const ENGINEER: [Permission; 11] = [
    Permission::Read,
    Permission::DeadLettersRead,
    Permission::PluginsWrite,
    Permission::RulesWrite,
    Permission::RulesActivate,
    Permission::RulesDisable,
    Permission::ListsWrite,
    Permission::BacktestsWrite,
    Permission::DeadLettersRedrive,
    Permission::RunsWrite,
    Permission::DecisionsWrite,
];

const REVIEWER: [Permission; 6] = [
    Permission::Read,
    Permission::DeadLettersRead,
    Permission::RulesReview,
    Permission::RulesDisable,
    Permission::BacktestsWrite,
    Permission::AuditRead,
];

impl Role {
    /// All that the role may do.
    pub fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Viewer => &[Permission::Read],
            // An analyst may do what an engineer may, but for the last three.
            Self::Analyst => &ENGINEER[..8],
            Self::Engineer => &ENGINEER,
            Self::Reviewer => &REVIEWER,
            Self::Admin => Permission::ALL,
        }
    }

    /// Whether the role may do it.
    pub fn may(self, permission: Permission) -> bool {
        self.permissions().contains(&permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_table_says() {
        // viewer, analyst, engineer, reviewer, admin
        const TABLE: &[(&str, [u8; 5])] = &[
            ("read", [1, 1, 1, 1, 1]),
            ("dead_letters:read", [0, 1, 1, 1, 1]),
            ("plugins:write", [0, 1, 1, 0, 1]),
            ("rules:write", [0, 1, 1, 0, 1]),
            ("rules:review", [0, 0, 0, 1, 1]),
            ("rules:activate", [0, 1, 1, 0, 1]),
            ("rules:disable", [0, 1, 1, 1, 1]),
            ("lists:write", [0, 1, 1, 0, 1]),
            ("backtests:write", [0, 1, 1, 1, 1]),
            ("dead_letters:redrive", [0, 0, 1, 0, 1]),
            ("runs:write", [0, 0, 1, 0, 1]),
            ("decisions:write", [0, 0, 1, 0, 1]),
            ("audit:read", [0, 0, 0, 1, 1]),
            ("tokens:write", [0, 0, 0, 0, 1]),
        ];
        let names: Vec<_> = Permission::ALL.iter().map(|permission| permission.name()).collect();
        assert_eq!(names, TABLE.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, expected) in TABLE {
            let permission: Permission = name.parse().unwrap();
            let found: Vec<_> = Role::ALL.iter().map(|role| u8::from(role.may(permission))).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
            assert_eq!(role.name().parse::<Role>().unwrap(), *role);
        }
        let error = "boss".parse::<Role>().unwrap_err();
        assert_eq!(error.chain(), "cannot read role boss: it is one of viewer, analyst, engineer, reviewer, admin");
    }
}
