//! The demo's configuration, as text: what `run --config` would be given for the same services.

use super::{CLIENT, Services};
use crate::cli::addresses::AdminAddress;
use std::net::SocketAddr;

/// Everything but the addresses.
const FLOWS_AND_ROUTES: &str = r#"
identity:
  headers:
    x-user: subject
    x-name: claims.name
    x-email: claims.email
    x-groups: groups
    x-acr: claims.acr

flows:
  login:
    attributes:
      user_type: {response_header: x-user-type}
      auth_method: {response_header: x-auth-method}
      mfa_enabled: {response_header: x-mfa-enabled, type: bool}
      result: {response_header: x-login-result}
  escrow:
    sampling: 1.0
    attributes:
      order_id: {response_header: x-order-id}
      psp: {response_header: x-psp}
      amount: {response_header: x-order-amount, type: double}
      currency: {response_header: x-order-currency}
      state: {response_header: x-order-state}
  chat:
    attributes:
      thread_id: {path: thread_id}
      message_id: {response_header: x-message-id}
      media_present: {response_header: x-media-present, type: bool}
      delivery_status: {response_header: x-delivery-status}
  payout:
    sampling: 1.0
    attributes:
      payout_id: {response_header: x-payout-id}
      psp_batch_id: {response_header: x-psp-batch-id}
      attempt: {response_header: x-payout-attempt, type: int}

routes:
  - name: front
    match: {path: /, methods: [GET]}
    redirect: {status: 302, path: /account}
  - name: login
    match: {path: /login, methods: [POST]}
    upstream: login
    flow: login
    span_name: api.login
  - name: account
    match: {path: /account}
    upstream: login
    auth: people
  - name: account-payouts
    match: {path: /account/payouts}
    upstream: login
    # A second factor: whoever has not shown one is asked for it.
    auth: [{policy: people, require: {acr: ["urn:edgespan:mfa"]}}]
  - name: orders
    match: {path: /api/v1/orders, methods: [GET]}
    upstream: orders
  - name: order-create
    match: {path: /api/v1/orders, methods: [POST]}
    upstream: orders
    flow: escrow
    feature_flags: {checkout: v2}
  - name: order
    match: {path: "/api/v1/orders/{order_id}", methods: [GET]}
    upstream: orders
    flow: escrow
  - name: order-hold
    match: {path: "/api/v1/orders/{order_id}/hold", methods: [POST]}
    upstream: orders
    flow: escrow
  - name: order-refund
    match: {path: "/api/v1/orders/{order_id}/refund", methods: [POST]}
    upstream: orders
    flow: escrow
  - name: order-release
    match: {path: "/api/v1/orders/{order_id}/release", methods: [POST]}
    upstream: payout
    flow: escrow
  - name: chat-messages
    match: {path: "/chat/threads/{thread_id}/messages", methods: [GET, POST]}
    upstream: chat
    flow: chat
  - name: chat-events
    match: {path: "/chat/threads/{thread_id}/events", methods: [GET]}
    upstream: chat
    flow: chat
  - name: payouts
    match: {path: /payouts, methods: [POST]}
    upstream: payout
    flow: payout
  - name: payout
    match: {path: "/payouts/{payout_id}", methods: [GET]}
    upstream: payout
    flow: payout

sampling: {default: 1.0}
feature_flags: {tracing.otel.enabled: on}
"#;

/// The whole file. Without an `admin` the key is left out, so that another port is found if the
/// default one is taken.
pub fn config_text(services: &Services, listen: SocketAddr, admin: Option<AdminAddress>) -> String {
    let mut text = "service: {name: edgespan, environment: demo}\n".to_owned();
    match admin {
        Some(AdminAddress::Off) => text.push_str("admin: {address: off}\n"),
        Some(AdminAddress::At(address)) => {
            text.push_str(&format!("admin: {{address: \"{address}\"}}\n"));
        }
        None => {}
    }
    text.push_str(&format!(
        "\nlisteners:\n  web: {{address: \"{listen}\", mode: gateway}}\n\nupstreams:\n"
    ));
    for (name, port) in services.ports() {
        text.push_str(&format!(
            "  {name}: {{service: {name}, endpoints: [\"http://127.0.0.1:{port}\"]}}\n"
        ));
    }
    let provider = format!("issuer: \"{}\", client_id: {CLIENT}", services.issuer());
    text.push_str(&format!(
        "\nauth:\n  people: {{oidc: {{{provider}, label: The demo}}}}\n"
    ));
    text.push_str(FLOWS_AND_ROUTES);
    text
}
