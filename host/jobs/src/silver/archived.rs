//! Silver of a topic: the objects of its archive that are new, each record once, added to the dataset in one commit.
//!
//! **Exactly once.** The commit that adds rows says how far the dataset has come in each partition (`DeltaTables::append`). Objects
//! never change once their end is saved, so what begins behind that is new.
//!
//! **Which row of a key stays** (contracts 2.6): of each partition the record with the lowest offset stands for the key, and of these the
//! one with the lowest time, then partition. A record that comes in a later run can come before one that came in an earlier one, so a
//! second dataset, `silver.<topic>_arrivals`, keeps the coordinates of the first record of each key in each partition. It is written first
//! and says by its own identifiers how far it has come. A run that died in between finds its own rows there: they have offsets that the
//! dataset has not taken, and do not count yet. A row that is beaten is removed in a commit before the one that adds its better: repeated
//! after a crash it removes nothing more. A reader may miss that one row between the two, and never sees two.
//!
//! **What it costs.** A run reads the new objects, and the keys and coordinates of all arrivals once, some 60 bytes a key uncompressed; no
//! row of the dataset is read. Sorts and joins spill.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::empty::EmptyTable;
use futures::{StreamExt, TryStreamExt};
use tamis_catalog::bronze::BronzeFile;
use tamis_connectors::Rows;
use tamis_connectors::lake::{TableSpec, archive_objects};
use tamis_connectors::sql::quoted;
use tamis_model::error::Context;
use tamis_model::position::{Partition, Positions};
use tamis_model::schema::arrow_schema;
use tamis_model::{Error, Kind, Result};

use super::dedupe::{FILE, PARTITION, ROW, STAGED, TIME};
use super::{FileTask, SilverJob, SilverReport, account, same_rows};
use crate::ingest::blocking;
use crate::plans::TransformPlan;
use crate::staging::{StagedFile, conform};

/// The coordinates of keys that came before this run, or in one that died.
const ARRIVALS: &str = "reference.arrivals";
/// The records of this run that are the first of their key in their partition.
const FIRSTS: &str = "reference.firsts";
/// Those of them that stay.
const WINNERS: &str = "reference.winners";

/// Objects that a dataset has not taken, by partition and offset.
struct New {
    files: Vec<BronzeFile>,
    /// Of each file its partition and its first offset.
    starts: Vec<(Partition, i64)>,
}

/// Adds what is new in the archive of a topic to its dataset; none when nothing is.
pub(super) async fn run(job: &SilverJob<'_>, plan: &TransformPlan) -> Result<Option<SilverReport>> {
    let dataset = &plan.output.dataset;
    let [key] = &plan.output.key[..] else {
        return Err(Error::invalid("add to", dataset, "a dataset of a topic has one column as its key"));
    };
    let new = find(job, plan).await?;
    if new.files.is_empty() {
        return Ok(None);
    }
    let partitions = new.starts.iter().map(|(partition, _)| partition.number).collect();
    let task = FileTask::new(job, plan, &new.files, partitions);
    let staged = task.staged.clone();
    let outcome = blocking(move || task.run()).await?;
    job.session.add_staged(STAGED, &staged).await?;

    let run = Run { job, plan, key: quoted(key), arrivals: format!("{dataset}_arrivals") };
    let goal = run.goal(&new).await?;
    run.compare(&goal).await?;
    run.keep_arrivals(&goal).await?;
    job.tables.remove(dataset, key, &run.replaced().await?).await?;
    let before = if job.tables.exists(dataset).await? { job.tables.row_count(dataset).await? } else { 0 };
    let added = run.add(&goal).await?;
    same_rows(dataset, "the lake", job.tables.row_count(dataset).await?, before + added)?;
    account(plan, &new.files, outcome, &run.new_keys(new.files.len()).await?).map(Some)
}

async fn find(job: &SilverJob<'_>, plan: &TransformPlan) -> Result<New> {
    let (bronze, topic) = (job.bronze.clone(), plan.source.clone());
    let objects = blocking(move || archive_objects(&bronze, &topic)).await?;
    let partition = |number: &u32| Partition { topic: plan.source.clone(), number: *number };
    let known: Vec<_> = objects.keys().map(partition).collect();
    let taken = job.tables.taken(&plan.output.dataset, &known).await?;
    let mut new = New { files: Vec::new(), starts: Vec::new() };
    for (partition, objects) in known.iter().zip(objects.into_values()) {
        for object in objects.into_iter().filter(|object| object.first >= taken.next(partition)) {
            let path = object.path.strip_prefix(&job.bronze).unwrap_or(&object.path).display().to_string();
            new.starts.push((partition.clone(), object.first));
            new.files.push(BronzeFile {
                source: plan.source.clone(),
                original_path: path.clone(),
                sha256: String::new(),
                size_bytes: 0,
                source_modified_ns: 0,
                ingested_at: String::new(),
                bronze_path: path,
            });
        }
    }
    Ok(new)
}

struct Run<'a> {
    job: &'a SilverJob<'a>,
    plan: &'a TransformPlan,
    /// The key column, quoted.
    key: String,
    /// The dataset of coordinates.
    arrivals: String,
}

impl Run<'_> {
    /// How far the dataset will have come in each partition that has something new.
    async fn goal(&self, new: &New) -> Result<Positions> {
        let mut goal = Positions::default();
        for (partition, first) in &new.starts {
            goal.set(partition, goal.next(partition).max(first.saturating_add(1)));
        }
        let sql = format!("SELECT {PARTITION}, max({ROW}) FROM {STAGED} GROUP BY {PARTITION}");
        let mut rows = self.job.session.query(&self.plan.output.dataset, &sql).await?;
        while let Some(batch) = rows.try_next().await.outage("read the offsets of", &self.plan.source)? {
            let (numbers, ends) =
                (batch.column(0).as_primitive::<Int32Type>(), batch.column(1).as_primitive::<Int64Type>());
            for (number, end) in numbers.values().iter().zip(ends.values()) {
                let partition = Partition { topic: self.plan.source.clone(), number: number.cast_unsigned() };
                goal.set(&partition, goal.next(&partition).max(end.saturating_add(1)));
            }
        }
        Ok(goal)
    }

    /// Finds which records of this run are the first of their key in their partition, and which of them stay.
    async fn compare(&self, goal: &Positions) -> Result<()> {
        let (job, key) = (self.job, &self.key);
        let schema = self.coordinates();
        match job.tables.exists(&self.arrivals).await? {
            true => job.session.add(ARRIVALS, job.tables.provider(&self.arrivals).await?)?,
            false => job.session.add(ARRIVALS, Arc::new(EmptyTable::new(schema)))?,
        }
        // Of partitions with nothing new every row counts; of the others those that the dataset has taken.
        let partitions: Vec<_> = goal.0.keys().cloned().collect();
        let taken = job.tables.taken(&self.plan.output.dataset, &partitions).await?;
        let beyond = partitions.iter().map(|partition| {
            format!("(partition_number = {} AND record_offset >= {})", partition.number, taken.next(partition))
        });
        let beyond = beyond.collect::<Vec<_>>().join(" OR ");
        let known = format!("known AS (SELECT * FROM {ARRIVALS} WHERE NOT ({beyond}))");
        let firsts = format!(
            "WITH {known}, own AS (SELECT {key}, {FILE}, {PARTITION}, {ROW}, {TIME}, \
             row_number() OVER (PARTITION BY {key}, {PARTITION} ORDER BY {ROW}) AS _rank FROM {STAGED}) \
             SELECT {key}, {FILE}, {PARTITION}, {ROW}, {TIME} FROM own WHERE _rank = 1 AND NOT EXISTS \
             (SELECT 1 FROM known k WHERE k.{key} = own.{key} AND k.partition_number = own.{PARTITION})"
        );
        let found =
            [(FILE, DataType::UInt32), (PARTITION, DataType::Int32), (ROW, DataType::Int64), (TIME, DataType::Int64)];
        self.stage(FIRSTS, &firsts, &found).await?;
        let winners = format!(
            "WITH {known}, met AS (SELECT {key}, {FILE}, {ROW}, {PARTITION} AS p, {TIME} AS t, 0 AS old FROM {FIRSTS} UNION ALL \
             SELECT k.{key}, CAST(0 AS INT UNSIGNED), k.record_offset, k.partition_number, k.record_time, 1 FROM known k \
             WHERE EXISTS (SELECT 1 FROM {FIRSTS} f WHERE f.{key} = k.{key})), \
             ranked AS (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY t, p) AS _rank, \
             max(old) OVER (PARTITION BY {key}) AS _replaces FROM met) \
             SELECT {key}, {FILE}, {ROW}, _replaces = 1 AS _replaces FROM ranked WHERE _rank = 1 AND old = 0"
        );
        let found = [(FILE, DataType::UInt32), (ROW, DataType::Int64), ("_replaces", DataType::Boolean)];
        self.stage(WINNERS, &winners, &found).await
    }

    /// Keeps the rows of a query, the key and `columns`, and makes them known as `table`.
    async fn stage(&self, table: &str, sql: &str, columns: &[(&str, DataType)]) -> Result<()> {
        let path = self.job.staging.file(&format!("{}.{table}", self.plan.output.dataset));
        let schema = self.keyed(columns);
        let mut file = StagedFile::create(path.clone(), schema)?;
        let mut rows = self.job.session.query(&self.plan.output.dataset, sql).await?;
        while let Some(batch) = rows.try_next().await.outage("compare the records of", &self.plan.source)? {
            file.write(&batch)?;
        }
        file.finish()?;
        self.job.session.add_staged(table, &path).await
    }

    /// Adds the coordinates of this run, where they were not added by one that died.
    async fn keep_arrivals(&self, goal: &Positions) -> Result<()> {
        let partitions: Vec<_> = goal.0.keys().cloned().collect();
        let there = self.job.tables.taken(&self.arrivals, &partitions).await?;
        let new = partitions.iter().filter(|partition| there.next(partition) < goal.next(partition));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return Ok(());
        }
        let missing = new
            .iter()
            .map(|partition| format!("({PARTITION} = {} AND {ROW} >= {})", partition.number, there.next(partition)));
        let missing = missing.collect::<Vec<_>>().join(" OR ");
        let key = &self.key;
        let sql = format!(
            "SELECT {key}, {PARTITION} AS partition_number, {ROW} AS record_offset, {TIME} AS record_time FROM {FIRSTS} WHERE {missing}"
        );
        let schema = self.coordinates();
        let rows = self.rows(&self.arrivals, &sql, Arc::clone(&schema)).await?;
        let goal = new.into_iter().map(|partition| (partition.clone(), goal.next(partition))).collect::<Vec<_>>();
        let spec = TableSpec { schema, partition_by: Vec::new() };
        self.job.tables.append(&self.arrivals, &spec, &Positions::from(goal), rows).await
    }

    /// The keys whose row in the dataset is beaten.
    async fn replaced(&self) -> Result<Vec<String>> {
        let sql = format!("SELECT {} FROM {WINNERS} WHERE _replaces", self.key);
        let mut rows = self.job.session.query(&self.plan.output.dataset, &sql).await?;
        let mut keys = Vec::new();
        while let Some(batch) = rows.try_next().await.outage("compare the records of", &self.plan.source)? {
            keys.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        Ok(keys)
    }

    /// Adds the rows that stay; returns how many.
    async fn add(&self, goal: &Positions) -> Result<u64> {
        let (dataset, key) = (&self.plan.output.dataset, &self.key);
        let schema = arrow_schema(&self.plan.output.columns);
        let columns = self.plan.output.columns.iter().map(|column| format!("s.{}", quoted(&column.name)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns} FROM {STAGED} s JOIN {WINNERS} w ON s.{key} = w.{key} AND s.{FILE} = w.{FILE} AND s.{ROW} = w.{ROW}"
        );
        let rows = self.rows(dataset, &sql, Arc::clone(&schema)).await?;
        let spec = TableSpec { schema, partition_by: self.plan.output.partition_by.clone() };
        self.job.tables.append(dataset, &spec, goal, rows).await?;
        let counts = self.count("TRUE").await?;
        Ok(counts.into_iter().map(|(_, rows)| rows).sum())
    }

    /// Of each of so many files the rows whose key was not there before. Where a row beats one of an earlier run, one of the two is a
    /// duplicate, and the later file is charged: so the rows of all runs are those of the dataset.
    async fn new_keys(&self, files: usize) -> Result<Vec<u64>> {
        let mut counts = vec![0; files];
        self.count("NOT _replaces").await?.into_iter().for_each(|(file, rows)| counts[file] = rows);
        Ok(counts)
    }

    /// The winners for which `condition` holds, by file.
    async fn count(&self, condition: &str) -> Result<Vec<(usize, u64)>> {
        let sql = format!("SELECT {FILE}, count(*) FROM {WINNERS} WHERE {condition} GROUP BY {FILE}");
        let mut rows = self.job.session.query(&self.plan.output.dataset, &sql).await?;
        let mut counts = Vec::new();
        while let Some(batch) = rows.try_next().await.outage("count the rows of", &self.plan.source)? {
            let (files, rows) =
                (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1).as_primitive::<Int64Type>());
            let pairs = files.values().iter().zip(rows.values());
            counts.extend(pairs.map(|(file, rows)| (*file as usize, rows.cast_unsigned())));
        }
        Ok(counts)
    }

    /// The rows of a query in the columns of `schema`.
    async fn rows(&self, name: &str, sql: &str, schema: SchemaRef) -> Result<Rows> {
        let rows = self.job.session.query(name, sql).await?;
        let name = name.to_owned();
        let rows = rows.map(move |batch| {
            let batch = batch.map_err(|error| Error::new(Kind::Outage, "read staged", &name).because(error))?;
            conform(&batch, &schema).corrupt("read staged", &name)
        });
        Ok(rows.boxed())
    }

    /// The columns of the dataset of coordinates.
    fn coordinates(&self) -> SchemaRef {
        self.keyed(&[
            ("partition_number", DataType::Int32),
            ("record_offset", DataType::Int64),
            ("record_time", DataType::Int64),
        ])
    }

    fn keyed(&self, columns: &[(&str, DataType)]) -> SchemaRef {
        let key = Field::new(&self.plan.output.key[0], DataType::Utf8, true);
        let columns = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        Arc::new(Schema::new([key].into_iter().chain(columns).collect::<Vec<_>>()))
    }
}
