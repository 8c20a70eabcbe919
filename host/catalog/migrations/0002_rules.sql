-- Plugins, rules, lists, tokens and backtests; who changed what; and alerts that no run saw.
--
-- What must never change or go is held by triggers: one each for UPDATE, DELETE and INSERT, as INSERT OR REPLACE deletes without
-- asking the trigger of DELETE.

-- One row for each content that was ever uploaded. Its bytes lie at components/<sha256>.wasm.
CREATE TABLE plugin_versions (
    id          INTEGER PRIMARY KEY,  -- in order of upload
    sha256      TEXT    NOT NULL UNIQUE CHECK (length(sha256) = 64),
    name        TEXT,  -- null as long as nobody could ask the component for it
    version     TEXT,
    state       TEXT    NOT NULL CHECK (state IN ('pending', 'ready', 'error')),
    reason      TEXT,  -- why it was refused
    manifest    TEXT,  -- JSON
    size_bytes  INTEGER NOT NULL,
    uploaded_by TEXT    NOT NULL,
    uploaded_at TEXT    NOT NULL,
    CHECK ((state = 'error') = (reason IS NOT NULL)),
    CHECK ((state = 'ready') = (manifest IS NOT NULL)),
    CHECK (state <> 'ready' OR (name IS NOT NULL AND version IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX plugin_versions_ready ON plugin_versions (name, version) WHERE state = 'ready';
CREATE INDEX plugin_versions_name ON plugin_versions (name, id);
CREATE TRIGGER plugin_versions_ready_stay BEFORE UPDATE ON plugin_versions WHEN old.state = 'ready'
BEGIN SELECT raise(ABORT, 'a plugin version never changes'); END;

CREATE TABLE rules (
    name           TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    revision       INTEGER NOT NULL CHECK (revision >= 1),  -- of the row and of the states of its versions
    active_version INTEGER,  -- judges
    trial          TEXT,  -- JSON: the version that runs beside it, and how
    disabled       INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    live_before    TEXT    NOT NULL,  -- JSON array: the versions that a roll back points back to, the next one last
    created_by     TEXT    NOT NULL,
    created_at     TEXT    NOT NULL,
    changed_at     TEXT    NOT NULL,
    FOREIGN KEY (name, active_version) REFERENCES rule_versions (rule, number),
    CHECK (trial IS NULL OR trial ->> '$.version' IS NOT active_version)
) STRICT, WITHOUT ROWID;

CREATE TABLE rule_versions (
    rule            TEXT    NOT NULL REFERENCES rules (name),
    number          INTEGER NOT NULL CHECK (number >= 1),
    state           TEXT    NOT NULL CHECK (state IN ('draft', 'in_review', 'approved', 'live', 'retired')),
    based_on        INTEGER,  -- the version that it was made from
    plugin          TEXT    NOT NULL,
    plugin_version  TEXT    NOT NULL,
    plugin_sha256   TEXT    NOT NULL REFERENCES plugin_versions (sha256),
    config          TEXT    NOT NULL,  -- JSON object: what differs from the manifest's defaults
    route           TEXT,
    on_failure      TEXT    NOT NULL,  -- JSON
    on_state_change TEXT    NOT NULL CHECK (on_state_change IN ('keep', 'migrate', 'reset')),
    author          TEXT    NOT NULL,
    created_at      TEXT    NOT NULL,
    why             TEXT,
    approved_by     TEXT,
    approved_at     TEXT,
    PRIMARY KEY (rule, number),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CHECK ((state IN ('approved', 'live', 'retired')) = (approved_by IS NOT NULL)),
    CHECK (approved_by IS NOT author)  -- an author never approves their own
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX rule_versions_live ON rule_versions (rule) WHERE state = 'live';
CREATE TRIGGER rule_versions_stay BEFORE UPDATE OF rule, number, based_on, plugin, plugin_version, plugin_sha256, config, route,
    on_failure, on_state_change, author, created_at, why ON rule_versions
BEGIN SELECT raise(ABORT, 'the content of a rule version never changes'); END;
CREATE TRIGGER rule_versions_are_kept BEFORE DELETE ON rule_versions
BEGIN SELECT raise(ABORT, 'rule versions are never deleted'); END;
CREATE TRIGGER rule_versions_are_not_replaced BEFORE INSERT ON rule_versions
WHEN EXISTS (SELECT 1 FROM rule_versions WHERE rule = new.rule AND number = new.number)
BEGIN SELECT raise(ABORT, 'the content of a rule version never changes'); END;

-- One row for each revision of a rule.
CREATE TABLE rule_history (
    rule     TEXT    NOT NULL REFERENCES rules (name),
    revision INTEGER NOT NULL,
    at       TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    version  INTEGER,  -- the version that it is about, if it is about one
    why      TEXT,
    before   TEXT    NOT NULL,  -- JSON: what differs
    after    TEXT    NOT NULL,
    PRIMARY KEY (rule, revision)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER rule_history_stays BEFORE UPDATE ON rule_history
BEGIN SELECT raise(ABORT, 'history never changes'); END;
CREATE TRIGGER rule_history_is_kept BEFORE DELETE ON rule_history
BEGIN SELECT raise(ABORT, 'history is never deleted'); END;
CREATE TRIGGER rule_history_is_not_replaced BEFORE INSERT ON rule_history
WHEN EXISTS (SELECT 1 FROM rule_history WHERE rule = new.rule AND revision = new.revision)
BEGIN SELECT raise(ABORT, 'history never changes'); END;

CREATE TABLE list_revisions (
    name     TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    items    TEXT    NOT NULL,  -- JSON array of texts
    added    TEXT    NOT NULL,  -- JSON array: against the revision before
    removed  TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    at       TEXT    NOT NULL,
    why      TEXT,
    PRIMARY KEY (name, revision)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER list_revisions_stay BEFORE UPDATE ON list_revisions
BEGIN SELECT raise(ABORT, 'a revision of a list never changes'); END;
CREATE TRIGGER list_revisions_are_kept BEFORE DELETE ON list_revisions
BEGIN SELECT raise(ABORT, 'revisions of a list are never deleted'); END;
CREATE TRIGGER list_revisions_are_not_replaced BEFORE INSERT ON list_revisions
WHEN EXISTS (SELECT 1 FROM list_revisions WHERE name = new.name AND revision = new.revision)
BEGIN SELECT raise(ABORT, 'a revision of a list never changes'); END;

-- One row: the revision of all that runs.
CREATE TABLE rule_set (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO rule_set VALUES (1, 0);

CREATE TABLE tokens (
    id            TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 8),
    name          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'analyst', 'engineer', 'reviewer', 'admin')),
    scopes        TEXT,  -- JSON array: less than the role may; null = all that it may
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created_by    TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    expires_at    TEXT NOT NULL,
    revoked_at    TEXT,
    last_used_at  TEXT  -- to the minute
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       TEXT NOT NULL,
    subject  TEXT NOT NULL,
    token_id TEXT,
    action   TEXT NOT NULL,
    object   TEXT NOT NULL,
    why      TEXT,
    before   TEXT,  -- JSON: what differs
    after    TEXT,
    outcome  TEXT NOT NULL CHECK (outcome IN ('done', 'refused')),
    reason   TEXT,  -- why it was refused
    CHECK ((outcome = 'refused') = (reason IS NOT NULL))
) STRICT;
CREATE INDEX audit_object ON audit (object, id);
CREATE INDEX audit_subject ON audit (subject, id);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'the audit log never changes'); END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'the audit log is never deleted'); END;
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id)
BEGIN SELECT raise(ABORT, 'the audit log never changes'); END;

-- What those see who look on live; only the last ones are kept.
CREATE TABLE events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     TEXT NOT NULL,
    kind   TEXT NOT NULL,
    object TEXT NOT NULL,
    data   TEXT NOT NULL  -- JSON
) STRICT;

CREATE TABLE backtests (
    id               TEXT    NOT NULL PRIMARY KEY,  -- UUID version 7
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    request          TEXT    NOT NULL,  -- JSON
    author           TEXT    NOT NULL,
    created_at       TEXT    NOT NULL,
    started_at       TEXT,
    finished_at      TEXT,
    rows_done        INTEGER NOT NULL DEFAULT 0,
    rows_total       INTEGER,  -- null as long as nobody has counted them
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    report           TEXT,  -- JSON
    error            TEXT,  -- the whole chain of causes
    CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK ((state = 'succeeded') = (report IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX backtests_unfinished ON backtests (state, id) WHERE finished_at IS NULL;

-- How often a dead letter was sent through again, by the coordinates of the record that it is of.
CREATE TABLE dead_letter_redrives (
    topic            TEXT    NOT NULL,
    partition_number INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    rule             TEXT    NOT NULL,  -- that failed on it; '' = it could not be decoded
    attempts         INTEGER NOT NULL CHECK (attempts >= 1),
    last_at          TEXT    NOT NULL,
    outcome          TEXT    NOT NULL CHECK (outcome IN ('pending', 'succeeded', 'failed')),
    PRIMARY KEY (topic, partition_number, record_offset, rule)
) STRICT, WITHOUT ROWID;

-- Alerts no longer need a run; each run still raises one of a kind about a subject.
CREATE TABLE operational_alerts_2 (
    id      INTEGER PRIMARY KEY,
    run_id  TEXT REFERENCES runs (id),  -- the run that saw it; null = none did
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (run_id, kind, subject)
) STRICT;
INSERT INTO operational_alerts_2 SELECT id, run_id, at, kind, subject, message FROM operational_alerts;
DROP TABLE operational_alerts;
ALTER TABLE operational_alerts_2 RENAME TO operational_alerts;
