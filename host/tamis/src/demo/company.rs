//! The reference company: its customers, and the dice that everything about it is thrown with.
//!
//! Everything follows from the seed, so two runs with the same seed generate the same bytes.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tamis_model::time::Millis;

/// Milliseconds of a day.
pub const DAY_MS: Millis = 86_400_000;

const FIRST_NAMES: [&str; 16] = [
    "Camille",
    "Léa",
    "Zoé",
    "Chloé",
    "Inès",
    "Hélène",
    "Anaïs",
    "Maëlle",
    "Lucas",
    "Théo",
    "Noël",
    "Jérôme",
    "Loïc",
    "François",
    "Rémi",
    "Gaël",
];
const LAST_NAMES: [&str; 12] = [
    "Lefèvre", "Dupont", "Müller", "O'Brien", "Garcia", "N'Diaye", "Bénard", "Le Goff", "d'Arcy", "Moreau", "Petit",
    "Gauthier",
];
/// City, postal code, country as a CRM clerk writes it, country code.
const PLACES: [(&str, &str, &str, &str); 12] = [
    ("Paris", "75011", "France", "FR"),
    ("Lyon", "69003", "FRANCE", "FR"),
    ("Nantes", "44000", "fr", "FR"),
    ("Lille", "59000", "France", "FR"),
    ("Bruxelles", "1000", "Belgique", "BE"),
    ("Genève", "1201", "suisse", "CH"),
    ("Madrid", "28001", "Espagne", "ES"),
    ("Berlin", "10115", "Allemagne", "DE"),
    ("Luxembourg", "1111", "Luxembourg", "LU"),
    ("Montréal", "H2X 1Y4", "Canada", "CA"),
    ("London", "SW1A 1AA", "Royaume-Uni", "GB"),
    ("Bastia", "20200", "France", "FR"),
];

/// The dice of one part of the company. Parts do not share dice, so that a change in one leaves the others alone.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice that follow from the seed and the name of the part.
    pub fn new(seed: u64, part: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        for (to, from) in key[8..].iter_mut().zip(part.bytes()) {
            *to = from;
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Whether something that happens `percent` % of the time happens now.
    pub fn percent(&mut self, percent: f64) -> bool {
        self.0.random_bool(percent / 100.0)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        choices.choose(&mut self.0).expect("there is something to choose from")
    }

    /// An amount in cents: most are small, a few are large.
    pub fn amount(&mut self) -> i64 {
        let magnitude = *self.pick(&[2_000, 5_000, 5_000, 9_000, 9_000, 15_000, 40_000, 180_000]);
        self.between(490, magnitude)
    }

    /// The time of the `i`-th of `count` events of a day: night is quiet, evening is busy.
    pub fn time_of_day(&mut self, i: u64, count: u64) -> Millis {
        let even = (i as f64 + 0.5) / count.max(1) as f64;
        let warped = even + 0.48 * (2.0 * std::f64::consts::PI * even).sin() / (2.0 * std::f64::consts::PI);
        ((warped.clamp(0.0, 0.999_99) * DAY_MS as f64) as Millis + self.between(-900, 900)).clamp(0, DAY_MS - 1)
    }
}

/// A customer of the company.
pub struct Customer {
    /// `C000042`.
    pub id: String,
    /// First name.
    pub first_name: &'static str,
    /// Last name.
    pub last_name: &'static str,
    /// City.
    pub city: &'static str,
    /// Postal code.
    pub postal_code: &'static str,
    /// The country as a clerk wrote it.
    pub country_written: &'static str,
    /// The country's code.
    pub country: &'static str,
    /// Where they usually connect from.
    pub ip: String,
    /// The device they usually pay with.
    pub device: String,
    /// The card they usually pay with: reference and masked number.
    pub card: (String, String),
}

/// The `number`-th customer; follows from the seed alone.
pub fn customer(seed: u64, number: u64) -> Customer {
    let mut dice = Dice::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15), "customer");
    let (city, postal_code, country_written, country) = *dice.pick(&PLACES);
    let bin = *dice.pick(&["497010", "513283", "455600", "402360", "535110"]);
    Customer {
        id: format!("C{number:06}"),
        first_name: dice.pick::<&str>(&FIRST_NAMES),
        last_name: dice.pick::<&str>(&LAST_NAMES),
        city,
        postal_code,
        country_written,
        country,
        ip: format!(
            "{}.{}.{}.{}",
            dice.between(11, 223),
            dice.between(0, 255),
            dice.between(0, 255),
            dice.between(1, 254)
        ),
        device: format!("fp-{:012x}", dice.between(0, 0xffff_ffff_ffff)),
        card: (format!("card-{number:06}-1"), format!("{bin}******{:04}", dice.between(0, 9_999))),
    }
}

/// What somebody buys, amounts in cents.
pub struct Basket {
    /// How many.
    pub quantity: i64,
    /// What one costs.
    pub unit: i64,
    /// What all of them cost.
    pub subtotal: i64,
    /// What is taken off.
    pub discount: i64,
    /// What bringing it costs.
    pub shipping: i64,
}

impl Basket {
    /// What is to be paid.
    pub fn total(&self) -> i64 {
        self.subtotal - self.discount + self.shipping
    }
}

/// The basket of the `number`-th order; follows from the seed alone, so that payments fit their orders.
pub fn basket(seed: u64, number: u64) -> Basket {
    let mut dice = Dice::new(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15), "basket");
    let (quantity, unit) = (dice.between(1, 4), dice.amount());
    let subtotal = unit * quantity;
    let discount = if dice.percent(12.0) { subtotal * dice.between(5, 40) / 100 } else { 0 };
    Basket { quantity, unit, subtotal, discount, shipping: if subtotal > 6_000 { 0 } else { 490 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_follows_from_the_seed() {
        assert_eq!(customer(7, 3).ip, customer(7, 3).ip);
        assert_ne!(customer(7, 3).device, customer(8, 3).device);
        let (mut a, mut b) = (Dice::new(7, "payments"), Dice::new(7, "orders"));
        assert_ne!(
            (0..8).map(|_| a.between(0, 999)).collect::<Vec<_>>(),
            (0..8).map(|_| b.between(0, 999)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn events_stay_within_the_day_and_go_forward() {
        let mut dice = Dice::new(1, "time");
        let times: Vec<_> = (0..1_000).map(|i| dice.time_of_day(i, 1_000)).collect();
        assert!(times.iter().all(|t| (0..DAY_MS).contains(t)));
        assert!(times.windows(2).all(|pair| pair[1] > pair[0] - 1_800));
    }
}
