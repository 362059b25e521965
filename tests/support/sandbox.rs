//! The sandbox as a process of its own, and what a user's script asks of it.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::child::Guarded;
use super::patience::eventually;

/// The sandbox accepts any credentials; these are sent by the worker and by the story.
pub const LOANPRO_TOKEN: &str = "sandbox-loanpro-token";
/// The tenant.
pub const LOANPRO_INSTANCE: &str = "5200001";
/// PayIQ's API key, a GUID.
pub const PAYIQ_API_KEY: &str = "7b0f6a9e-51c4-4c8e-9d1a-2f6f3c1d9b42";

/// A running sandbox; ended when dropped.
pub struct Sandbox {
    process: Guarded,
    base: String,
    client: Client,
    _folder: TempDir,
}

impl Sandbox {
    /// Runs `profile-linker sandbox` on a free port and waits for its address.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, taking these credentials only: `name=value[,name=value]`.
    pub async fn start_strict(credentials: &str) -> Self {
        Self::start_with(&["--strict", credentials]).await
    }

    async fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = [env!("CARGO_BIN_EXE_profile-linker"), "sandbox", "--listen", "127.0.0.1:0"];
        let program: Vec<String> = program.iter().chain(options).map(|word| (*word).to_owned()).collect();
        let process = Guarded::start(&program, &[], &folder.path().join("sandbox.log")).expect("the sandbox starts");
        let address = eventually("the sandbox tells its address", Duration::from_secs(20), async || {
            address_in(&process.output())
        });
        let base = format!("http://{}", address.await);
        Self { process, base, client: Client::new(), _folder: folder }
    }

    /// Process id, for measurements.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The base URL of one vendor (`payiq`, `loanpro`, `aloha`), ending in `/`.
    pub fn vendor(&self, name: &str) -> String {
        format!("{}/{name}/", self.base)
    }

    /// A new LoanPro customer; answers its id.
    pub async fn create_customer(&self) -> String {
        let body = json!({"firstName": "Ada", "lastName": "Tester", "email": "ada@example.com"});
        id_of(&self.loanpro(Method::POST, "odata.svc/Customers", body).await)
    }

    /// A new loan; answers its id.
    pub async fn create_loan(&self) -> String {
        let body = json!({"displayId": "TEST-1", "title": "A loan to be paid"});
        id_of(&self.loanpro(Method::POST, "odata.svc/Loans", body).await)
    }

    /// Makes the customer the loan's borrower.
    pub async fn link_customer_to_loan(&self, customer: &str, loan: &str) {
        let id: i64 = customer.parse().expect("LoanPro ids are numbers");
        let borrower = json!({"__id": id, "__setLoanRole": "loan.customerRole.primary"});
        let body = json!({"Customers": {"results": [borrower]}});
        self.loanpro(Method::PUT, &format!("odata.svc/Loans({loan})"), body).await;
    }

    /// Makes a payment on the loan.
    pub async fn pay(&self, loan: &str, payment: Value) {
        let body = json!({"Payments": {"results": [payment]}});
        self.loanpro(Method::PUT, &format!("odata.svc/Loans({loan})"), body).await;
    }

    /// A temporary token, as the hosted form makes it.
    pub async fn tokenise(&self, wishes: Value) -> String {
        text_at(&self.call(Method::POST, "sandbox/tokens", wishes).await, "/token")
    }

    /// A permanent token, as Secure Payments makes it for a checking account.
    pub async fn permanent_token(&self) -> String {
        let account = json!({
            "accountholder_name": "Ada Tester", "account_number": "000123456789",
            "routing_number": "021000021", "account_type": "checking",
        });
        let answer = self.call(Method::POST, "secure-payments/checking-account", json!({"checking-account": account}));
        text_at(&answer.await, "/token")
    }

    /// A new Aloha customer; answers its GUID.
    pub async fn create_aloha_customer(&self) -> String {
        let answer = self.aloha(Method::POST, "v1/Customers").await;
        answer.as_str().map_or_else(|| text_at(&answer, "/CustomerId"), str::to_owned)
    }

    /// The payment methods of an Aloha customer, as its own API tells them.
    pub async fn aloha_payments(&self, customer: &str) -> Vec<Value> {
        let answer = self.aloha(Method::GET, &format!("v1/Customers/{customer}/Payments")).await;
        answer.as_array().cloned().unwrap_or_else(|| panic!("not a list: {answer}"))
    }

    async fn aloha(&self, method: Method, path: &str) -> Value {
        let request = self
            .client
            .request(method, format!("{}/aloha/{path}", self.base))
            .basic_auth("sandbox", Some("any"))
            .header("X-Api-CompanyCode", "SANDBOX");
        let answer = request.send().await.expect("the sandbox answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("the answer is JSON")
    }

    /// Sets a fault.
    pub async fn fault(&self, rule: Value) {
        self.call(Method::POST, "sandbox/faults", rule).await;
    }

    /// Ends all faults.
    pub async fn heal(&self) {
        let answer = self.client.delete(format!("{}/sandbox/faults", self.base)).send().await.expect("an answer");
        assert!(answer.status().is_success(), "faults are not ended: {}", answer.status());
    }

    /// The books: what was really done.
    pub async fn state(&self) -> Value {
        let answer = self.client.get(format!("{}/sandbox/state", self.base)).send().await.expect("an answer");
        answer.json().await.expect("the state is JSON")
    }

    /// The books' entries of one kind: `profiles`, `conversions`, `payments`.
    pub async fn booked(&self, kind: &str) -> Vec<Value> {
        self.state().await[kind].as_array().cloned().unwrap_or_else(|| panic!("the state has no list {kind}"))
    }

    async fn loanpro(&self, method: Method, path: &str, body: Value) -> Value {
        self.call(method, &format!("loanpro/{path}"), body).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self
            .client
            .request(method, format!("{}/{path}", self.base))
            .bearer_auth(LOANPRO_TOKEN)
            .header("Autopal-Instance-Id", LOANPRO_INSTANCE)
            .json(&body);
        let answer = request.send().await.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("the answer's body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
    }
}

/// LoanPro's ids are numbers or strings, in a `d` or not.
fn id_of(answer: &Value) -> String {
    let entity = answer.get("d").unwrap_or(answer);
    let id = &entity["id"];
    id.as_i64().map(|id| id.to_string()).or_else(|| id.as_str().map(str::to_owned)).expect("the answer has an id")
}

fn text_at(answer: &Value, pointer: &str) -> String {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in the answer")).to_owned()
}

/// The first `127.0.0.1:port` in the output.
fn address_in(output: &str) -> Option<String> {
    let (_, rest) = output.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    // Port 0 is what was asked, not what was given; a port at the very end of the output may still be growing.
    (port != "0" && rest.len() > port.len()).then(|| format!("127.0.0.1:{port}"))
}
