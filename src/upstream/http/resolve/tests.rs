//! Name servers whose answers, and their times, are a test's.

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;

/// A look-up that was begun: answered by sending, failed by dropping, silent while it is held.
pub(in super::super) type Question = oneshot::Sender<Vec<SocketAddr>>;

/// A resolver, and the look-ups that it begins.
pub(in super::super) fn asked_here() -> (Resolver, UnboundedReceiver<Question>) {
    let (ask, questions) = unbounded_channel();
    let look_up = move || -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let (question, answer) = oneshot::channel();
        drop(ask.send(question));
        Box::pin(async move { answer.await.map_err(io::Error::other) })
    };
    (Resolver::asking(Box::new(look_up)), questions)
}

fn addresses(last: u8) -> Vec<SocketAddr> {
    vec![([192, 0, 2, last], 443).into(), ([198, 51, 100, last], 443).into()]
}

/// What the resolver says at once; `None`: it waits.
fn at_once(resolver: &Resolver) -> Option<Vec<SocketAddr>> {
    resolver.addresses().now_or_never().map(|found| found.unwrap().to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_dials_looks_a_name_up_once() {
    let (resolver, mut questions) = asked_here();
    let dials = join_all((0..500).map(|_| resolver.addresses()));
    let servers = async { questions.recv().await.unwrap().send(addresses(1)).unwrap() };
    let (found, ()) = join(dials, servers).await;
    assert!(found.iter().all(|found| found.as_deref() == Some(&*addresses(1))));
    assert_eq!(at_once(&resolver), Some(addresses(1)), "nor does who comes just after it");
    assert!(questions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_failed_is_told_to_all_who_wait_and_the_next_dial_asks_anew() {
    for failed in [None, Some(Vec::new())] {
        let (resolver, mut questions) = asked_here();
        let dials = join_all((0..500).map(|_| resolver.addresses()));
        let servers = async {
            let question = questions.recv().await.unwrap();
            if let Some(none) = failed {
                question.send(none).unwrap();
            }
        };
        let (found, ()) = join(dials, servers).await;
        assert_eq!(found, vec![None; 500]);
        assert!(questions.is_empty());
        assert_eq!(at_once(&resolver), None);
        questions.recv().await.unwrap().send(addresses(2)).unwrap();
        yield_now().await;
        assert_eq!(at_once(&resolver), Some(addresses(2)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_its_time_and_then_asked_for_anew() {
    let (resolver, mut questions) = asked_here();
    assert_eq!(at_once(&resolver), None);
    // It counts from when it came, not from when it was asked for.
    advance(KEPT_FOR * 2).await;
    questions.recv().await.unwrap().send(addresses(1)).unwrap();
    yield_now().await;
    assert_eq!(at_once(&resolver), Some(addresses(1)));
    advance(KEPT_FOR - Duration::from_millis(1)).await;
    assert_eq!(at_once(&resolver), Some(addresses(1)));
    assert!(questions.is_empty());
    advance(Duration::from_millis(1)).await;
    assert_eq!(at_once(&resolver), None);
    questions.recv().await.unwrap().send(addresses(2)).unwrap();
    yield_now().await;
    assert_eq!(at_once(&resolver), Some(addresses(2)), "the vendor has moved");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_goes_on_without_those_who_waited_and_its_answer_grows_old_without_them() {
    let (resolver, mut questions) = asked_here();
    assert_eq!(at_once(&resolver), None);
    let question = questions.recv().await.unwrap();
    // Before and after: whoever would call it off has had its turn.
    yield_now().await;
    advance(Duration::from_secs(30)).await;
    yield_now().await;
    assert!(!question.is_closed(), "nobody waits for it");
    question.send(addresses(1)).unwrap();
    yield_now().await;
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(at_once(&resolver), None, "what was true an hour ago");
    assert_eq!(questions.len(), 1);
}

#[test]
fn a_look_up_that_ended_with_its_runtime_is_not_waited_for() {
    let (resolver, mut questions) = asked_here();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime().block_on(async { assert_eq!(at_once(&resolver), None) });
    drop(questions.try_recv().unwrap());
    runtime().block_on(async {
        assert_eq!(at_once(&resolver), None);
        questions.recv().await.unwrap().send(addresses(1)).unwrap();
        yield_now().await;
        assert_eq!(at_once(&resolver), Some(addresses(1)));
    });
}

#[tokio::test]
async fn an_address_is_not_looked_up_and_a_name_is() {
    for host in ["192.0.2.7", "2001:db8::7"] {
        let at = SocketAddr::new(host.parse().unwrap(), 8443);
        assert_eq!(at_once(&Resolver::new(host, 8443)), Some(vec![at]));
    }
    let here = Resolver::new("localhost", 8443);
    assert_eq!(here.addresses().now_or_never(), None);
    assert!(here.addresses().await.unwrap().iter().all(|found| found.ip().is_loopback() && found.port() == 8443));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_never_comes_back_is_given_up_and_another_begins() {
    let (resolver, mut questions) = asked_here();
    assert_eq!(at_once(&resolver), None);
    let _silent = questions.recv().await.unwrap();
    advance(GIVEN_UP_AFTER - Duration::from_secs(1)).await;
    assert_eq!(at_once(&resolver), None);
    assert!(questions.is_empty(), "it may come back yet");
    advance(Duration::from_secs(1)).await;
    assert_eq!(at_once(&resolver), None);
    questions.recv().await.unwrap().send(addresses(2)).unwrap();
    yield_now().await;
    assert_eq!(at_once(&resolver), Some(addresses(2)));
}
