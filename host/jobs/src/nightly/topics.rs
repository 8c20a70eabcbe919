//! Silver of topics between the nights.

use chrono::NaiveDate;
use tamis_catalog::runs::RunState;
use tamis_model::manifest::Format;
use tamis_model::{Error, Result};

use super::{JobContext, Observer, Run, recorded};
use crate::plans::TransformPlan;
use crate::silver::SilverReport;

/// The job's name in the catalogue.
const JOB: &str = "silver";

/// Adds what is new in the archives of topics to their silver datasets: of those in `topics`, or of all when there are none. It is a run of
/// its own, and the nightly run does the same.
pub async fn silver_of_topics(
    context: &JobContext,
    topics: &[String],
    as_of: NaiveDate,
    observer: Observer,
) -> Result<Vec<SilverReport>> {
    let of_topic = |plan: &&TransformPlan| plan.format == Format::Records;
    let known = |topic: &&String| context.plans.transforms.iter().filter(of_topic).any(|plan| plan.source == **topic);
    if let Some(unknown) = topics.iter().find(|topic| !known(topic)) {
        return Err(Error::invalid("make silver of", unknown, "no transform reads a topic of that name"));
    }
    let wanted = |plan: &TransformPlan| of_topic(&plan) && (topics.is_empty() || topics.contains(&plan.source));
    let work = async |run: &Run<'_>| {
        let (session, staging) = run.session()?;
        run.silver(&session, &staging, &wanted).await
    };
    let end = |reports: &Vec<SilverReport>| {
        let partial = reports.iter().any(|report| report.quarantined().next().is_some());
        (if partial { RunState::Partial } else { RunState::Succeeded }, None)
    };
    recorded(context, JOB, as_of, observer, work, end).await
}
