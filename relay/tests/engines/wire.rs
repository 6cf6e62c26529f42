//! A network between client and relay that can be cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

/// Carries bytes both ways until it is told not to.
pub struct Wire {
    pub url: String,
    dead: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    swallowed: Arc<AtomicUsize>,
    cut: broadcast::Sender<()>,
}

impl Wire {
    pub async fn to(relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, _) = broadcast::channel(1);
        let wire = Self {
            url,
            dead: Arc::default(),
            deaf: Arc::default(),
            swallowed: Arc::default(),
            cut,
        };
        let (dead, deaf, swallowed, cut) = (
            wire.dead.clone(),
            wire.deaf.clone(),
            wire.swallowed.clone(),
            wire.cut.clone(),
        );
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if dead.load(Ordering::SeqCst) {
                    continue;
                }
                let (deaf, swallowed, mut cut) = (deaf.clone(), swallowed.clone(), cut.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(client, relay, deaf, swallowed) => {}
                        _ = cut.recv() => {}
                    }
                });
            }
        });
        wire
    }

    /// From now on nothing that the relay says arrives, while it still hears everything.
    pub fn deafen(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// How many bytes of the relay's have been lost.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::SeqCst)
    }

    /// Every connection breaks, and none can be made.
    pub fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        let _ = self.cut.send(());
    }

    /// Connections can be made again.
    pub fn heal(&self) {
        self.deaf.store(false, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }
}

async fn carry(
    client: TcpStream,
    relay: SocketAddr,
    deaf: Arc<AtomicBool>,
    swallowed: Arc<AtomicUsize>,
) {
    let Ok(relay) = TcpStream::connect(relay).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_relay, mut to_relay) = relay.into_split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_relay)
            .await
            .map(drop)
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let n = from_relay.read(&mut buffer).await?;
            if n == 0 {
                return Ok::<_, std::io::Error>(());
            }
            if deaf.load(Ordering::SeqCst) {
                swallowed.fetch_add(n, Ordering::SeqCst);
            } else {
                to_client.write_all(&buffer[..n]).await?;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}
