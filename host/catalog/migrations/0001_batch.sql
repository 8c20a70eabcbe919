-- Files taken into Bronze. A row is one content of one path: it is written before the copy becomes
-- visible ('pending') and confirmed behind it, so that a crash in between copies to the same place again.
CREATE TABLE bronze_files (
    source             TEXT    NOT NULL,
    original_path      TEXT    NOT NULL,  -- below drop/<source>/, always with '/'
    sha256             TEXT    NOT NULL,
    size_bytes         INTEGER NOT NULL,
    source_modified_ns INTEGER NOT NULL,  -- nanoseconds since the Unix epoch
    ingested_at        TEXT    NOT NULL,
    bronze_path        TEXT    NOT NULL UNIQUE,  -- below the Bronze folder
    state              TEXT    NOT NULL CHECK (state IN ('pending', 'ready')),
    latest             INTEGER NOT NULL CHECK (latest IN (0, 1)),
    PRIMARY KEY (source, original_path, sha256)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX bronze_files_latest ON bronze_files (source, original_path) WHERE latest = 1;

CREATE TABLE runs (
    id            TEXT NOT NULL PRIMARY KEY,  -- UUID version 7
    job           TEXT NOT NULL,
    as_of         TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'partial', 'gated', 'failed')),
    started_at    TEXT NOT NULL,
    finished_at   TEXT,
    quality_score REAL,  -- percent of the checks that passed; null when none ran
    error         TEXT   -- the whole chain of causes
) STRICT, WITHOUT ROWID;

-- One row for each file that a run read, or could not read.
CREATE TABLE run_files (
    run_id        TEXT    NOT NULL REFERENCES runs (id),
    source        TEXT    NOT NULL,
    original_path TEXT    NOT NULL,
    sha256        TEXT    NOT NULL,
    rows_in       INTEGER NOT NULL,
    rows_out      INTEGER NOT NULL,
    duplicates    INTEGER NOT NULL,
    filtered      INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    quarantined   TEXT,  -- why the file was unreadable as a whole; null = it was read
    PRIMARY KEY (run_id, source, original_path),
    CHECK (rows_in = rows_out + duplicates + filtered + rejected)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_columns (
    run_id          TEXT    NOT NULL REFERENCES runs (id),
    source          TEXT    NOT NULL,
    column_name     TEXT    NOT NULL,
    cells_nullified INTEGER NOT NULL,
    PRIMARY KEY (run_id, source, column_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_tables (
    run_id    TEXT    NOT NULL REFERENCES runs (id),
    dataset   TEXT    NOT NULL,
    row_count INTEGER NOT NULL,
    PRIMARY KEY (run_id, dataset)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_events (
    run_id  TEXT    NOT NULL REFERENCES runs (id),
    number  INTEGER NOT NULL,
    at      TEXT    NOT NULL,
    event   TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    message TEXT    NOT NULL,
    PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

-- What the people who run Tamis must look at; alerts of rules are elsewhere.
CREATE TABLE operational_alerts (
    id      INTEGER PRIMARY KEY,
    run_id  TEXT NOT NULL REFERENCES runs (id),
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (run_id, kind, subject)
) STRICT;

CREATE TABLE plugins (
    name          TEXT NOT NULL,
    version       TEXT NOT NULL,
    sha256        TEXT NOT NULL PRIMARY KEY,
    manifest      TEXT NOT NULL,  -- JSON
    first_seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
