//! The topics of the reference company: their schemas as published in `schemas/topics/`.

use tamis_model::Result;
use tamis_model::topic::TopicSchema;

const STANDARD: [&str; 3] = [
    include_str!("../../../schemas/topics/payments.schema.json"),
    include_str!("../../../schemas/topics/orders.schema.json"),
    include_str!("../../../schemas/topics/kyc_decisions.schema.json"),
];

/// The schemas of `payments`, `orders` and `kyc_decisions`.
pub fn standard() -> Result<Vec<TopicSchema>> {
    STANDARD.iter().map(|json| TopicSchema::parse(json)).collect()
}
