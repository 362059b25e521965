//! Dials of an origin whose name a test resolves.

use futures_util::future::{join, join_all};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::super::resolve::tests::asked_here;
use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn dialer(resolver: Resolver) -> Dialer {
    let origin = Origin::parse("http://vendor.test/", true).unwrap();
    Dialer { origin, resolver, tls: None }
}

#[tokio::test(start_paused = true)]
async fn silent_name_servers_hold_one_look_up_whatever_the_number_of_dials_and_each_dial_ends_at_its_limit() {
    let (resolver, mut questions) = asked_here();
    let dialer = &dialer(resolver);
    join_all((0..1_000).map(|number| async move {
        sleep(Duration::from_millis(number * 100)).await;
        let started = Instant::now();
        let error = dialer.dial(LIMIT).await.err();
        assert_eq!(error, Some(TransportError::unsent(TransportErrorKind::Timeout)));
        assert_eq!(started.elapsed().as_secs(), LIMIT.as_secs());
    }))
    .await;
    assert!(!questions.try_recv().unwrap().is_closed(), "it was called off");
    assert!(questions.is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_cannot_be_connected_to() {
    let (resolver, mut questions) = asked_here();
    let (dialer, servers) = (dialer(resolver), async { drop(questions.recv().await) });
    let (dialled, ()) = join(dialer.dial(LIMIT), servers).await;
    assert_eq!(dialled.err(), Some(TransportError::unsent(TransportErrorKind::Connect)));
}

#[tokio::test]
async fn of_several_addresses_the_first_that_accepts_is_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Nothing listens on a port of the system's own.
    let addresses = vec![([127, 0, 0, 1], 1).into(), listener.local_addr().unwrap()];
    let (resolver, mut questions) = asked_here();
    let servers = async { questions.recv().await.unwrap().send(addresses).unwrap() };
    let (dialled, ()) = join(dialer(resolver).dial(LIMIT), servers).await;
    assert!(dialled.is_ok());
    listener.accept().await.unwrap();
}
