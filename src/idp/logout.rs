//! Logouts: of a browser (RP-Initiated Logout 1.0), and of clients that are told of it
//! (Back-Channel Logout 1.0, Front-Channel Logout 1.0).

use super::ask::{Ask, Refusal, Reply, html, redirect, set_cookie};
use super::keys::SignedBy;
use super::settings::Redirect;
use super::shelf::handle;
use super::state::{Login, State};
use super::{Client, Provider, page};
use crate::client::{Manner, Target};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, json};
use std::time::Duration;
use url::Url;

/// Longest that a client may take to hear of a logout.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// What makes a token one of logout (Back-Channel Logout 1.0, section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What comes of a logout.
pub(super) struct Ended {
    pub(super) reply: Reply,
    /// Whom to tell, and what.
    pub(super) tell: Vec<(String, String)>,
}

impl Provider {
    /// Where a browser comes to log out. Without a token as a hint somebody has to say yes.
    pub(super) fn logout(&self, ask: &Ask) -> Ended {
        let refuse = |words| Ended {
            reply: Refusal::new("invalid_request", words).page(),
            tell: Vec::new(),
        };
        let mut state = self.state();
        let parameters = &ask.parameters;
        let hint = parameters.get("id_token_hint");
        let claims = hint.and_then(|token| self.keys().read_own(token));
        if hint.is_some() && claims.is_none() {
            return refuse("this id_token_hint is not of this provider");
        }
        let claim = |name: &str| claims.as_ref()?.get(name)?.as_str().map(str::to_owned);
        let id = claim("aud").or_else(|| parameters.get("client_id").map(str::to_owned));
        let client = id.and_then(|id| state.clients.get(&id).cloned());
        let next = parameters.get("post_logout_redirect_uri");
        let next = match (next, &client) {
            (Some(next), Some(client)) if Redirect::any(&client.logout_redirects, next) => {
                Some(with_state(next, parameters.get("state")))
            }
            (Some(_), _) => return refuse("this post_logout_redirect_uri is not the client's"),
            (None, _) => None,
        };
        if hint.is_none() && ask.method != Method::POST {
            return Ended {
                reply: html(StatusCode::OK, page::ask_logout()),
                tell: Vec::new(),
            };
        }
        let cookie = ask.cookie(&self.settings.cookie).unwrap_or_default();
        let here = state.sessions.get(cookie).map(|login| login.sid.clone());
        let sids: Vec<String> = here.into_iter().chain(claim("sid")).collect();
        let ended = state.sessions.drain(|login| sids.contains(&login.sid));
        let tell = ended
            .iter()
            .flat_map(|login| self.ended(&mut state, login))
            .collect();
        let frames: Vec<String> = ended
            .iter()
            .flat_map(|login| self.frames(&state, login))
            .collect();
        let mut reply = match &next {
            Some(next) if frames.is_empty() => redirect(next),
            next => html(StatusCode::OK, page::logged_out(&frames, next.as_deref())),
        };
        let gone = format!("{}=; Path=/; Max-Age=0; HttpOnly", self.settings.cookie);
        set_cookie(&mut reply, &gone);
        Ended { reply, tell }
    }

    /// Takes back what came of a login; whom to tell, and what.
    pub(super) fn ended(&self, state: &mut State, login: &Login) -> Vec<(String, String)> {
        state.revoke_login(&login.sid);
        let clients = login.clients.iter().filter_map(|id| state.clients.get(id));
        let told = clients.filter_map(|client| {
            let to = client.backchannel_logout.clone()?;
            Some((to, self.logout_token(client, login)?))
        });
        told.collect()
    }

    fn logout_token(&self, client: &Client, login: &Login) -> Option<String> {
        let now = self.now();
        let claims = json!({
            "iss": self.issuer,
            "aud": client.id,
            "iat": now,
            "exp": now + 120,
            "jti": handle().ok()?,
            "sub": login.subject,
            "sid": login.sid,
            "events": {EVENT: {}},
        });
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("logout+jwt"));
        self.keys().sign(SignedBy::First, header, &claims).ok()
    }

    /// What a browser loads so that clients hear of it (Front-Channel Logout 1.0, section 2).
    fn frames(&self, state: &State, login: &Login) -> Vec<String> {
        let clients = login.clients.iter().filter_map(|id| state.clients.get(id));
        let frames = clients.filter_map(|client| {
            let mut address = Url::parse(client.frontchannel_logout.as_deref()?).ok()?;
            address
                .query_pairs_mut()
                .append_pair("iss", &self.issuer)
                .append_pair("sid", &login.sid);
            Some(address.into())
        });
        frames.collect()
    }

    /// Tells clients of a logout; which of them heard it.
    pub(super) async fn tell(&self, told: Vec<(String, String)>) -> usize {
        let mut heard = 0;
        for (to, token) in told {
            heard += usize::from(self.tell_one(&to, &token).await);
        }
        heard
    }

    async fn tell_one(&self, to: &str, token: &str) -> bool {
        let target = Url::parse(to).ok().and_then(|url| Target::of(&url).ok());
        let Some(target) = target else { return false };
        // Three parts in base64url: nothing in it needs escaping.
        let body = Bytes::from(format!("logout_token={token}"));
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let manner = Manner {
            timeout: TOLD_WITHIN,
            ..Manner::default()
        };
        let asked = self
            .client
            .ask(&target, Method::POST, headers, body, manner);
        asked.await.is_ok_and(|answer| answer.status.is_success())
    }
}

fn with_state(next: &str, state: Option<&str>) -> String {
    match (Url::parse(next), state) {
        (Ok(mut url), Some(state)) => {
            url.query_pairs_mut().append_pair("state", state);
            url.into()
        }
        _ => next.to_owned(),
    }
}
