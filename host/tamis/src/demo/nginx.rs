//! A day of the web server's log, with everything that real logs hold: bots, IPv6, NUL bytes, torn lines.

use std::io::{Result, Write};

use chrono::{DateTime, FixedOffset, Utc};

use super::company::{DAY_MS, Dice, customer};
use super::{Scale, day_start};

const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:134.0) Gecko/20100101 Firefox/134.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15",
];
const BOTS: [&str; 4] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1)",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "Mozilla/5.0 HeadlessChrome/131.0.0.0",
];
const BROKEN: [&str; 4] = [
    "- - - [garbage",
    "203.0.113.9 - - [31/Feb/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 12 \"-\" \"curl/8.5.0\" 3",
    "shop.example - - [19/Mar/2026:10:00:00 +0100] \"GET / HTTP/1.1\" 200 12 \"-\" \"curl/8.5.0\" 3",
    "203.0.113.9 - - [19/Mar/2026:10:00:00 +0100] \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\" 0",
];

/// Writes the day's log.
pub fn write(seed: u64, scale: Scale, out: &mut impl Write) -> Result<()> {
    let mut dice = Dice::new(seed, "nginx");
    let count = scale.of(50_000);
    for i in 0..count {
        let time = day_start() + dice.time_of_day(i, count).min(DAY_MS - 1);
        line(&mut dice, seed, scale, time, out)?;
    }
    Ok(())
}

fn line(dice: &mut Dice, seed: u64, scale: Scale, time: i64, out: &mut impl Write) -> Result<()> {
    if dice.percent(0.4) {
        return writeln!(out, "{}", dice.pick(&BROKEN));
    }
    let known = dice.percent(55.0).then(|| customer(seed, dice.between(1, scale.of(5_000) as i64) as u64));
    let bot = dice.percent(9.0);
    let ip = match &known {
        _ if dice.percent(6.0) => format!("2001:db8:{:x}::{:x}", dice.between(0, 0xffff), dice.between(1, 0xffff)),
        Some(customer) => customer.ip.clone(),
        None => format!("203.0.113.{}", dice.between(1, 254)),
    };
    let path = match dice.between(0, 9) {
        0..=3 => format!("/p/{}", dice.between(1, 400)),
        4 => format!("/p/{}?utm_source=mail&utm_campaign=printemps", dice.between(1, 400)),
        5 => "/panier".to_owned(),
        6 => "/recherche?q=chaussures+rouges".to_owned(),
        7 => "/api/v2/stock".to_owned(),
        8 => "/paiement".to_owned(),
        _ => "/".to_owned(),
    };
    let status = match dice.between(0, 999) {
        0..=4 => 500,
        5..=9 => 503,
        10..=39 => 404,
        40..=59 => 302,
        60..=99 => 304,
        _ => 200,
    };
    let agent = if bot { dice.pick(&BOTS) } else { dice.pick(&BROWSERS) };
    let nul = if dice.percent(0.1) { "\0" } else { "" };
    let zone = FixedOffset::east_opt(3_600).expect("one hour is an offset");
    let local = DateTime::<Utc>::from_timestamp_millis(time).expect("the day is within range").with_timezone(&zone);
    writeln!(
        out,
        "{ip} - {} [{}] \"{} {path} HTTP/{}\" {status} {} \"{}\" \"{nul}{agent}\" {}",
        known.as_ref().map_or("-", |customer| &customer.id),
        local.format("%d/%b/%Y:%H:%M:%S %z"),
        if dice.percent(88.0) { "GET" } else { "POST" },
        if dice.percent(70.0) { "2.0" } else { "1.1" },
        if status == 304 { 0 } else { dice.between(180, 90_000) },
        if dice.percent(60.0) { "-" } else { "https://www.boutique.example/" },
        dice.between(1, 80) * dice.between(1, 12),
    )
}
