//! A day of decisions on the age of customers.

use super::company::{DAY_MS, Dice, customer};
use super::{Event, Scale, day_start};

pub(super) const PER_DAY: u64 = 1_000;

/// A whole day of decisions, ordered as they arrive.
pub fn day(seed: u64, scale: Scale) -> impl Iterator<Item = Event> {
    let mut dice = Dice::new(seed, "kyc");
    let count = scale.of(PER_DAY);
    (0..count).flat_map(move |i| {
        let time = day_start() + dice.time_of_day(i, count).min(DAY_MS - 1);
        let customer_id = customer(seed, dice.between(1, scale.of(5_000) as i64) as u64).id;
        // Some try once more, with the document of somebody else.
        let documents = if dice.percent(2.0) { 2 } else { 1 };
        (0..documents)
            .map(|document| decision(&mut dice, [i + 1, document], &customer_id, time + 45_000 * document as i64))
            .collect::<Vec<_>>()
    })
}

fn decision(dice: &mut Dice, [number, document]: [u64; 2], customer_id: &str, time: i64) -> Event {
    // From 17:00 to 18:00 a class of pupils tries its luck.
    let pupils = (17 * 3_600_000..18 * 3_600_000).contains(&(time - day_start()));
    let decision = match () {
        () if dice.percent(10.0) => "en_attente",
        () if dice.percent(if pupils { 60.0 } else { 8.0 }) => "mineur",
        () => "majeur",
    };
    let value = format!(
        concat!(
            r#"{{"event_id":"kyc-{:08}-{}","kyc_ref":"kyc-ref-{:08}","order_id":"ord-{:08}","customer_id":"{}","decision":"{}","#,
            r#""confidence_score":{},"doc_type":"{}","document_hash":"doc-{}-{}","reason":null,"processing_time_ms":{},"created_at":"{}"}}"#
        ),
        number,
        document,
        number,
        number,
        customer_id,
        decision,
        dice.between(600, 1_000) as f64 / 1_000.0,
        dice.pick(&["cni", "passeport", "titre_sejour", "permis_conduire"]),
        customer_id,
        document,
        dice.between(200, 9_000),
        tamis_model::time::rfc3339_millis(time),
    );
    Event { timestamp: time, key: customer_id.to_owned(), value }
}
