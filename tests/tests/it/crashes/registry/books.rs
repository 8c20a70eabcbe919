//! The catalogue's database as somebody sees it who goes around the catalogue: what it holds, and a fuse inside it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

use crate::results::Results;

/// Begins the reason of a statement that failed; behind it stands the statement.
pub const BLOWN: &str = "its fuse is blown: ";
/// The reason of a commit that failed.
pub const DOOMED: &str = "FOREIGN KEY constraint failed";
/// More than a test does.
const MANY: i64 = 1_000_000;
/// Old events, of which each new one has one forgotten.
const OLD_EVENTS: i64 = 400;
/// Counts down with each row that is written and each transaction, which has one row in the audit log.
const FUSE: &str = "\
    CREATE TABLE fuse (id INTEGER PRIMARY KEY, statements INTEGER NOT NULL, commits INTEGER NOT NULL); \
    CREATE TABLE fuse_doomed (id INTEGER REFERENCES fuse (id) DEFERRABLE INITIALLY DEFERRED); \
    CREATE TRIGGER fuse_commit BEFORE INSERT ON audit BEGIN \
        UPDATE fuse SET commits = commits - 1; \
        INSERT INTO fuse_doomed SELECT 0 FROM fuse WHERE commits < 0; \
    END";

/// What fails once, counted from 0, and all behind it as long as it is not mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blows {
    /// A statement that writes; its transaction is rolled back.
    AtStatement(usize),
    /// The commit of a transaction.
    AtCommit(usize),
}

/// How much an operation writes.
#[derive(Clone, Copy, Debug)]
pub struct Burnt {
    pub statements: usize,
    pub commits: usize,
}

/// What the catalogue holds, without times.
#[derive(Clone, Debug)]
pub struct Content {
    /// The rows of each table but the logs.
    tables: Results,
    /// What was done since the mark, as the audit log has it.
    done: Vec<String>,
    /// What was refused since the mark.
    refused: Vec<String>,
}

impl Content {
    /// Everything.
    pub fn whole(&self) -> Results {
        let logs = [("audit log: done", &self.done), ("audit log: refused", &self.refused)];
        let logs = logs.into_iter().map(|(place, rows)| (place.to_owned(), rows.clone()));
        self.tables.clone().into_iter().chain(logs).collect()
    }

    /// What is the same however often something was tried: who uploads again is in the log again, and so is who is refused.
    pub fn settled(&self) -> Results {
        let done = self.done.iter().filter(|row| !row.starts_with("'plugin.")).cloned();
        let log = ("audit log: done".to_owned(), done.collect());
        self.tables.clone().into_iter().chain([log]).collect()
    }

    /// Transactions since the mark.
    pub fn transactions(&self) -> usize {
        self.done.len() + self.refused.len()
    }
}

/// A connection to the database.
pub struct Books {
    connection: SqliteConnection,
    /// The tables but the logs, each with the query of its rows.
    tables: Vec<(String, String)>,
    /// The last rows of audit log and events that do not count.
    mark: (i64, i64),
}

impl Books {
    /// Puts the fuse into a new catalogue. It holds.
    pub async fn open(path: &Path) -> Self {
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let find = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
             AND name <> '_sqlx_migrations' ORDER BY name";
        let names: Vec<String> = sqlx::query_scalar(find).fetch_all(&mut connection).await.unwrap();
        let mut script = format!("{FUSE}; INSERT INTO fuse VALUES (1, {MANY}, {MANY});");
        for (table, kind) in names.iter().flat_map(|name| ["INSERT", "UPDATE", "DELETE"].map(|kind| (name, kind))) {
            script += &format!(
                "CREATE TRIGGER fuse_{kind}_{table} BEFORE {kind} ON {table} BEGIN \
                     UPDATE fuse SET statements = statements - 1; \
                     SELECT raise(ABORT, '{BLOWN}{kind} {table}') FROM fuse WHERE statements < 0; \
                 END;"
            );
        }
        let events_max = tamis_catalog::events::EVENTS_MAX;
        script += &format!(
            "INSERT INTO events SELECT value, '', 'old', '', 'null' FROM \
             (WITH RECURSIVE ids (value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM ids WHERE value < {OLD_EVENTS}) \
             SELECT value FROM ids); \
             UPDATE sqlite_sequence SET seq = {events_max} WHERE name = 'events'; \
             UPDATE fuse SET statements = {MANY}, commits = {MANY};"
        );
        sqlx::raw_sql(&script).execute(&mut connection).await.unwrap();
        let mut tables = Vec::new();
        for name in names.into_iter().filter(|name| !["audit", "events"].contains(&name.as_str())) {
            let find = "SELECT name FROM pragma_table_info(?) WHERE name <> 'at' AND name NOT LIKE '%!_at' ESCAPE '!'";
            let columns: Vec<String> = sqlx::query_scalar(find).bind(&name).fetch_all(&mut connection).await.unwrap();
            let columns: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
            let query = format!("SELECT {} FROM {name} ORDER BY 1", columns.join(" || ' ' || "));
            tables.push((name, query));
        }
        Self { connection, tables, mark: (0, events_max) }
    }

    /// What comes from now on counts.
    pub async fn mark(&mut self) {
        let find =
            "SELECT (SELECT coalesce(max(id), 0) FROM audit), (SELECT seq FROM sqlite_sequence WHERE name = 'events')";
        self.mark = sqlx::query_as(find).fetch_one(&mut self.connection).await.unwrap();
    }

    /// The fuse holds, or blows at something from now on.
    pub async fn set_fuse(&mut self, blows: Option<Blows>) {
        let left = |number: usize| i64::try_from(number).unwrap();
        let (statements, commits) = match blows {
            None => (MANY, MANY),
            Some(Blows::AtStatement(number)) => (left(number), MANY),
            Some(Blows::AtCommit(number)) => (MANY, left(number)),
        };
        let set = sqlx::query("UPDATE fuse SET statements = ?, commits = ?").bind(statements).bind(commits);
        set.execute(&mut self.connection).await.expect("no transaction was left open");
    }

    /// What was written since the fuse was set to hold.
    pub async fn burnt(&mut self) -> Burnt {
        let find = sqlx::query_as("SELECT statements, commits FROM fuse");
        let (statements, commits): (i64, i64) = find.fetch_one(&mut self.connection).await.unwrap();
        let [statements, commits] = [statements, commits].map(|left| usize::try_from(MANY - left).unwrap());
        Burnt { statements, commits }
    }

    /// What is there. Whatever was done since the mark has its row in the audit log and its event, which say the same.
    pub async fn content(&mut self) -> Content {
        let mut tables = Results::new();
        for (name, query) in &self.tables {
            tables.insert(name.clone(), sqlx::query_scalar(query).fetch_all(&mut self.connection).await.unwrap());
        }
        let audit = "SELECT quote(action) || ' ' || quote(object) || ' ' || quote(subject) || ' ' || quote(why) || ' ' || \
             quote(before) || ' ' || quote(after) FROM audit WHERE id > ? AND outcome = ? ORDER BY id";
        let mut logged = Vec::new();
        for outcome in ["done", "refused"] {
            let query = sqlx::query_scalar(audit).bind(self.mark.0).bind(outcome);
            logged.push(query.fetch_all(&mut self.connection).await.unwrap());
        }
        let events = "SELECT quote(kind) || ' ' || quote(object) || ' ' || quote(data ->> '$.subject') || ' ' || \
             quote(data ->> '$.why') || ' ' || quote(nullif(data -> '$.before', 'null')) || ' ' || \
             quote(nullif(data -> '$.after', 'null')) FROM events WHERE id > ? ORDER BY id";
        let events: Vec<String> =
            sqlx::query_scalar(events).bind(self.mark.1).fetch_all(&mut self.connection).await.unwrap();
        let [done, refused] = <[Vec<String>; 2]>::try_from(logged).unwrap();
        assert_eq!(events, done, "what is done has its row in the audit log and its event");
        Content { tables, done, refused }
    }
}
