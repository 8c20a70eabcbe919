//! Record lines of payments of about 690 bytes, deterministic: what the benchmark decodes and the fuzz test damages.

/// A small generator of numbers (Marsaglia, Xorshift RNGs, 2003): the same seed gives the same lines.
pub struct Numbers(u64);

impl Numbers {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// One of several.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// How lines differ from the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All members of the schema in its order.
    Usual,
    /// Three lines in ten have one to five unknown members.
    Unknown,
    /// Every line has an order of its own, some have spaces and escapes, and unknown members.
    Shuffled,
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/121.0.6167.178 Safari/537.36",
];
const ODD_TEXTS: [&str; 6] = [
    r#""caf\u00e9 \"x\" \ud83d\ude00 \/\n""#,
    r#""navigateur d’été Ünïcode 日本語""#,
    r#""a\\""#,
    r#""\u004e\u0041""#,
    "\" N/A\u{a0}\"",
    r#""x\ty""#,
];

/// One record line of a payment of 100 000 customers, without its line break.
pub fn line(numbers: &mut Numbers, offset: u64, shape: Shape) -> String {
    line_among(100_000, numbers, offset, shape)
}

/// One record line of a payment of so many customers, each with a card and a device, without its line break.
pub fn line_among(customers: u64, numbers: &mut Numbers, offset: u64, shape: Shape) -> String {
    let n = numbers;
    let mut members = members(customers, n, offset);
    if n.below(100) == 0 {
        let i = [1, 2, 3, 8, 12, 14][n.below(6) as usize];
        members[i].1 = n.pick(&["null", "\"\"", "\"N/A\"", "\"NA\""]).to_owned();
    }
    if shape != Shape::Usual && n.below(10) < 3 {
        for _ in 0..1 + n.below(5) {
            let unknown = unknown_member(n);
            members.insert(n.below(members.len() as u64 + 1) as usize, unknown);
        }
    }
    let mut spaces = "";
    if shape == Shape::Shuffled {
        for i in (1..members.len()).rev() {
            members.swap(i, n.below(i as u64 + 1) as usize);
        }
        for (name, value) in &mut members {
            if ["user_agent", "psp", "session_id"].contains(&name.as_str()) && n.below(10) < 2 {
                *value = n.pick(&ODD_TEXTS).to_owned();
            }
        }
        spaces = n.pick(&["", "", " ", "\t "]);
    }
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{spaces}\"{name}\"{spaces}:{spaces}{value}")).collect();
    let timestamp = 1_773_842_400_000 + offset * 5;
    let key = offset % 1000;
    format!(r#"{{"offset":{offset},"timestamp":{timestamp},"key":"C{key:09}","value":{{{}}}}}"#, members.join(","))
}

fn members(customers: u64, n: &mut Numbers, offset: u64) -> Vec<(String, String)> {
    let customer = n.below(customers);
    let session = offset / 3;
    let method = n.pick(&["card", "card", "card", "card", "paypal", "sepa", "apple_pay", "google_pay"]);
    let card = method != "paypal" && method != "sepa";
    let status = n.pick(&["succeeded"; 12]);
    let status = if n.below(100) < 7 { n.pick(&["failed", "failed", "pending", "refunded"]) } else { status };
    let country = n.pick(&["FR", "FR", "FR", "FR", "BE", "DE", "ES", "IT", "CH"]);
    let text = |value: String| format!("\"{value}\"");
    let or_null = |there: bool, value: String| if there { text(value) } else { "null".to_owned() };
    let bin = n.pick(&["497010", "513264", "450875", "543210"]);
    // Most payments are harmless: about one in twenty has a risk that rules act on.
    let risk = if n.below(100) < 8 { n.below(101) } else { n.below(60) };
    let error = n.pick(&["card_declined", "insufficient_funds", "do_not_honor", "expired_card"]);
    [
        ("payment_id", text(format!("pay_{offset:012}"))),
        ("order_id", text(format!("ord_{session:010}"))),
        ("customer_id", text(format!("C{customer:09}"))),
        ("session_id", text(format!("sess_{session:012}"))),
        ("amount", format!("{}.{:02}", 1 + n.below(300), n.below(100))),
        ("currency", text(n.pick(&["EUR", "EUR", "EUR", "GBP", "CHF"]).to_owned())),
        ("method", text(method.to_owned())),
        ("status", text(status.to_owned())),
        ("psp", text(n.pick(&["stripe", "adyen", "payplug", "paypal", "worldline"]).to_owned())),
        ("risk_score", risk.to_string()),
        ("fraud_flag", (n.below(150) == 0).to_string()),
        ("billing_country", text(country.to_owned())),
        ("ip_country", text(if n.below(50) == 0 { n.pick(&["NG", "RU", "US"]) } else { country }.to_owned())),
        ("ip_address", text(format!("10.{}.{}.{}", customer >> 16 & 255, customer >> 8 & 255, customer & 255))),
        ("device_fingerprint", text(format!("fp_{:016x}", customer * 40503))),
        ("card_ref", or_null(card, format!("card_{:012x}", customer * 2_654_435_761 % (1 << 48)))),
        ("card_masked", or_null(card, format!("{bin}******{:04}", customer % 10_000))),
        ("user_agent", text(n.pick(&USER_AGENTS).to_owned())),
        ("processing_time_ms", (310 + n.below(2190)).to_string()),
        ("error_code", or_null(status == "failed", error.to_owned())),
        (
            "created_at",
            text(format!(
                "2026-03-18T14:{:02}:{:02}.{:03}Z",
                offset / 12_000 % 60,
                offset / 200 % 60,
                offset * 5 % 1000
            )),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn unknown_member(n: &mut Numbers) -> (String, String) {
    let (name, value) = match n.below(5) {
        0 => ("channel".to_owned(), "\"web\"".to_owned()),
        1 => ("attempt".to_owned(), n.below(5).to_string()),
        2 => ("metadata".to_owned(), r#"{"campaign":"spring","tags":["a","b"],"w":1.5}"#.to_owned()),
        3 => (format!("x_{}", n.below(9)), "true".to_owned()),
        _ => ("payment_intent".to_owned(), format!("\"pi_{:x}\"", n.below(u64::MAX))),
    };
    (name, value)
}
