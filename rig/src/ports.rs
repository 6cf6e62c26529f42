//! Ports for servers that have to be told one, as they can't find one by themselves.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Systems give away higher ones to whoever asks for any (Linux from 32768 on, others from 49152). So
/// nobody gets one of these by chance before its server has it, or while that is started anew.
const FIRST: u16 = 10_000;
const COUNT: u32 = 22_000;

/// Programs that run at once begin so far from each other.
const APART: u32 = 211;

/// A port of this computer that is free for TCP and UDP, and that this program has not been given before.
///
/// # Errors
/// When none is free.
pub fn free() -> io::Result<SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = process::id().wrapping_mul(APART) % COUNT;
    for _ in 0..COUNT {
        let place = (begin + GIVEN.fetch_add(1, Relaxed) % COUNT) % COUNT;
        // Below 32000, so it fits.
        let port = FIRST + place as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_given_twice_or_while_somebody_has_it() {
        let first = free().unwrap();
        // As if somebody else had the next two.
        let taken = [1, 2].map(|n| SocketAddr::from((Ipv4Addr::LOCALHOST, first.port() + n)));
        let _tcp = TcpListener::bind(taken[0]);
        let _udp = UdpSocket::bind(taken[1]);
        for _ in 0..5 {
            let next = free().unwrap();
            assert!(next != first && !taken.contains(&next), "{next}");
            assert!((FIRST..32_768).contains(&next.port()), "{next}");
        }
    }
}
