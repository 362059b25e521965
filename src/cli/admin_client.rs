//! A running worker's admin server, as `status` and `intake` call it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::connection::{AdminAddress, Connection};
use super::exit::{Exit, Failure};
use super::shell::Shell;
use crate::config::{AdminSettings, SecretSource};
use crate::domain::Secret;
use crate::upstream::credential::{Credential, header_value};

/// Limit of one call: the server's own is 10 s.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// The answers are a few hundred bytes. In bytes.
const BODY_LIMIT: usize = 256 * 1024;

/// Which worker is meant, and what opens it.
#[derive(Debug, clap::Args)]
pub struct AdminArgs {
    /// The worker's admin address; unset: [admin] listen of the configuration, else the `dev` that runs on this machine
    #[arg(long, value_name = "URL", value_parser = admin_url)]
    admin: Option<String>,
    /// File of the worker's admin token; unset: [admin] token of the configuration
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A worker's admin server.
pub struct AdminClient {
    base_url: String,
    token: Option<SecretSource>,
}

/// An answer: its status and its JSON.
pub struct Answer {
    /// HTTP's.
    pub status: StatusCode,
    /// `null` where it is none.
    pub body: Value,
}

impl AdminClient {
    /// The worker that is meant. Where address and token are both given, the configuration is not even read: one that is
    /// half edited must keep nobody from pausing.
    ///
    /// # Errors
    /// The configuration is wrong, or tells no address (78).
    pub fn find(args: &AdminArgs, shell: &Shell) -> anyhow::Result<Self> {
        if let (Some(url), Some(token)) = (&args.admin, &args.token_file) {
            return Ok(Self::at(url, Some(SecretSource::File(token.clone()))));
        }
        let said = shell.config.is_some() || std::env::var_os("PROFILE_LINKER_ADMIN__LISTEN").is_some();
        let dev = (!said && args.admin.is_none()).then(Connection::find).flatten().and_then(|found| found.admin);
        let settings = shell.reading().admin()?;
        let (base_url, made) = match (&args.admin, dev) {
            (Some(url), _) => (url.clone(), None),
            (None, Some(AdminAddress { url, token })) => (url, token.map(|token| SecretSource::Value(token.into()))),
            (None, None) => (url_of(&settings)?, None),
        };
        let token = args.token_file.clone().map(SecretSource::File).or(made).or(settings.token);
        Ok(Self::at(&base_url, token))
    }

    fn at(url: &str, token: Option<SecretSource>) -> Self {
        Self { base_url: url.trim_end_matches('/').to_owned(), token }
    }

    /// Where it is.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Reads.
    ///
    /// # Errors
    /// It is unreachable (69).
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let request = Request::builder().method(Method::GET);
        self.call(path, request, String::new()).await
    }

    /// Changes something, with the token.
    ///
    /// # Errors
    /// It is unreachable (69); there is no token, or it cannot be read (78).
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let token = self.token()?;
        let authorization = header_value("Bearer ", &token, "admin token")
            .map_err(|error| Failure::new(Exit::BadConfig, error.to_string()).at("admin.token"))?;
        let request = Request::builder().method(Method::POST).header(AUTHORIZATION, authorization);
        self.call(path, request.header(CONTENT_TYPE, "application/json"), body.to_string()).await
    }

    fn token(&self) -> Result<Secret, Failure> {
        let fix = "name the worker's token by --token-file, or set admin.token_file for both";
        let Some(source) = &self.token else {
            return Err(Failure::new(Exit::BadConfig, "no admin token is known").at(self.base_url.clone()).fix(fix));
        };
        let token = Credential::new(source.clone()).current();
        token.map_err(|error| Failure::new(Exit::BadConfig, error.to_string()).fix(fix))
    }

    async fn call(&self, path: &str, request: hyper::http::request::Builder, body: String) -> anyhow::Result<Answer> {
        let answer = tokio::time::timeout(CALL_LIMIT, self.exchange(path, request, body)).await;
        let answer = answer.map_err(|_| self.unreachable("no answer in time"))?;
        Ok(answer.map_err(|error| self.unreachable(&format!("{error:#}")))?)
    }

    async fn exchange(
        &self,
        path: &str,
        request: hyper::http::request::Builder,
        body: String,
    ) -> anyhow::Result<Answer> {
        let uri: Uri = format!("{}{path}", self.base_url).parse()?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let port = uri.port_u16().unwrap_or(80);
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its end shows as an error of the request.
        let driver = tokio::spawn(connection);
        let request = request.uri(uri.path()).header(HOST, &authority).body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let collected =
            Limited::new(answer.into_body(), BODY_LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?;
        driver.abort();
        Ok(Answer { status, body: serde_json::from_slice(&collected.to_bytes()).unwrap_or_default() })
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::new(Exit::Unavailable, format!("no worker answers: {why}"))
            .at(self.base_url.clone())
            .fix("start the worker, or name its address by --admin")
    }
}

/// The address as given, if it is one that can be called at all: a mistake in it must not look like a worker that is away.
fn admin_url(text: &str) -> Result<String, String> {
    let is_called = |uri: &Uri| {
        let Some(authority) = uri.authority() else { return false };
        let (host, port) = (authority.host(), authority.port_u16());
        let port_is_right = port.is_some() || authority.as_str() == host;
        uri.scheme_str() == Some("http") && !host.is_empty() && port_is_right && !authority.as_str().contains('@')
    };
    let uri = text.parse::<Uri>().ok().filter(|uri| is_called(uri) && uri.query().is_none());
    uri.map(|_| text.to_owned())
        .ok_or_else(|| "an address such as http://127.0.0.1:8700; https is not spoken".to_owned())
}

/// A worker that listens everywhere is on this machine, too.
fn url_of(settings: &AdminSettings) -> Result<String, Failure> {
    let listen = settings.listen;
    if listen.port() == 0 {
        let fix = "name the worker's address by --admin; its line `worker ready` tells it";
        return Err(Failure::new(Exit::BadConfig, "admin.listen leaves the port open").at("admin.listen").fix(fix));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, listen.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_called_is_told_from_a_worker_that_is_away() {
        for right in
            ["http://127.0.0.1:8700", "http://[::1]:8700/", "http://worker-1", "http://worker-1/behind/a/proxy"]
        {
            assert_eq!(admin_url(right).as_deref(), Ok(right));
        }
        let wrong =
            ["nonsense", "", "127.0.0.1:8700", "localhost:8700", "ftp://x/", "https://127.0.0.1:8700", "http://"];
        let odd = ["http://:8700", "http://x:99999", "http://me@x:1", "http://x:1/?a=b", "http://x y"];
        for text in wrong.iter().chain(&odd) {
            assert!(admin_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_worker_that_listens_everywhere_is_found_on_this_machine() {
        let url = |listen: &str| url_of(&AdminSettings { listen: listen.parse().unwrap(), token: None });
        assert_eq!(url("0.0.0.0:8700").unwrap(), "http://127.0.0.1:8700");
        assert_eq!(url("[::]:1").unwrap(), "http://[::1]:1");
        assert_eq!(url("10.0.0.7:8700").unwrap(), "http://10.0.0.7:8700");
        assert_eq!(url("127.0.0.1:0").unwrap_err().exit, Exit::BadConfig);
    }
}
