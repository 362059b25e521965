//! The story that `sandbox --help` tells: from a form that was filled in to money that moved, with nothing but curl.

/// Where the story's commands call; the default of `sandbox --listen`.
pub const STORY_ADDRESS: &str = "127.0.0.1:8710";

/// The whole story, its commands ready to paste into one shell. They are run by a test.
pub const STORY: &str = r#"The whole story, for a fresh sandbox. Start it, then paste these into another shell.

  B=http://127.0.0.1:8710
  KEY='Authorization: Bearer anything'
  TENANT='Autopal-Instance-Id: anything'

LoanPro: a customer (it gets the id 1), a loan (1 too), and the customer put on the loan.

  curl -sSf "$B/loanpro/odata.svc/Customers" -H "$KEY" -H "$TENANT" -d '{"firstName":"Sandy","lastName":"Box"}'
  curl -sSf "$B/loanpro/odata.svc/Loans" -H "$KEY" -H "$TENANT" -d '{"displayId":"L-1"}'
  curl -sSf -X PUT "$B/loanpro/odata.svc/Loans(1)" -H "$KEY" -H "$TENANT" \
    -d '{"Customers":{"results":[{"__id":1,"__setLoanRole":"loan.customerRole.primary"}]}}'

The customer fills in the hosted form, which gives a temporary token.

  TEMPORARY=$(curl -sSf "$B/sandbox/tokens" -d '{"kind":"checking","lastFour":"6789"}' |
    sed 's/.*"token":"\([^"]*\)".*/\1/')

PayIQ: log in, then convert it into a permanent token. This works once.

  BEARER=$(curl -sSf "$B/payiq/Api/Auth" -d '{"APIKey":"00000000-0000-4000-8000-000000000001",
    "CreationDate":"2030-01-01T00:00:00Z","Signature":"anything","grant_type":"client_credentials"}' |
    sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  PERMANENT=$(curl -sSf "$B/payiq/Api/PaymentAccount/ConvertJSToken" -H "Authorization: Bearer $BEARER" \
    -d '{"ExternalUserID":"1","TemporaryToken":"'"$TEMPORARY"'"}' | sed 's/.*"Token":"\([^"]*\)".*/\1/')

LoanPro: link it. The answer does not tell the new profile's id (it is 1), so read it back.

  curl -sSf -X PUT "$B/loanpro/odata.svc/Customers(1)" -H "$KEY" -H "$TENANT" \
    -d '{"PaymentAccounts":{"results":[{"active":1,"isPrimary":1,"isSecondary":0,"title":"Checking 6789",
    "type":"paymentAccount.type.checking","CreditCard":{},
    "CheckingAccount":{"accountType":"bankacct.type.checking","token":"'"$PERMANENT"'"}}]}}'
  curl -sSf "$B/loanpro/odata.svc/Customers(1)/PaymentAccounts?nopaging=true" -H "$KEY" -H "$TENANT"

Two payments on the loan: one is only logged, the other is pulled from the linked profile.

  curl -sSf -X PUT "$B/loanpro/odata.svc/Loans(1)" -H "$KEY" -H "$TENANT" \
    -d '{"Payments":{"results":[{"amount":10.00,"date":"2030-01-15","paymentTypeId":1,"__logOnly":true}]}}'
  curl -sSf -X PUT "$B/loanpro/odata.svc/Loans(1)" -H "$KEY" -H "$TENANT" \
    -d '{"Payments":{"results":[{"amount":25.50,"date":"2030-01-15","paymentTypeId":1,"paymentAccountId":1}]}}'

Trouble: the next read-back finds LoanPro down (503), the one after finds it up again (200).

  curl -sSf "$B/sandbox/faults" -d '{"route":"loanpro.lookup","action":"status","status":503,"next":1}'
  curl -sS -o /dev/null -w '%{http_code}\n' "$B/loanpro/odata.svc/Customers(1)/PaymentAccounts" -H "$KEY" -H "$TENANT"
  curl -sS -o /dev/null -w '%{http_code}\n' "$B/loanpro/odata.svc/Customers(1)/PaymentAccounts" -H "$KEY" -H "$TENANT"

What was really done: one profile, one conversion, two payments, and every call.

  curl -sSf "$B/sandbox/state"

Faults: POST one rule or a list to /sandbox/faults, GET lists, DELETE /sandbox/faults[/ID] takes away.
  route      payiq.auth, payiq.convert, loanpro.link, loanpro.lookup, loanpro.customer, aloha.link, aloha.lookup,
             payiq.*, loanpro.*, aloha.* or *
  action     status (with status, body, headers), drop, apply_drop, delay, apply_delay, hang, garbage (applied, answered
             with nonsense) or nothing (says done, wrote nothing)
  delay      seconds or {"uniform":[a,b]}; p: probability; next: so many calls; customers: a list of ids
Tokens: POST {kind,lastFour,brand,expiresIn,outcome,permanent} to /sandbox/tokens, all optional. Outcomes: ok,
  system_error, validation, data_not_found, duplicate_payment, pre_auth_error, declined, service_unavailable,
  user_locked, unknown_error, blocked, paypal, apple_pay, amazon_pay, contradictory_kind, contradictory, empty_token.
"#;
