//! A connection that can be cut, as by a firewall.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How a [`Proxy`] treats those who connect through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Passes everything on.
    Open,
    /// Ends connections, also new ones.
    Refusing,
    /// Lets connections be, but passes nothing on.
    Silent,
}

/// A TCP proxy on a free port.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// One in front of `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Open);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve(near, target, watched.clone()));
            }
        });
        Self { address, mode }
    }

    /// Ends every connection and refuses new ones.
    pub fn refuse(&self) {
        self.mode.send_replace(Mode::Refusing);
    }

    /// Passes nothing on any more, and says nothing.
    pub fn silence(&self) {
        self.mode.send_replace(Mode::Silent);
    }

    /// Passes on what comes again. Connections from before stay dead, as a firewall forgets them.
    pub fn restore(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

async fn serve(mut near: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let now = *mode.borrow_and_update();
    if now == Mode::Refusing {
        return;
    }
    if now == Mode::Open {
        let Ok(mut far) = TcpStream::connect(target).await else {
            return;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = mode.wait_for(|mode| *mode != Mode::Open) => {}
        }
        if *mode.borrow() == Mode::Refusing {
            return;
        }
        // Both ends stay open, and neither hears of the other.
        let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
        return;
    }
    let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
}
