//! A raw TCP server whose every byte the test decides.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use profile_linker::upstream::http::{Call, HttpClient, Origin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// No state of a test takes longer to come about; a limit, not a wait.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A server that ends with the test.
pub struct Server {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Serves each connection with `serve(stream, number)`, numbered from 1.
    pub async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(serve(stream, number));
            }
        });
        Self { port, connections, _task: AbortOnDropHandle::new(task) }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn client(&self) -> HttpClient {
        self.client_within(LIMIT)
    }

    pub fn client_within(&self, timeout: Duration) -> HttpClient {
        client(&format!("http://127.0.0.1:{}/base/", self.port), timeout)
    }
}

pub fn client(base_url: &str, timeout: Duration) -> HttpClient {
    HttpClient::new("test", Origin::parse(base_url, false).unwrap(), None, timeout, None).unwrap()
}

pub fn put() -> Call {
    Call::new("link", hyper::Method::PUT, "thing?a=b").json(zeroize::Zeroizing::new(b"{\"a\":1}".to_vec()))
}

/// Reads one request, head and body; `None` if the connection ends before.
pub async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut body = vec![0; content_length(&head)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

fn content_length(head: &str) -> usize {
    let head = head.to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0)
}

pub async fn write<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) {
    // The client may have gone; what matters is what it reports.
    drop(stream.write_all(text.as_bytes()).await);
    drop(stream.flush().await);
}

pub async fn respond<S: AsyncWrite + Unpin>(stream: &mut S, body: &str) {
    write(stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
}

/// Answers every request on the connection with its number.
pub async fn answer_all(mut stream: TcpStream, number: usize) {
    while read_request(&mut stream).await.is_some() {
        respond(&mut stream, &format!("from {number}")).await;
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("the state did not come about")
}
