//! A running sandbox and someone who calls it.

use std::path::Path;

use profile_linker::sandbox::{Running, SandboxOptions, StrictCredentials, start};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

/// A sandbox on a free port.
pub struct House {
    pub running: Running,
    pub http: Client,
}

/// An answer, with its body as JSON (null if it is none).
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub text: String,
}

pub async fn open() -> House {
    open_with(None, None).await
}

pub async fn open_strict(strict: &str) -> House {
    open_with(Some(strict.parse().unwrap()), None).await
}

pub async fn open_books(path: &Path) -> House {
    open_with(None, Some(path)).await
}

async fn open_with(strict: Option<StrictCredentials>, books: Option<&Path>) -> House {
    let options =
        SandboxOptions { listen: "127.0.0.1:0".parse().unwrap(), strict, books: books.map(Path::to_path_buf) };
    House { running: start(options).await.unwrap(), http: Client::new() }
}

impl House {
    /// A request with the credentials of all vendors that take any.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.running.base_url()));
        if path.starts_with("aloha") {
            return request.header("Authorization", "Basic dXNlcjpwYXNz").header("X-Api-CompanyCode", "C1");
        }
        request.header("Authorization", "Bearer any").header("Autopal-Instance-Id", "5")
    }

    pub async fn get(&self, path: &str) -> Answer {
        receive(self.request(Method::GET, path)).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        receive(self.request(Method::DELETE, path)).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        receive(self.request(Method::POST, path).json(&body)).await.unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        receive(self.request(Method::PUT, path).json(&body)).await.unwrap()
    }

    pub async fn state(&self) -> Value {
        self.get("sandbox/state").await.body
    }

    /// A token from the hosted form.
    pub async fn token(&self, request: Value) -> String {
        text(&self.post("sandbox/tokens", request).await.body["token"])
    }

    pub async fn customer(&self) -> i64 {
        self.post("loanpro/odata.svc/Customers", json!({ "firstName": "A" })).await.body["d"]["id"].as_i64().unwrap()
    }

    pub async fn aloha_customer(&self) -> String {
        text(&self.post("aloha/v1/Customers", json!({})).await.body)
    }

    pub async fn bearer(&self) -> String {
        text(&self.post("payiq/Api/Auth", auth()).await.body["access_token"])
    }

    pub async fn convert(&self, bearer: &str, temporary: &str) -> Answer {
        receive(self.conversion(bearer, temporary)).await.unwrap()
    }

    pub fn conversion(&self, bearer: &str, temporary: &str) -> RequestBuilder {
        let path = format!("{}payiq/Api/PaymentAccount/ConvertJSToken", self.running.base_url());
        let body = json!({ "ExternalUserID": "77", "TemporaryToken": temporary });
        self.http.post(path).bearer_auth(bearer).header("Idempotency-Key", "key-1").json(&body)
    }

    /// Links a fresh checking account.
    pub async fn link(&self, customer: i64, title: &str) -> Answer {
        let token = self.token(json!({ "permanent": true })).await;
        self.put(&customer_path(customer), links(&[checking(&token, title)])).await
    }

    pub async fn profiles(&self, customer: i64) -> Vec<Value> {
        let path = format!("{}/PaymentAccounts?nopaging=true", customer_path(customer));
        self.get(&path).await.body["d"]["results"].as_array().unwrap().clone()
    }
}

pub async fn receive(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
    Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), text })
}

pub fn auth() -> Value {
    json!({
        "APIKey": Uuid::nil(), "CreationDate": "2030-01-01T00:00:00Z", "Signature": "s",
        "grant_type": "client_credentials",
    })
}

pub fn customer_path(id: i64) -> String {
    format!("loanpro/odata.svc/Customers({id})")
}

pub fn checking(token: &str, title: &str) -> Value {
    json!({
        "active": 1, "isPrimary": 0, "isSecondary": 1, "title": title, "type": "paymentAccount.type.checking",
        "CheckingAccount": { "accountType": "bankacct.type.checking", "token": token }, "CreditCard": {},
    })
}

pub fn links(entries: &[Value]) -> Value {
    json!({ "PaymentAccounts": { "results": entries } })
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
