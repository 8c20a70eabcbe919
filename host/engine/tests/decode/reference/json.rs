//! JSON as a tree that keeps the texts of its numbers.

/// A value; of numbers the text, of objects every member in its place.
#[derive(Clone, Debug)]
pub enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A recursive JSON parser.
pub struct Parser<'a> {
    rest: &'a str,
    depth_left: usize,
}

impl<'a> Parser<'a> {
    /// The value that the whole text is; none when it is not JSON, or nested too deep.
    pub fn parse(text: &'a str, depth_max: usize) -> Option<Json> {
        let mut parser = Self { rest: text, depth_left: depth_max };
        let value = parser.value()?;
        parser.space();
        parser.rest.is_empty().then_some(value)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.rest.chars().next()? {
            '{' => self.nested(Self::object),
            '[' => self.nested(Self::array),
            '"' => self.text().map(Json::Text),
            't' => self.take("true").then_some(Json::Boolean(true)),
            'f' => self.take("false").then_some(Json::Boolean(false)),
            'n' => self.take("null").then_some(Json::Null),
            _ => self.number(),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Option<Json>) -> Option<Json> {
        self.depth_left = self.depth_left.checked_sub(1)?;
        let value = inner(self)?;
        self.depth_left += 1;
        Some(value)
    }

    fn object(&mut self) -> Option<Json> {
        let mut members = Vec::new();
        self.take("{");
        self.space();
        if self.take("}") {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let name = self.text()?;
            self.space();
            if !self.take(":") {
                return None;
            }
            members.push((name, self.value()?));
            self.space();
            if self.take("}") {
                return Some(Json::Object(members));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn array(&mut self) -> Option<Json> {
        let mut elements = Vec::new();
        self.take("[");
        self.space();
        if self.take("]") {
            return Some(Json::Array(elements));
        }
        loop {
            elements.push(self.value()?);
            self.space();
            if self.take("]") {
                return Some(Json::Array(elements));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let mut units: Vec<u16> = Vec::new();
        if !self.take("\"") {
            return None;
        }
        loop {
            let c = self.rest.chars().next()?;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return String::from_utf16(&units).ok(),
                '\\' => units.push(self.escape()?),
                '\0'..='\x1f' => return None,
                _ => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(match c {
            '"' | '\\' | '/' => c as u16,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => {
                let digits = self.rest.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                self.rest = &self.rest[4..];
                u16::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest.find(|c| !"+-.0123456789eE".contains(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let whole_fits = digits(whole) && (whole == "0" || !whole.starts_with('0'));
        let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
        if !whole_fits || !fraction.is_none_or(digits) || !exponent_fits {
            return None;
        }
        self.rest = rest;
        text.parse::<f64>().ok()?.is_finite().then(|| Json::Number(text.to_owned()))
    }
}
