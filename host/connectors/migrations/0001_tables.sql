-- What the warehouse has of its own beside the published tables. Files from before steps were counted have these already.

CREATE TABLE IF NOT EXISTS tamis_tables (
    name   TEXT NOT NULL,
    state  TEXT NOT NULL,  -- loaded, published
    run_id TEXT NOT NULL,
    at     TEXT NOT NULL,
    PRIMARY KEY (name, state)
);

CREATE TABLE IF NOT EXISTS alerts (
    alert_id       TEXT NOT NULL UNIQUE,
    rule           TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    plugin_sha256  TEXT NOT NULL,
    severity       TEXT NOT NULL,
    mode           TEXT NOT NULL,
    event_time     TEXT NOT NULL,
    generated_at   TEXT NOT NULL,
    key            TEXT,
    payment_id     TEXT,
    order_id       TEXT,
    customer_id    TEXT,
    criteria       TEXT NOT NULL,  -- JSON array
    context        TEXT NOT NULL,  -- JSON object
    pipeline       TEXT NOT NULL,  -- which pipeline may take it back
    sequence       INTEGER PRIMARY KEY  -- in order of insertion
);
CREATE INDEX IF NOT EXISTS alerts_by_rule ON alerts (rule, event_time);
CREATE INDEX IF NOT EXISTS alerts_by_pipeline ON alerts (pipeline, sequence);

CREATE TABLE IF NOT EXISTS quality_results (
    run_id      TEXT NOT NULL,
    checked_at  TEXT NOT NULL,
    dataset     TEXT NOT NULL,
    check_name  TEXT NOT NULL,
    category    TEXT NOT NULL,
    column_name TEXT,
    passed      INTEGER NOT NULL,
    observed    TEXT NOT NULL,
    expected    TEXT NOT NULL,
    blocking    INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS quality_results_by_run ON quality_results (run_id);
