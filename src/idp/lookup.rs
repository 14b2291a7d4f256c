//! Userinfo (OpenID Connect Core 1.0, section 5.3), introspection (RFC 7662) and revocation
//! (RFC 7009).

use super::Provider;
use super::ask::{Ask, Refusal, Reply, json, nothing};
use http::StatusCode;
use serde_json::{Value, json};

impl Provider {
    pub(super) fn userinfo(&self, ask: &Ask) -> Reply {
        let token = ask
            .authorization("bearer")
            .or_else(|| ask.parameters.get("access_token"));
        let state = self.state();
        let Some(grant) = token.and_then(|token| state.access.get(token)) else {
            return Refusal::token().reply();
        };
        let mut claims = self.told(grant);
        let subject = if self.faults().userinfo_of_another {
            "somebody-else"
        } else {
            &grant.login.subject
        };
        claims.insert("sub".to_owned(), json!(subject));
        json(StatusCode::OK, &Value::Object(claims))
    }

    pub(super) fn introspect(&self, ask: &Ask) -> Reply {
        let mut state = self.state();
        if let Err(refusal) = self.authenticated(&mut state, ask) {
            return refusal.reply();
        }
        let token = ask.parameters.get("token").unwrap_or_default();
        let Some((grant, until)) = state.access.get(token).zip(state.access.until(token)) else {
            return json(StatusCode::OK, &json!({"active": false}));
        };
        let client = state.clients.get(&grant.client);
        let audience = client.and_then(|client| client.access_audience.clone());
        let mut claims = self.told(grant);
        let mut say = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        say("active", json!(true));
        say("iss", json!(self.issuer));
        say("sub", json!(grant.login.subject));
        say("client_id", json!(grant.client));
        say("scope", json!(grant.scopes.join(" ")));
        say(
            "aud",
            json!(audience.unwrap_or_else(|| grant.client.clone())),
        );
        say("token_type", json!("Bearer"));
        say("exp", json!(until));
        json(StatusCode::OK, &Value::Object(claims))
    }

    pub(super) fn revoke(&self, ask: &Ask) -> Reply {
        let mut state = self.state();
        let client = match self.authenticated(&mut state, ask) {
            Ok(client) => client,
            Err(refusal) => return refusal.reply(),
        };
        let token = ask.parameters.get("token").unwrap_or_default();
        let found = state.refresh.get(token).or_else(|| state.access.get(token));
        let found = found.filter(|grant| grant.client == client.id);
        if let Some(family) = found.map(|grant| grant.family.clone()) {
            state.revoke(&family);
        }
        // A token that nobody knows is as good as revoked (RFC 7009, section 2.2).
        nothing(StatusCode::OK)
    }
}
