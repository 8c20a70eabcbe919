//! Variable-length values one behind the other: Arrow's layout for text, also used for keys and states.

/// Borrowed values: value `i` is `data[offsets[i]..offsets[i + 1]]`. No offsets at all means no values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strings<'a> {
    /// One offset more than there are values, ascending.
    pub offsets: &'a [u32],
    /// The bytes of all values.
    pub data: &'a [u8],
}

impl<'a> Strings<'a> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `i`. Panics when there is none, or when the offsets are not ascending within the data.
    pub fn get(&self, i: usize) -> &'a [u8] {
        &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
}

/// Owned values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringsBuf {
    /// One offset more than there are values, ascending, the first 0.
    pub offsets: Vec<u32>,
    /// The bytes of all values.
    pub data: Vec<u8>,
}

impl Default for StringsBuf {
    fn default() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }
}

impl StringsBuf {
    /// A view of all values.
    pub fn as_strings(&self) -> Strings<'_> {
        Strings { offsets: &self.offsets, data: &self.data }
    }

    /// Adds a value at the end.
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.offsets.push(u32::try_from(self.data.len()).expect("a batch holds less than 4 GiB of text"));
    }

    /// Forgets all values and keeps the room.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.data.clear();
    }
}

impl<'a> FromIterator<&'a [u8]> for StringsBuf {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut strings = Self::default();
        values.into_iter().for_each(|value| strings.push(value));
        strings
    }
}
