//! Names that are not known, and the known one that was meant.

use crate::columns::Topic;

/// Why a column is not known.
pub fn unknown_column(name: &str, topic: &Topic, counts: &[&str]) -> String {
    let columns = topic.columns.iter().filter(|column| column.column_type.is_some()).map(|column| column.name.as_str());
    let meant = nearest(name, columns.chain(counts.iter().copied()));
    let mut why = format!("topic {} has no column `{name}`", topic.name);
    if let Some(meant) = meant {
        why.push_str(&format!("; did you mean `{meant}`?"));
    }
    why
}

/// Why a function is not known.
pub fn unknown_function<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(meant) => format!("there is no function `{name}`; did you mean `{meant}`?"),
        None => format!("there is no function `{name}`"),
    }
}

/// The name that takes the fewest changes; nothing when it takes more than a third of the letters.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|other| (distance(&name.to_lowercase(), &other.to_lowercase()), other));
    let (changes, meant) = distances.min_by_key(|(changes, _)| *changes)?;
    (changes * 3 <= name.len().max(meant.len())).then_some(meant)
}

/// How many letters must be added, taken away or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(nearest(name, ["amount", "ip_country", "status"].into_iter()), expected, "{name}");
        };
        check("amout", Some("amount"));
        check("Amount", Some("amount"));
        check("ipcountry", Some("ip_country"));
        check("state", Some("status"));
        check("country", Some("ip_country"));
        check("currency", None);
        check("x", None);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("é", "e", 1)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
