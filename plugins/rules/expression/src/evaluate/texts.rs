//! Texts over the rows of a batch, and the tests on them.

use std::borrow::Cow;
use std::sync::Arc;

use tamis_sdk::row::TextColumn;

use super::{Bits, Evaluation, Gaps, Truth};
use crate::plan::{Text, TextTest};

/// The values of a text.
pub struct Texts<'a> {
    /// The values; arbitrary where there are gaps.
    pub values: Values<'a>,
    /// Where there is none.
    pub gaps: Gaps<'a>,
}

/// Texts of rows.
pub enum Values<'a> {
    /// The same for every row.
    One(&'a str),
    /// Those of a column.
    Column(TextColumn<'a>),
    /// One for each row.
    Each(Vec<String>),
}

impl Values<'_> {
    /// That of a row.
    #[inline]
    pub fn at(&self, row: usize) -> &str {
        match self {
            Self::One(text) => text,
            Self::Column(column) => column.get(row),
            Self::Each(texts) => &texts[row],
        }
    }
}

impl<'a> Evaluation<'a> {
    /// The values of a text.
    pub fn texts(&mut self, text: &'a Text, among: &Bits) -> Texts<'a> {
        match text {
            Text::Constant(text) => Texts { values: Values::One(text), gaps: Gaps::default() },
            Text::Column(column) => Texts {
                values: Values::Column(self.rows.text(*column)),
                gaps: Gaps::of_column(self.rows.valid(*column)),
            },
            Text::Choice(test, branches) => {
                let (decided, undecided) = self.decided(test, among);
                let mut chosen = vec![String::new(); among.rows()];
                let (mut valid, mut failed) = (Bits::none(among.rows()), undecided);
                for (branch, among) in branches.iter().zip(&decided) {
                    let Texts { values, gaps } = self.texts(branch, among);
                    let known = gaps.known(among);
                    known.iter().for_each(|row| values.at(row).clone_into(&mut chosen[row]));
                    valid = valid.or(&known);
                    failed = super::either(failed, gaps.failed.map(|failed| failed.and(among)));
                }
                Texts { values: Values::Each(chosen), gaps: Gaps { valid: Some(Cow::Owned(valid)), failed } }
            }
            Text::Foreign(foreign) => {
                let mut texts = vec![String::new(); among.rows()];
                let gaps = self.interpret(foreign, among, |row, value| match value {
                    cel::Value::String(text) => {
                        texts[row] = Arc::unwrap_or_clone(text);
                        true
                    }
                    _ => false,
                });
                Texts { values: Values::Each(texts), gaps }
            }
        }
    }

    /// The tests on texts.
    pub(super) fn text_test(&mut self, test: &'a TextTest, among: &Bits) -> Truth {
        match test {
            TextTest::Compared(relation, pair) => self.both(pair, among, |left, right| relation.holds(left, right)),
            TextTest::Find(part, pair) => self.both(pair, among, |text, sought| part.is_in(sought, text)),
            TextTest::In(text, list) => {
                self.one(text, among, |text| list.binary_search_by(|other| other.as_str().cmp(text)).is_ok())
            }
            TextTest::Matches(text, pattern) => self.one(text, among, |text| pattern.is_match(text)),
        }
    }

    fn one(&mut self, text: &'a Text, among: &Bits, holds: impl Fn(&str) -> bool) -> Truth {
        let Texts { values, gaps } = self.texts(text, among);
        gaps.test(among, |row| holds(values.at(row)))
    }

    fn both(&mut self, pair: &'a [Text; 2], among: &Bits, holds: impl Fn(&str, &str) -> bool) -> Truth {
        let [left, right] = [0, 1].map(|i| self.texts(&pair[i], among));
        let (left, right, gaps) = (left.values, right.values, left.gaps.and(right.gaps));
        gaps.test(among, |row| holds(left.at(row), right.at(row)))
    }
}
