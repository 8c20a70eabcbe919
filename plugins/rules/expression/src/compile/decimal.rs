//! Literals that meet decimals, exactly: as the digits that they were written with.

use crate::plan::{Number, Relation};

/// How many digits may stand behind the point of a decimal; with more it becomes a double.
pub const SCALE_MAX: u8 = 9;

/// The digits of a double and how many of them stand behind the point: those of the shortest text that reads as this double, which is
/// how it was written. Nothing with more than [`SCALE_MAX`], or beyond 64 bits.
pub fn digits(double: f64) -> Option<(i64, u8)> {
    let text = format!("{double}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let scale = u8::try_from(fraction.len()).ok().filter(|scale| *scale <= SCALE_MAX)?;
    Some((format!("{whole}{fraction}").parse().ok()?, scale))
}

/// A comparison of digits, of which `scale` stand behind the point, with a number, as one of the digits with an integer.
///
/// A number between two that the digits can say lies above the lower one and below the upper one: `x > 0.055` is `x >= 0.06` in
/// hundredths, and `x == 0.055` never holds.
pub fn threshold(relation: Relation, scale: u8, (digits, digits_scale): (i64, u8)) -> (Relation, Number<i64>) {
    let below = i64::from(scale) - i64::from(digits_scale);
    let power = 10i128.pow(below.unsigned_abs() as u32);
    let digits = i128::from(digits);
    let (floor, is_exact) = match below >= 0 {
        true => (digits * power, true),
        false => (digits.div_euclid(power), digits.rem_euclid(power) == 0),
    };
    let Ok(floor) = i64::try_from(floor) else { return beyond(relation, floor > 0) };
    let relation = match relation {
        _ if is_exact => relation,
        Relation::Equal | Relation::NotEqual => return beyond(relation, true),
        Relation::Greater | Relation::GreaterOrEqual => Relation::Greater,
        Relation::Less | Relation::LessOrEqual => Relation::LessOrEqual,
    };
    (relation, Number::Constant(floor))
}

/// A comparison with a number that no 64 bits can say: it holds for every integer or for none, null apart.
fn beyond(relation: Relation, above: bool) -> (Relation, Number<i64>) {
    let holds = match relation {
        Relation::Equal => false,
        Relation::NotEqual => true,
        Relation::Less | Relation::LessOrEqual => above,
        Relation::Greater | Relation::GreaterOrEqual => !above,
    };
    (if holds { Relation::GreaterOrEqual } else { Relation::Less }, Number::Constant(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_the_digits_that_they_were_written_with() {
        let check = |double: f64, expected: Option<(i64, u8)>| assert_eq!(digits(double), expected, "{double}");
        check(0.05, Some((5, 2)));
        check(1500.0, Some((1500, 0)));
        check(-0.5, Some((-5, 1)));
        check(0.123_456_789, Some((123_456_789, 9)));
        check(0.1 + 0.2, None);
        check(1e18, Some((1_000_000_000_000_000_000, 0)));
        check(1e19, None);
        check(f64::INFINITY, None);
    }

    #[test]
    fn a_comparison_with_any_literal_is_one_of_integers() {
        // Each literal against the hundredths around it, compared as fractions.
        for (literal, scale) in [(5, 2), (55, 3), (-55, 3), (50, 3), (7, 0), (1, 9), (-1, 9), (0, 5)] {
            for relation in [
                Relation::Equal,
                Relation::NotEqual,
                Relation::Less,
                Relation::LessOrEqual,
                Relation::Greater,
                Relation::GreaterOrEqual,
            ] {
                let (compiled, Number::Constant(limit)) = threshold(relation, 2, (literal, scale)) else {
                    panic!("it is a constant")
                };
                for hundredths in -800..800i64 {
                    let exact = |digits: i64, scale: u8| i128::from(digits) * 10i128.pow(u32::from(9 - scale));
                    let expected = relation.holds(&exact(hundredths, 2), &exact(literal, scale));
                    assert_eq!(
                        compiled.holds(&hundredths, &limit),
                        expected,
                        "{hundredths} {relation:?} {literal}e-{scale}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_above_or_below_all() {
        let holds = |relation, literal| {
            let (compiled, limit) = threshold(relation, 2, (literal, 0));
            matches!(limit, Number::Constant(limit) if [i64::MIN, 0, i64::MAX].iter().all(|n| compiled.holds(n, &limit)))
        };
        assert!(holds(Relation::Less, i64::MAX) && holds(Relation::NotEqual, i64::MAX));
        assert!(!holds(Relation::Greater, i64::MAX) && !holds(Relation::Equal, i64::MAX));
        assert!(holds(Relation::Greater, i64::MIN) && !holds(Relation::Less, i64::MIN));
    }
}
