//! A connection that can be cut, as by a firewall.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
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

/// Passes one connection on to `target`, and tells what goes there.
pub async fn tap(target: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(target).await.unwrap();
        let (mut from_near, mut to_near) = near.into_split();
        let (mut from_far, mut to_far) = far.into_split();
        tokio::spawn(async move { copy(&mut from_far, &mut to_near).await });
        let mut buffer = vec![0; 65_536];
        // A relay's end may reset it.
        while let Ok(length @ 1..) = from_near.read(&mut buffer).await {
            to_far.write_all(&buffer[..length]).await.unwrap();
            // Whoever listens may have heard enough.
            let _ = tell.send(buffer[..length].to_vec());
        }
    });
    (address, told)
}
