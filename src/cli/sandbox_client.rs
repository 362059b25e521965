//! What `publish --sample` asks of the sandbox: a customer to link to, and a temporary token as the hosted form makes it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::exit::{Exit, Failure};

/// Limit of one call. The sandbox is on this machine.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// The sandbox's answers are a few hundred bytes, a token at most 2 KB. In bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// The sandbox at a base URL.
pub struct SandboxClient {
    base_url: String,
}

impl SandboxClient {
    /// Of this base URL, with or without a `/` at its end.
    #[must_use]
    pub fn new(base_url: &str) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned() }
    }

    /// A temporary token.
    ///
    /// # Errors
    /// The sandbox is unreachable or refuses: 69.
    pub async fn token(&self) -> Result<String, Failure> {
        let answer = self.post("/sandbox/tokens", &json!({})).await?;
        let token = answer.pointer("/token").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| self.failure("it gave no token"))
    }

    /// A new LoanPro customer's id.
    ///
    /// # Errors
    /// The sandbox is unreachable or refuses: 69.
    pub async fn customer(&self) -> Result<String, Failure> {
        let body = json!({ "firstName": "Sample", "lastName": "Customer" });
        let answer = self.post("/loanpro/odata.svc/Customers", &body).await?;
        let id = answer.pointer("/d/id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        id.ok_or_else(|| self.failure("it gave no customer"))
    }

    /// Posts JSON and answers JSON.
    ///
    /// # Errors
    /// The sandbox is unreachable or refuses: 69.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = tokio::time::timeout(CALL_LIMIT, self.exchange(path, body)).await;
        let answer = answer.map_err(|_| self.failure("no answer in time"))?;
        answer.map_err(|error| self.failure(&format!("{error:#}")))
    }

    async fn exchange(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let uri: Uri = format!("{}{path}", self.base_url).parse()?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let stream = TcpStream::connect(&authority).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its end shows as an error of the request.
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.path())
            .header("host", &authority)
            .header("content-type", "application/json")
            .header("authorization", "Bearer sample")
            .header("autopal-instance-id", "sample")
            .body(Full::new(Bytes::from(body.to_string())))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let collected =
            Limited::new(answer.into_body(), BODY_LIMIT).collect().await.map_err(anyhow::Error::from_boxed)?;
        driver.abort();
        anyhow::ensure!(status.is_success(), "{path} answered {status}");
        Ok(serde_json::from_slice(&collected.to_bytes())?)
    }

    fn failure(&self, why: &str) -> Failure {
        Failure::new(Exit::Unavailable, format!("the sandbox gave no samples: {why}"))
            .at(self.base_url.clone())
            .fix("restart `profile-linker dev`")
    }
}
