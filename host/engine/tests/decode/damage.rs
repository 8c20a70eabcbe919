//! Lines that are odd on purpose, and ways to break them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::payments::Numbers;

/// An order or a decision.
pub fn other_line(n: &mut Numbers, topic: usize, offset: u64) -> String {
    let value = if topic == 1 {
        let item = |n: &mut Numbers| {
            format!(
                r#"{{"product_id":"P{}","category":{},"quantity":{},"unit_price":{}}}"#,
                n.below(900),
                n.pick(&["\"cbd\"", "null", "\"NA\"", "3"]),
                n.pick(&["1", "2", "2.0", "\"1\"", "2147483648", "1.5", "null"]),
                n.pick(&["9.90", "9.995", "1e2", "-3", "true", "\"\"", "99999999999999999"])
            )
        };
        let mut items: Vec<_> = (0..n.below(4)).map(|_| item(n)).collect();
        if n.below(10) == 0 {
            items.push(n.pick(&["null", "[]", "7", "{}", "{\"quantity\":\"x\",\"quantity\":3}"]).to_owned());
        }
        format!(
            r#"{{"event_id":"e{offset}","event_type":"{}","order_id":"o{}","customer_id":"C1","items":{},"item_count":{},"subtotal":120.50,"discount":{},"total":115,"delivery_method":{},"created_at":{}}}"#,
            n.pick(&["created", "shipped", "delivered", "cancelled", "canceled"]),
            n.below(50),
            n.pick(&["null", "\"N/A\"", "{}", "[ ]"]).to_owned().replace("[ ]", &format!("[{}]", items.join(" , "))),
            n.pick(&["1", "4", "2.50e1", "-2147483649"]),
            n.pick(&["0", "5.5", "5.555", "null"]),
            n.pick(&["\"express\"", "\"standard\"", "null", "\"Express\""]),
            n.pick(&["1773842400000", "\"2026-03-18T14:00:00Z\"", "1.5", "17e11", "null"]),
        )
    } else {
        format!(
            r#"{{"event_id":"k{offset}","kyc_ref":"r","decision":"{}","confidence_score":{},"processing_time_ms":{},"reason":"\u00e9"}}"#,
            n.pick(&["majeur", "mineur", "en_attente"]),
            n.pick(&["0", "1", "0.5", "1.0000001", "-0", "1e-3", "5e-324", "10e-1", "null", "\"NaN\""]),
            n.pick(&["120", "9223372036854775807", "9223372036854775808", "1e3", "-1"]),
        )
    };
    format!(r#"{{"offset":{offset},"timestamp":{},"key":null,"value":{value}}}"#, 1_773_842_400_000 + offset)
}

/// What is put in front of a value's closing bracket, or in place of something.
const MEMBERS: [&str; 40] = [
    r#""status":"failed""#,
    r#""status":"Failed""#,
    r#""amount":12.345"#,
    r#""amount":null"#,
    r#""amount":1.00499999999999999999999"#,
    r#""amount":-2.675"#,
    r#""amount":9999999999999999.995"#,
    r#""amount":1e16"#,
    r#""amount":0.5e-2"#,
    r#""amount":12.5"#,
    r#""amount":007"#,
    r#""amount":1234567890.12"#,
    r#""psp":"\ud800""#,
    r#""psp":"x\udc00y""#,
    r#""psp":"\ud83d\ude00""#,
    r#""ps\u0070":"esc\u0061ped""#,
    r#""psp":["a",{"b":null}]"#,
    r#""psp":"\u004eA""#,
    r#""u":1e400"#,
    r#""u":-1e-400"#,
    r#""u":[1e309]"#,
    r#""u":"\x""#,
    r#""u":"\ud83d""#,
    r#""u":01"#,
    r#""u":.5"#,
    r#""u":NaN"#,
    r#""u":[[[{"a":[{}]}]]]"#,
    r#""u":123456789012345678901234567890"#,
    r#""risk_score":45.0"#,
    r#""risk_score":4.5e1"#,
    r#""risk_score":45.5"#,
    r#""risk_score":101"#,
    r#""risk_score":-1"#,
    r#""risk_score":"45""#,
    r#""fraud_flag":"true""#,
    r#""fraud_flag":true"#,
    r#""created_at":1.5"#,
    r#""created_at":[]"#,
    r#""method":" NA ""#,
    r#""user_agent":"é日本語\u0000""#,
];

/// One way to damage a line. The numbers choose where and what.
pub fn damage(line: &mut Vec<u8>, kind: u8, a: usize, b: usize) {
    const BYTES: &[u8] = b"\"\\{}[]:,0123456789-+.eEtrufalsn N/A\t\r\x01\x7f\xc3\xa9\xe2\xff\xed\xa0ud8\0";
    let at = a % line.len().max(1);
    let byte = BYTES[b % BYTES.len()];
    let closing = line.len().saturating_sub(2);
    match kind {
        0 if !line.is_empty() => line[at] = byte,
        1 if !line.is_empty() => drop(line.remove(at)),
        2 => line.insert(at, byte),
        3 => line.truncate(at),
        4 => {
            let copy = line[at..(at + 1 + b % 60).min(line.len())].to_vec();
            let to = (a / 7) % (line.len() + 1);
            line.splice(to..to, copy).for_each(drop);
        }
        5 => drop(line.drain(at..(at + 1 + b % 14).min(line.len()))),
        6 => drop(line.splice(closing..closing, format!(",{}", MEMBERS[b % MEMBERS.len()]).into_bytes())),
        7 => {
            let depth = 120 + a % 12;
            let (open, inner, close) = [("[", "", "]"), ("{\"a\":", "1", "}")][b % 2];
            let nested = format!(",\"deep\":{}{inner}{}", open.repeat(depth), close.repeat(depth));
            drop(line.splice(closing..closing, nested.into_bytes()));
        }
        8 => in_base64(line, a, b),
        9 => line.extend_from_slice([",", "}", " ", "\r", "x", "{}", "null", "\0"][b % 8].as_bytes()),
        10 => replace(
            line,
            "\"value\":",
            ["\"value\":null,\"w\":", "\"value\":[],\"w\":", "\"w\":", "\"value\":7,\"w\":"][b % 4],
        ),
        11 => replace(
            line,
            "\"timestamp\":",
            ["\"timestamp\":\"x\",\"q\":", "\"timestamp\":1.5e3,\"q\":", "\"q\":"][b % 3],
        ),
        12 => replace(line, "\"offset\":", ["\"offset\":-", "\"offset\":null,\"q\":", "\"offset\":1e0,\"q\":"][b % 3]),
        13 => replace(
            line,
            "\"key\":",
            ["\"key\":7,\"q\":", "\"key\":null,\"q\":", "\"key_base64\":\"QQ==\",\"q\":", "\"key\":{},\"key\":"][b % 4],
        ),
        14 => replace(line, ",\"key\"", " ,\t\"headers\" : [[\"h\",\"QQ==\"]],\r \"key\""),
        _ => move_timestamp_to_the_end(line),
    }
    line.retain(|byte| *byte != b'\n');
}

/// Replaces the first `from`, if there is one.
pub fn replace(line: &mut Vec<u8>, from: &str, to: &str) {
    if let Some(at) = line.windows(from.len()).position(|window| window == from.as_bytes()) {
        line.splice(at..at + from.len(), to.bytes()).for_each(drop);
    }
}

fn move_timestamp_to_the_end(line: &mut Vec<u8>) {
    replace(line, "\"timestamp\":", "\"was\":");
    let end = line.len().saturating_sub(1);
    line.splice(end..end, *b",\"timestamp\":1773842400007").for_each(drop);
}

/// Moves the value into `value_base64`, sometimes with line breaks, a byte-order mark or something broken.
fn in_base64(line: &mut Vec<u8>, a: usize, b: usize) {
    let Some(at) = line.windows(8).position(|window| window == b"\"value\":") else { return };
    let mut value = line[at + 8..line.len().saturating_sub(1).max(at + 8)].to_vec();
    let place = a % (value.len() + 1);
    match b % 8 {
        0 => value.insert(place, b'\n'),
        1 => drop(value.splice(0..0, *b"\xef\xbb\xbf")),
        2 => value.insert(place, 0xff),
        3 => value.truncate(place),
        4 => value = b" null ".to_vec(),
        5 => {
            value =
                value.iter().flat_map(|byte| if *byte == b',' { b"\r\n,\n".to_vec() } else { vec![*byte] }).collect()
        }
        _ => {}
    }
    let mut encoded = BASE64_STANDARD.encode(&value);
    if b % 16 == 7 {
        encoded.insert(place % (encoded.len() + 1), ['=', '*', '\\', 'A'][a % 4]);
    }
    line.truncate(at);
    line.extend_from_slice(format!("\"value_base64\":\"{}\"}}", encoded.replace('/', "\\/")).as_bytes());
}
