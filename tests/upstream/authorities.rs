//! The file of the authorities that we trust is followed: a wrong one is mended without a restart, a broken one breaks nothing.

use std::path::Path;

use profile_linker::upstream::OpenGate;
use profile_linker::upstream::http::{CertificateFault, HttpClient, Transport, TransportError};

use super::server::{Server, put, read_request, write};
use super::tls::{certified, client, untrusted, written};

/// A server that takes one call a connection, so that each call is a handshake; and its authority.
async fn one_call_a_connection() -> (Server, String) {
    let (acceptor, authority) = certified("localhost");
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            if read_request(&mut stream).await.is_some() {
                write(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (server, authority)
}

fn stranger() -> String {
    certified("localhost").1
}

fn replace(file: &Path, pem: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, pem).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn call(client: &HttpClient) -> Result<(), TransportError> {
    client.exchange(put(), &OpenGate).await.map(|answer| assert_eq!(answer.body.as_slice(), b"ok"))
}

fn unknown() -> TransportError {
    untrusted(CertificateFault::Authority)
}

#[tokio::test]
async fn a_wrong_ca_file_is_mended_without_a_restart() {
    let (server, authority) = one_call_a_connection().await;
    let file = written(&stranger());
    let client = client(&server, Some(file.path()));
    for _ in 0..2 {
        assert_eq!(call(&client).await, Err(unknown()));
    }
    replace(file.path(), &authority);
    assert_eq!(call(&client).await, Ok(()), "the very next call");
}

/// Also not by the memory of a session that was opened while it was believed.
#[tokio::test]
async fn an_authority_that_is_taken_out_is_not_believed_by_new_connections() {
    let (server, authority) = one_call_a_connection().await;
    let file = written(&authority);
    let client = client(&server, Some(file.path()));
    for _ in 0..3 {
        assert_eq!(call(&client).await, Ok(()));
    }
    replace(file.path(), &stranger());
    assert_eq!(call(&client).await, Err(unknown()));
}

#[tokio::test]
async fn a_ca_file_that_breaks_leaves_what_it_named_before() {
    let (server, authority) = one_call_a_connection().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let broken: [(&str, &dyn Fn()); 5] = [
        ("empty", &|| std::fs::write(&path, "").unwrap()),
        ("garbage", &|| replace(&path, "nothing here")),
        ("half of it", &|| std::fs::write(&path, &authority[..authority.len() / 2]).unwrap()),
        ("gone", &|| std::fs::remove_file(&path).unwrap()),
        ("a folder", &|| std::fs::create_dir(&path).unwrap()),
    ];
    std::fs::write(&path, &authority).unwrap();
    let client = client(&server, Some(&path));
    for (how, breaks) in broken {
        breaks();
        assert_eq!(call(&client).await, Ok(()), "{how}");
    }
    std::fs::remove_dir(&path).unwrap();
    replace(&path, &stranger());
    assert_eq!(call(&client).await, Err(unknown()), "and it is followed on");
    replace(&path, &authority);
    assert_eq!(call(&client).await, Ok(()));
}

/// As the kubelet changes a mounted Secret: the path stays, and what it leads to is another.
#[tokio::test]
async fn a_ca_file_behind_a_link_is_followed() {
    let (server, authority) = one_call_a_connection().await;
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for (name, pem) in [("before", stranger()), ("after", authority)] {
        std::fs::create_dir(place(name)).unwrap();
        std::fs::write(place(name).join("ca.pem"), pem).unwrap();
    }
    std::os::unix::fs::symlink("before", place("data")).unwrap();
    std::os::unix::fs::symlink("data/ca.pem", place("ca.pem")).unwrap();
    let client = client(&server, Some(&place("ca.pem")));
    assert_eq!(call(&client).await, Err(unknown()));
    std::os::unix::fs::symlink("after", place("next")).unwrap();
    std::fs::rename(place("next"), place("data")).unwrap();
    assert_eq!(call(&client).await, Ok(()));
}
