//! A worker's admin server, as its users call it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::patience::eventually;
use super::stand::PATIENCE;
use super::worker::Worker;

/// The token of the tests' workers.
pub const TOKEN: &str = "an-admin-token-of-a-test";

/// Longer than the server itself lets a request take, and than slow clients keep their places.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The environment that sets it.
pub fn with_token() -> [(String, String); 1] {
    [("PROFILE_LINKER_ADMIN__TOKEN".to_owned(), TOKEN.to_owned())]
}

/// An admin server.
pub struct Admin {
    client: reqwest::Client,
    /// `http://host:port`.
    pub url: String,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// Its body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Admin {
    /// That of a worker that is ready.
    pub fn of(worker: &Worker) -> Self {
        Self::at(&format!("http://{}", worker.admin_address()))
    }

    /// That at this address.
    pub fn at(url: &str) -> Self {
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build().expect("a client");
        Self { client, url: url.to_owned() }
    }

    /// A request, to be completed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// Posts JSON with the token.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).bearer_auth(TOKEN).json(body)).await
    }

    /// Waits until `/readyz` says so of this part; answers its body.
    pub async fn until(&self, part: &str, status: &str) -> Value {
        eventually(&format!("{part} is {status}"), PATIENCE, async || {
            let body = self.get("/readyz").await.json();
            (body["checks"][part]["status"] == status).then_some(body)
        })
        .await
    }
}

/// Sends it.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the admin server answers");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// The value of a sample by its name and some of its labels.
pub fn sample(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let is_it =
        |line: &&str| line.split([' ', '{']).next() == Some(name) && labels.iter().all(|label| line.contains(label));
    metrics.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok())
}
