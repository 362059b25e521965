//! `check`'s probes over the wire: what they make of answers that an address gives, be it right or wrong.

use profile_linker::upstream::probe::{Clock, Probe, Verdict, aloha};

use super::server::{Server, read_request, write};
use super::setup;
use super::tls::tls_server;

/// What the probe of Aloha says to an address that answers so.
async fn probed(status: &'static str, headers: &'static str, body: &'static str) -> Probe {
    let server = Server::start(move |mut stream, _| async move {
        while read_request(&mut stream).await.is_some() {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
            write(&mut stream, &(head + body)).await;
        }
    })
    .await;
    aloha(&setup::aloha(&format!("http://127.0.0.1:{}/", server.port))).await
}

#[tokio::test]
async fn an_empty_404_may_be_alohas_own_or_a_wrong_address() {
    for body in ["", "\n"] {
        assert_eq!(probed("404 Not Found", "", body).await.verdict, Verdict::Wordless);
    }
    for known in [r#"{"ErrorCode":"NotFound"}"#, "\"NotFound\""] {
        assert!(matches!(probed("404 Not Found", "", known).await.verdict, Verdict::Fine(_)), "{known}");
    }
    assert!(matches!(probed("200 OK", "", "[]").await.verdict, Verdict::Fine(_)));
    for other in ["404 page not found", r#"{"detail":"Not Found"}"#] {
        assert!(matches!(probed("404 Not Found", "", other).await.verdict, Verdict::Misconfigured(_)), "{other}");
    }
}

#[tokio::test]
async fn a_clock_is_told_untold_or_unheard() {
    assert_eq!(probed("200 OK", "", "[]").await.clock, Clock::Untold);
    let told = probed("200 OK", "date: Thu, 15 Jan 2026 12:00:00 GMT\r\n", "[]").await.clock;
    assert!(matches!(told, Clock::Told(reading) if reading.theirs.as_second() == super::exchange::RECEIVED_AT));
    assert_eq!(aloha(&setup::aloha("http://127.0.0.1:1/")).await.clock, Clock::Unheard);
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told_from_an_upstream_that_is_away() {
    let (server, _) = tls_server("localhost").await;
    let untrusted = aloha(&setup::aloha(&format!("https://localhost:{}/", server.port))).await;
    assert!(matches!(untrusted.verdict, Verdict::Untrusted(_)), "{:?}", untrusted.verdict);
    assert_eq!(untrusted.clock, Clock::Unheard);
    let away = aloha(&setup::aloha("https://localhost:1/")).await;
    assert!(matches!(away.verdict, Verdict::Away(_)), "{:?}", away.verdict);
}
