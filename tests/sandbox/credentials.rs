use reqwest::Method;
use serde_json::json;

use crate::house::{auth, customer_path, open, open_strict, receive};

#[tokio::test]
async fn any_credentials_will_do_but_they_must_be_there() {
    let house = open().await;
    let base = house.running.base_url();
    for path in ["loanpro/odata.svc/Customers(1)", "aloha/v1/Customers/x/Payments"] {
        let answer = receive(house.http.get(format!("{base}{path}"))).await.unwrap();
        assert_eq!(answer.status, 401, "{path}");
    }
    let half = house.http.get(format!("{base}loanpro/odata.svc/Customers(1)")).bearer_auth("any");
    assert_eq!(receive(half).await.unwrap().status, 401);
}

#[tokio::test]
async fn a_strict_sandbox_refuses_a_wrong_token_and_hides_all_from_a_wrong_tenant() {
    let house = open_strict("loanpro_token=right,loanpro_instance_id=42").await;
    let customer = house.running.create_loanpro_customer("A", "B");
    let get = |token: &'static str, tenant: &'static str| {
        let url = format!("{}{}", house.running.base_url(), customer_path(customer));
        receive(house.http.get(url).bearer_auth(token).header("Autopal-Instance-Id", tenant))
    };
    assert_eq!(get("right", "42").await.unwrap().status, 200);
    assert_eq!(get("wrong", "42").await.unwrap().status, 401);
    let astray = get("right", "43").await.unwrap();
    assert_eq!(astray.status, 409);
    assert!(astray.text.contains("not found"));
}

#[tokio::test]
async fn a_strict_sandbox_knows_one_api_key_and_one_aloha_user() {
    let right = "11111111-1111-4111-8111-111111111111";
    let strict = format!("payiq_api_key={right},aloha_user=u,aloha_password=p,aloha_company_code=c");
    let house = open_strict(&strict).await;
    assert_eq!(house.post("payiq/Api/Auth", auth()).await.status, 401);
    let mut body = auth();
    body["APIKey"] = json!(right);
    assert_eq!(house.post("payiq/Api/Auth", body).await.status, 200);
    let create = |password: &'static str, company: &'static str| {
        let url = format!("{}aloha/v1/Customers", house.running.base_url());
        let basic = format!("Basic {}", data_encoding::BASE64.encode(format!("u:{password}").as_bytes()));
        let request = house.http.request(Method::POST, url).header("Authorization", basic);
        receive(request.header("X-Api-CompanyCode", company))
    };
    assert_eq!(create("p", "c").await.unwrap().status, 200);
    assert_eq!(create("q", "c").await.unwrap().status, 401);
    assert_eq!(create("p", "d").await.unwrap().status, 401);
}
