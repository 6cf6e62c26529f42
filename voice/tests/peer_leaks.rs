//! That connections leave nothing behind, and how long each takes. Alone in its process: it counts what
//! the process holds.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use neartalk_voice::peer::{Encoding, Event, Opened, Payload, Peer, PeerConfig};
use tokio::{runtime::Handle, time::timeout};

const GUARD: Duration = Duration::from_secs(20);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn open(polite: bool) -> Opened {
    Peer::open(PeerConfig {
        polite,
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        ..Default::default()
    })
    .await
    .unwrap()
}

/// Both say something every 10 ms from the offer on; gives the time until both have heard it.
async fn first_sound(a: &mut Opened, b: &mut Opened) -> Duration {
    let began = Instant::now();
    a.peer.offer().unwrap();
    let mut heard = [false; 2];
    let mut timestamp = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while heard != [true; 2] {
        tokio::select! {
            event = a.events.recv() => pass(event, &b.peer),
            event = b.events.recv() => pass(event, &a.peer),
            _ = pace.tick() => {
                for sender in [&mut a.sender, &mut b.sender] {
                    sender.send(Payload {
                        encoding: Encoding::Opus,
                        timestamp,
                        marker: false,
                        bytes: Bytes::from_static(b"sound"),
                    });
                }
                timestamp += 480;
            }
            packet = a.packets.recv() => heard[0] |= packet.is_some(),
            packet = b.packets.recv() => heard[1] |= packet.is_some(),
        }
    }
    began.elapsed()
}

fn pass(event: Option<Event>, to: &Peer) {
    if let Some(Event::Signal(signal)) = event {
        to.signal(signal).unwrap();
    }
}

#[tokio::test]
async fn connections_leave_nothing_behind() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let mut times = Vec::new();
    let mut before = None;
    for n in 0..21 {
        let (mut a, mut b) = (open(false).await, open(true).await);
        let time = timeout(GUARD, first_sound(&mut a, &mut b))
            .await
            .expect("sound within the guard");
        times.push(time);
        // Closed by one, dropped by the other.
        timeout(GUARD, async {
            a.peer.close().await;
            drop(b.peer);
            // Its packets end when its actor is gone.
            while b.packets.recv().await.is_some() {}
        })
        .await
        .expect("closed within the guard");
        timeout(GUARD, async {
            while tasks() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{} tasks are left after {n} connections", tasks()));
        // The first opens what the process keeps.
        let now = descriptors();
        let first = *before.get_or_insert(now);
        assert_eq!(now, first, "after {n} connections");
    }
    times.sort();
    println!(
        "from offer to sound both ways: p50 {:?}, max {:?} of {}",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}
