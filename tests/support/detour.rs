//! A way to the broker, or the database, that can be cut, and led elsewhere.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes taken at once.
const CHUNK: usize = 64 << 10;

/// Passes on what comes to one port of loopback to another one. Cut, it lets nothing through and says so to nobody; what
/// was under way arrives late, when it is restored, as what a kernel sends again after a true cut.
pub struct Detour {
    to: Arc<AtomicU16>,
    open: watch::Sender<bool>,
    passing: JoinHandle<()>,
}

impl Detour {
    /// Begins to listen.
    pub async fn open(from: u16, to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, from)).await.expect("the detour's port is free");
        let (open, is_open) = watch::channel(true);
        let to = Arc::new(AtomicU16::new(to));
        let target = Arc::clone(&to);
        let passing = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, target.load(Ordering::Relaxed), is_open.clone()));
            }
        });
        Self { to, open, passing }
    }

    /// Leads what connects from now on to another port, as an address does that moves to another machine.
    pub fn lead_to(&self, port: u16) {
        self.to.store(port, Ordering::Relaxed);
    }

    /// From now on nothing gets through.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything gets through again.
    pub fn restore(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn connect(client: TcpStream, to: u16, mut open: watch::Receiver<bool>) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    // A broker that is away: the client sees its connection end.
    let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
    tokio::join!(pass(from_client, to_broker, open.clone()), pass(from_broker, to_client, open));
}

/// Passes bytes on until one side ends; the end of a connection, too, does not get through a cut.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut open: watch::Receiver<bool>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = from.read(&mut chunk).await.unwrap_or(0);
        if open.wait_for(|open| *open).await.is_err() || count == 0 {
            return;
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}
