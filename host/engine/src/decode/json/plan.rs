//! A topic's schema made ready for decoding: what fits each member, where it goes, how its name is recognised.

use tamis_model::topic::{Field, FieldKind};
use tamis_model::{Error, Result};

use super::scan::{Scan, WINDOW};

/// Members of one object are kept in sets of 64 bits.
pub(super) const FIELDS_MAX: usize = 64;
/// The column of members that are not asked for.
pub(super) const NO_COLUMN: usize = usize::MAX;

/// An object with known members.
#[derive(Clone, Debug)]
pub(super) struct ObjectPlan {
    pub(super) names: Names,
    pub(super) fields: Vec<FieldPlan>,
    /// The members that must be there and not null.
    pub(super) required: u64,
}

/// A known member.
#[derive(Clone, Debug)]
pub(super) struct FieldPlan {
    pub(super) name: String,
    /// Its bit in sets of members.
    pub(super) bit: u64,
    pub(super) check: Check,
    /// The column among those of its type, or [`NO_COLUMN`].
    pub(super) column: usize,
}

/// What fits a member.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// A string.
    Text,
    /// A string that nobody asked for: whether it is null makes no difference.
    TextUnread,
    Enum(Vec<String>),
    Amount,
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Boolean,
    TextOrInteger,
    Items(Box<ObjectPlan>),
}

impl ObjectPlan {
    /// `column_of` says for each field which column it goes to; `owner` names the object in errors.
    pub(super) fn new(fields: &[Field], column_of: &dyn Fn(usize) -> usize, owner: &str) -> Result<Self> {
        if fields.len() > FIELDS_MAX {
            let reason = format!("{} members are more than {FIELDS_MAX}", fields.len());
            return Err(Error::invalid("plan decoding of", owner, reason));
        }
        let plan = |(i, field): (usize, &Field)| FieldPlan::new(i, field, column_of(i), owner);
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        let required = fields.iter().enumerate().filter(|(_, field)| field.required);
        Ok(Self {
            names: Names::new(&names),
            fields: fields.iter().enumerate().map(plan).collect::<Result<_>>()?,
            required: required.fold(0, |set, (i, _)| set | 1 << i),
        })
    }
}

impl FieldPlan {
    fn new(i: usize, field: &Field, column: usize, owner: &str) -> Result<Self> {
        let check = match &field.kind {
            FieldKind::Text if column == NO_COLUMN && !field.required => Check::TextUnread,
            FieldKind::Text => Check::Text,
            FieldKind::Enum(values) => Check::Enum(values.clone()),
            FieldKind::Amount => Check::Amount,
            &FieldKind::Integer { min, max } => Check::Integer { min, max },
            &FieldKind::Number { min, max } => Check::Number { min, max },
            FieldKind::Boolean => Check::Boolean,
            FieldKind::TextOrInteger => Check::TextOrInteger,
            FieldKind::Items(inner) => {
                let owner = format!("{owner}.{}", field.name);
                Check::Items(Box::new(ObjectPlan::new(inner, &|_| NO_COLUMN, &owner)?))
            }
        };
        Ok(Self { name: field.name.clone(), bit: 1 << i, check, column })
    }

    /// What would have fitted, in words.
    pub(super) fn expected(&self) -> String {
        match &self.check {
            Check::Text | Check::TextUnread => "text".to_owned(),
            Check::Enum(values) => format!("one of {}", values.join(", ")),
            Check::Amount => "a number of at most 16 digits before the point".to_owned(),
            Check::Integer { min, max } => format!("an integer from {min} to {max}"),
            Check::Number { min, max } => format!("a number from {min} to {max}"),
            Check::Boolean => "true or false".to_owned(),
            Check::TextOrInteger => "text or an integer".to_owned(),
            Check::Items(_) => "an array of objects".to_owned(),
        }
    }
}

/// Some bytes to recognise, one masked comparison wide.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) bytes: [u8; WINDOW],
    /// 0xff where the bytes count.
    pub(super) mask: [u8; WINDOW],
    pub(super) length: usize,
}

impl Pattern {
    /// `"name":` as writers without spaces write it. A name that is too long, or that JSON would escape, is never
    /// recognised: it is looked up instead.
    pub(super) fn member(name: &str) -> Self {
        let text = format!("\"{name}\":");
        let plain = name.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        // No UTF-8 text holds the byte 0xff.
        let text = if plain && text.len() <= WINDOW { text.as_bytes() } else { b"\xff" };
        let (mut bytes, mut mask) = ([0; WINDOW], [0; WINDOW]);
        bytes[..text.len()].copy_from_slice(text);
        mask[..text.len()].fill(0xff);
        Self { bytes, mask, length: text.len() }
    }
}

/// The names of an object's members, and in which order they usually come.
#[derive(Clone, Debug)]
pub(super) struct Names {
    patterns: Vec<Pattern>,
    names: Vec<Box<[u8]>>,
    length_max: usize,
    /// For each member which one came behind it the last time; [`Names::START`]: which one came first.
    next: [u8; FIELDS_MAX + 1],
    /// A perfect hash table: the member at each hash, or 0xff.
    table: Vec<u8>,
    seed: u64,
}

impl Names {
    /// Stands for the member before the first.
    pub(super) const START: usize = FIELDS_MAX;

    pub(super) fn new(names: &[&str]) -> Self {
        let mut next = [0; FIELDS_MAX + 1];
        for (i, next) in next.iter_mut().enumerate().take(names.len()) {
            *next = if i + 1 < names.len() { i as u8 + 1 } else { 0 };
        }
        let (table, seed) = perfect_table(names);
        Self {
            patterns: names.iter().map(|name| Pattern::member(name)).collect(),
            names: names.iter().map(|name| name.as_bytes().into()).collect(),
            length_max: names.iter().map(|name| name.len()).max().unwrap_or(0),
            next,
            table,
            seed,
        }
    }

    /// The member that is expected behind `previous`, if it stands at `at`, and the position behind its colon.
    #[inline(always)]
    pub(super) fn predicted<S: Scan>(
        &self,
        scan: S,
        bytes: &[u8],
        at: usize,
        previous: usize,
    ) -> Option<(usize, usize)> {
        let member = usize::from(self.next[previous]);
        let pattern = self.patterns.get(member)?;
        scan.matches(bytes, at, pattern).then_some((member, at + pattern.length))
    }

    /// Remembers that `member` came behind `previous`.
    pub(super) fn learn(&mut self, previous: usize, member: usize) {
        self.next[previous] = member as u8;
    }

    /// The member with this name.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        if name.len() > self.length_max {
            return None;
        }
        let member = usize::from(self.table[hash(name, self.seed) as usize & (self.table.len() - 1)]);
        (**self.names.get(member)? == *name).then_some(member)
    }
}

/// Distinct names get distinct places under some seed; with at most 64 of them in tables that grow it is found at once.
fn perfect_table(names: &[&str]) -> (Vec<u8>, u64) {
    let mut size = (2 * names.len()).next_power_of_two();
    loop {
        for seed in 0..256 {
            let mut table = vec![u8::MAX; size];
            let free = |(i, name): (usize, &&str)| {
                let place = &mut table[hash(name.as_bytes(), seed) as usize & (size - 1)];
                std::mem::replace(place, i as u8) == u8::MAX
            };
            if names.iter().enumerate().all(free) {
                return (table, seed);
            }
        }
        size *= 2;
    }
}

/// A multiplicative hash, eight bytes a step.
fn hash(name: &[u8], seed: u64) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let step = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(ODD);
        product ^ product >> 32
    };
    let (words, rest) = name.as_chunks();
    let hash = words.iter().fold(step(seed, name.len() as u64), |hash, word| step(hash, u64::from_le_bytes(*word)));
    step(hash, rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::json::scan::Portable;

    #[test]
    fn names_are_found_and_others_are_not() {
        let names: Vec<String> = (0..64).map(|i| format!("{}delivery_{i}", "x".repeat(i % 40))).collect();
        let table = Names::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for (i, name) in names.iter().enumerate() {
            assert_eq!(table.find(name.as_bytes()), Some(i));
            assert_eq!(table.find(&name.as_bytes()[1..]), None);
            assert_eq!(table.find(format!("{name}0").as_bytes()), None);
        }
        assert_eq!(table.find(b""), None);
        assert_eq!(Names::new(&[]).find(b""), None);
    }

    #[test]
    fn the_order_is_learned() {
        let mut names = Names::new(&["a", "b", "c"]);
        let line = [br#""a":1,"c":2"#.as_slice(), &[0; 64]].concat();
        assert_eq!(names.predicted(Portable, &line, 0, Names::START), Some((0, 4)));
        assert_eq!(names.predicted(Portable, &line, 6, 0), None);
        names.learn(0, 2);
        assert_eq!(names.predicted(Portable, &line, 6, 0), Some((2, 10)));
    }

    #[test]
    fn names_that_json_escapes_are_never_predicted() {
        for name in ["a\"b", "a\\b", "tab\t", "a name of thirty characters ..."] {
            let line = [format!("\"{name}\":").as_bytes(), &[0; 64]].concat();
            assert_eq!(Names::new(&[name]).predicted(Portable, &line, 0, Names::START), None, "{name}");
        }
    }
}
