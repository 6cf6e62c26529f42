//! Notices when this device's addresses change, as between Wi-Fi and cellular.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use futures_util::StreamExt;
use if_watch::{IfEvent, tokio::IfWatcher};
use tokio::time::{Instant, sleep_until};

/// One change often comes as several: it is over when nothing has happened for so long.
const SETTLED: Duration = Duration::from_millis(150);

/// The addresses that reach beyond this device and its cable, and whether losing one may have cost
/// a connection.
#[derive(Debug, Default)]
struct Addresses {
    all: BTreeSet<IpAddr>,
    /// One is gone, or the first has come, since somebody was told.
    changed: bool,
}

impl Addresses {
    fn up(&mut self, address: IpAddr) {
        // A second way beside one that works is no reason to leave that.
        if reaches_out(address) && self.all.insert(address) && self.all.len() == 1 {
            self.changed = true;
        }
    }

    fn down(&mut self, address: IpAddr) {
        if self.all.remove(&address) {
            self.changed = true;
        }
    }

    /// Whether there is a change to act upon: without any address there is nothing to be done yet.
    fn take_change(&mut self) -> bool {
        !self.all.is_empty() && std::mem::take(&mut self.changed)
    }
}

fn reaches_out(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_multicast()
}

/// Waits for changes.
#[derive(Debug)]
pub(crate) struct NetworkWatch {
    /// None where the system can't tell.
    watcher: Option<IfWatcher>,
    addresses: Addresses,
    /// What there is at first has been told, and is no change.
    begun: bool,
    settled_at: Option<Instant>,
}

impl NetworkWatch {
    /// Must be called within a Tokio runtime.
    pub(crate) fn new() -> Self {
        let watcher = IfWatcher::new()
            .inspect_err(|error| tracing::info!(%error, "changes of the network go unnoticed"))
            .ok();
        Self {
            watcher,
            addresses: Addresses::default(),
            begun: false,
            settled_at: Some(Instant::now() + SETTLED),
        }
    }

    /// The addresses have changed, so that connections may be lost. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            let Some(watcher) = &mut self.watcher else {
                return std::future::pending().await;
            };
            let settled = sleep_until(self.settled_at.unwrap_or_else(Instant::now));
            tokio::select! {
                event = watcher.select_next_some() => {
                    match event {
                        Ok(IfEvent::Up(net)) => self.addresses.up(net.addr()),
                        Ok(IfEvent::Down(net)) => self.addresses.down(net.addr()),
                        Err(error) => {
                            tracing::info!(%error, "changes of the network go unnoticed");
                            self.watcher = None;
                            continue;
                        }
                    }
                    self.settled_at = Some(Instant::now() + SETTLED);
                }
                () = settled, if self.settled_at.is_some() => {
                    self.settled_at = None;
                    let changed = self.addresses.take_change();
                    if std::mem::replace(&mut self.begun, true) && changed {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn a_lost_address_counts_once_there_is_another() {
        let mut addresses = Addresses::default();
        addresses.up(ip("192.0.2.1"));
        assert!(addresses.take_change());
        addresses.up(ip("192.0.2.1"));
        addresses.up(ip("198.51.100.1"));
        assert!(!addresses.take_change(), "one more is no loss");
        addresses.down(ip("192.0.2.1"));
        assert!(addresses.take_change() && !addresses.take_change());
        addresses.down(ip("198.51.100.1"));
        assert!(!addresses.take_change(), "nothing to be done without any");
        addresses.up(ip("2001:db8::1"));
        assert!(addresses.take_change());
    }

    #[test]
    fn addresses_that_lead_nowhere_do_not_count() {
        let mut addresses = Addresses::default();
        for s in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1"] {
            addresses.up(ip(s));
            addresses.down(ip(s));
        }
        assert!(!addresses.take_change() && addresses.all.is_empty());
    }
}
