//! From the configuration to working clients.

use std::time::Duration;

use profile_linker::config::{
    AlohaSettings, ConverterSettings, LoanProSettings, LookSettings, PayIqSettings, SecretSource, TargetSettings,
    UpstreamSettings,
};
use profile_linker::domain::{Customer, System};
use profile_linker::upstream::http::{Origin, OriginError};
use profile_linker::upstream::{UpstreamError, build};

use super::exchange::{check_word, secret};
use super::server::{Server, read_request, respond};

fn upstream(base_url: &str) -> UpstreamSettings {
    UpstreamSettings {
        base_url: base_url.to_owned(),
        timeout: Duration::from_secs(10),
        rate_limit: Some(100.0),
        allow_plain_http: false,
        ca_file: None,
    }
}

fn value() -> SecretSource {
    SecretSource::Value(secret("s3cret"))
}

const LOOK: LookSettings = LookSettings { settle: Duration::from_secs(2), looks: 3 };

fn loanpro(base_url: &str) -> LoanProSettings {
    LoanProSettings {
        upstream: upstream(base_url),
        token: value(),
        instance_id: "1".to_owned(),
        probe_customer_id: Some(1),
        look: LOOK,
    }
}

pub fn aloha(base_url: &str) -> AlohaSettings {
    let company_code = "ACME1".to_owned();
    AlohaSettings { upstream: upstream(base_url), user: "u".to_owned(), password: value(), company_code, look: LOOK }
}

fn converter(base_url: &str) -> ConverterSettings {
    let payiq = PayIqSettings { upstream: upstream(base_url), api_key: value(), signing_key: value() };
    ConverterSettings { payiq: Some(payiq) }
}

#[tokio::test]
async fn the_clients_call_their_base_urls() {
    let server = Server::start(|mut stream, _| async move {
        while let Some(request) = read_request(&mut stream).await {
            let path = request.split(' ').nth(1).unwrap();
            let id = path.trim_start_matches("/tenant/odata.svc/Customers(").trim_end_matches(')').to_owned();
            respond(&mut stream, &format!(r#"{{"d":{{"id":"{id}"}}}}"#)).await;
        }
    })
    .await;
    let base_url = format!("http://127.0.0.1:{}/tenant/", server.port);
    let target = TargetSettings { loanpro: Some(loanpro(&base_url)), aloha: Some(aloha(&base_url)) };
    let upstreams = build(&converter(&base_url), &target).ok().unwrap();
    let customer = Customer { system: System::Loanpro, id: "42".to_owned() };
    let check = upstreams.loanpro.unwrap().check_customer(&customer).await;
    assert_eq!(check_word(&check), "exists");
    assert!(upstreams.aloha.is_some());
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let https = "https://vendor.example/";
    let none = TargetSettings { loanpro: None, aloha: None };
    let some = || TargetSettings { loanpro: Some(loanpro(https)), aloha: None };
    assert!(matches!(build(&ConverterSettings { payiq: None }, &some()), Err(UpstreamError::NoConverter)));
    assert!(matches!(build(&converter(https), &none), Err(UpstreamError::NoTarget)));
    assert!(matches!(build(&converter("http://vendor.example/"), &some()), Err(UpstreamError::Origin { .. })));
    let mut probe = some();
    probe.loanpro.as_mut().unwrap().probe_customer_id = Some(0);
    assert!(matches!(build(&converter(https), &probe), Err(UpstreamError::ProbeCustomer)));
    let mut rate = some();
    rate.loanpro.as_mut().unwrap().upstream.rate_limit = Some(0.0);
    let error = build(&converter(https), &rate).err().unwrap();
    assert_eq!(error.to_string(), "[target.loanpro] cannot be used");
}

#[test]
fn base_urls_are_checked() {
    for url in [
        "https://a.example/",
        "https://a.example:8443/x/y/",
        "http://127.0.0.1:80/",
        "http://localhost/",
        "http://[::1]:8080/",
    ] {
        assert!(Origin::parse(url, false).is_ok(), "{url}");
    }
    let rows = [
        ("a.example/", OriginError::NotAUrl),
        ("ftp://a.example/", OriginError::NotAUrl),
        ("https://", OriginError::NotAUrl),
        ("https://a.example:99999/", OriginError::NotAUrl),
        ("https://u:p@a.example/", OriginError::Credentials),
        ("https://a.example/x", OriginError::NotABase),
        ("https://a.example/?x=/", OriginError::NotABase),
        ("https://a.example/#/", OriginError::NotABase),
        ("http://a.example/", OriginError::PlainHttp),
        ("http://10.0.0.1/", OriginError::PlainHttp),
        ("http://localhost.evil.example/", OriginError::PlainHttp),
        ("http://127.0.0.1.evil.example/", OriginError::PlainHttp),
    ];
    for (url, expected) in rows {
        assert_eq!(Origin::parse(url, false), Err(expected), "{url}");
    }
    assert!(Origin::parse("http://a.example/", true).is_ok());
    let origin = Origin::parse("https://[::1]:8443/x/", false).unwrap();
    assert_eq!((origin.host.as_str(), origin.port, origin.tls), ("::1", 8443, true));
}
