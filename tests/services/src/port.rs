//! Ports of loopback for services that must know them before they listen.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below those that systems give to outgoing connections: a service that is down for a while finds its port free again.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Ports on which nothing listens now. They are chosen at random, so two who ask at the same time hardly get the same.
pub fn free(count: usize) -> Result<Vec<u16>> {
    let first = RandomState::new().hash_one(count) % RANGE.len() as u64;
    let candidates = RANGE.cycle().skip(first as usize).take(RANGE.len());
    let listening =
        candidates.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|l| (port, l)));
    let (ports, _held): (Vec<_>, Vec<_>) = listening.take(count).unzip();
    if ports.len() < count {
        bail!("there are no {count} free ports between {} and {}", RANGE.start, RANGE.end);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let mut ports = free(9).unwrap();
        let held: Vec<_> = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
        assert_eq!(held.len(), 9);
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 9);
    }
}
