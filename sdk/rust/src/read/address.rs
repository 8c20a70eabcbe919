//! Addresses of the Internet Protocol, cut down to the network.

use std::fmt;
use std::net::Ipv6Addr;

/// An IP address without its end: `a.b.c.xxx`, or the first three groups and `::xxx` (`2001:db8:0::xxx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruncatedAddress<'a> {
    /// The text of the first three numbers, with the point behind each.
    V4(&'a str),
    /// The first three groups of sixteen bits.
    V6([u16; 3]),
}

impl<'a> TruncatedAddress<'a> {
    /// Nothing when `text` is no IP address: a name, a number above 255 or with a leading zero, a zone.
    pub fn parse(text: &'a str) -> Option<Self> {
        match v4_network(text.as_bytes()) {
            Some(length) => Some(Self::V4(&text[..length])),
            None => text.parse::<Ipv6Addr>().ok().map(|address| {
                let [a, b, c, ..] = address.segments();
                Self::V6([a, b, c])
            }),
        }
    }
}

/// How many bytes the first three numbers of an IPv4 address and their points take.
fn v4_network(text: &[u8]) -> Option<usize> {
    let (mut numbers, mut digits, mut value, mut network) = (0, 0, 0, 0);
    for (i, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if digits == 0 || value != 0 => {
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return None;
                }
            }
            b'.' if digits > 0 && numbers < 3 => {
                (numbers, digits, value, network) = (numbers + 1, 0, 0, i + 1);
            }
            _ => return None,
        }
    }
    (numbers == 3 && digits > 0).then_some(network)
}

impl fmt::Display for TruncatedAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(network) => f.write_str(network)?,
            Self::V6([a, b, c]) => write!(f, "{a:x}:{b:x}:{c:x}::")?,
        }
        f.write_str("xxx")
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn truncated(text: &str) -> Option<String> {
        TruncatedAddress::parse(text).map(|address| address.to_string())
    }

    #[test]
    fn addresses_lose_their_end() {
        for (text, expected) in [
            ("192.168.1.42", "192.168.1.xxx"),
            ("0.0.0.0", "0.0.0.xxx"),
            ("255.255.255.255", "255.255.255.xxx"),
            ("2001:db8::1", "2001:db8:0::xxx"),
            ("2001:0DB8:00AF::1", "2001:db8:af::xxx"),
            ("2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3::xxx"),
            ("::1", "0:0:0::xxx"),
            ("::", "0:0:0::xxx"),
            ("fe80::", "fe80:0:0::xxx"),
            ("::ffff:1.2.3.4", "0:0:0::xxx"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3::xxx"),
            ("1:2:3:4:5:6:7::", "1:2:3::xxx"),
        ] {
            assert_eq!(truncated(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "-",
            "localhost",
            "example.com",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "256.1.1.1",
            "1.1.1.256",
            "01.2.3.4",
            "1.2.3.04",
            "1.2.3.4 ",
            "1.2.3.a",
            "1.2.3.4/24",
            "1.2.3.4:80",
            "+1.2.3.4",
            "4294967296.1.1.1",
            "fe80::1%eth0",
            "[::1]",
            "2001:db8",
            "1:2:3:4:5:6:7:8:9",
            "1::2::3",
            "12345::",
            "g::1",
            ":::",
            "1:2:3:4:5:6:7:",
            "::ffff:1.2.3.256",
            "::ffff:01.2.3.4",
            "1.2.3.xxx",
        ] {
            assert_eq!(truncated(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(text in "[0-9]{1,3}(\\.[0-9]{1,3}){2,4}|[0-9a-f:.]{0,12}|[0-9.]{0,16}") {
            let expected = match text.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(address)) => {
                    let [a, b, c, _] = address.octets();
                    Some(format!("{a}.{b}.{c}.xxx"))
                }
                Ok(std::net::IpAddr::V6(address)) => {
                    let [a, b, c, ..] = address.segments();
                    Some(format!("{a:x}:{b:x}:{c:x}::xxx"))
                }
                Err(_) => None,
            };
            prop_assert_eq!(truncated(&text), expected);
        }

        #[test]
        fn every_v4_address_is_one(bits: u32) {
            prop_assert!(truncated(&Ipv4Addr::from_bits(bits).to_string()).is_some());
        }
    }
}
