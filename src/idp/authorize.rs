//! Where a browser comes to log in (OpenID Connect Core 1.0, section 3.1.2), and what its form is
//! sent to.

use super::ask::{Ask, Parameters, Refusal, Reply, html, redirect, set_cookie};
use super::settings::{ACR_MFA, AccountChoice, Pushed, Redirect};
use super::shelf::handle;
use super::state::{Code, Grant, Login, Pending, Request, State};
use super::{Client, Provider, page};
use http::StatusCode;
use url::Url;

/// What `request_uri` begins with (RFC 9126, section 2.2).
pub(super) const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// What has to happen before a code is given.
enum Step {
    /// Nothing: this login will do.
    Done(Login),
    /// Somebody has to choose who they are.
    Choose,
    /// This one has to show a second factor.
    Confirm(String),
}

impl Provider {
    pub(super) fn authorize(&self, ask: &Ask) -> Reply {
        let mut state = self.state();
        let (client, parameters) = match self.requested(&mut state, &ask.parameters) {
            Ok(found) => found,
            Err(refusal) => return refusal.page(),
        };
        let Some(to) = parameters
            .get("redirect_uri")
            .filter(|to| Redirect::any(&client.redirects, to))
        else {
            return Refusal::new("invalid_request", "this redirect_uri is not the client's").page();
        };
        let request = match self.read(&client, to, &parameters) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(to, parameters.get("state"), refusal.error),
        };
        let cookie = ask.cookie(&self.settings.cookie).unwrap_or_default();
        let login = state.sessions.get(cookie).cloned();
        let step = self.next_step(&request, login);
        let is_silent = request.prompt.iter().any(|word| word == "none");
        match step {
            Step::Done(login) => self.give_code(&mut state, cookie, login, request),
            Step::Choose if is_silent => self.refuse_request(&request, "login_required"),
            Step::Confirm(_) if is_silent => self.refuse_request(&request, "interaction_required"),
            Step::Choose => self.show(&mut state, request, None),
            Step::Confirm(person) => self.show(&mut state, request, Some(person)),
        }
    }

    /// Reads a request; one for what this provider does not know is refused.
    pub(super) fn read(
        &self,
        client: &Client,
        redirect: &str,
        parameters: &Parameters,
    ) -> Result<Request, Refusal> {
        let request = read(client, redirect, parameters)?;
        let chooses = request.prompt.iter().any(|one| one == "select_account");
        if chooses && self.settings.account_choice == AccountChoice::Refused {
            return Err(Refusal::new("invalid_request", "unsupported prompt"));
        }
        Ok(request)
    }

    /// The client, and the parameters that count: those of the query, or those that were left.
    fn requested(
        &self,
        state: &mut State,
        parameters: &Parameters,
    ) -> Result<(Client, Parameters), Refusal> {
        if parameters.has_twins() {
            return Err(Refusal::new("invalid_request", "a parameter stands twice"));
        }
        let id = parameters.get("client_id").unwrap_or_default();
        let unknown = Refusal::new("invalid_client", "nobody knows this client");
        let client = state.clients.get(id).cloned().ok_or(unknown)?;
        let Some(left) = parameters.get("request_uri") else {
            return if self.settings.pushed == Pushed::Required {
                Err(Refusal::new(
                    "invalid_request",
                    "requests have to be left beforehand",
                ))
            } else {
                Ok((client, parameters.clone()))
            };
        };
        let handle = left.strip_prefix(REQUEST_URI).unwrap_or_default();
        match state.pushed.take(handle) {
            Some((owner, parameters)) if owner == id => Ok((client, parameters)),
            _ => Err(Refusal::new("invalid_request", "no such request was left")),
        }
    }

    fn next_step(&self, request: &Request, login: Option<Login>) -> Step {
        let asks = |word: &str| request.prompt.iter().any(|one| one == word);
        let offers_choice = self.settings.account_choice == AccountChoice::Offered;
        let asks_anew = asks("login") || offers_choice && asks("select_account");
        let Some(login) = login.filter(|_| !asks_anew) else {
            return Step::Choose;
        };
        let age = self.now().saturating_sub(login.at);
        if request.age_max.is_some_and(|max| age > max) {
            return Step::Choose;
        }
        let can = self
            .person(&login.subject)
            .is_some_and(|one| one.has_second_factor);
        if request.wants_factor && can && !login.has_factor {
            return Step::Confirm(login.subject);
        }
        Step::Done(login)
    }

    fn show(&self, state: &mut State, request: Request, person: Option<String>) -> Reply {
        let client = request.client.clone();
        let shown = person.clone();
        let Ok(handle) = state.pending.put(Pending { request, person }) else {
            return Refusal::server().page();
        };
        let text = match shown.and_then(|subject| self.person(&subject)) {
            Some(person) => page::confirm(person, &handle),
            None => page::choose(&self.settings.people, &client, &handle),
        };
        html(StatusCode::OK, text)
    }

    /// What the form is sent to.
    pub(super) fn login(&self, ask: &Ask) -> Reply {
        let mut state = self.state();
        let handle = ask.parameters.get("request").unwrap_or_default();
        let Some(pending) = state.pending.take(handle) else {
            return Refusal::new("invalid_request", "this page is too old").page();
        };
        let request = pending.request;
        if ask.parameters.get("cancel").is_some() {
            return self.refuse_request(&request, "access_denied");
        }
        let chosen = pending
            .person
            .as_deref()
            .or_else(|| ask.parameters.get("person"));
        let Some(person) = chosen.and_then(|subject| self.person(subject)) else {
            return Refusal::new("invalid_request", "nobody of that name").page();
        };
        let wants = request.wants_factor && person.has_second_factor;
        let has_factor = ask.parameters.get("factor").is_some() && pending.person.is_some();
        if wants && !has_factor {
            let person = person.subject.clone();
            return self.show(&mut state, request, Some(person));
        }
        let cookie = ask.cookie(&self.settings.cookie).unwrap_or_default();
        // Who steps up goes on in the session that there is, so that a logout ends it all.
        let before = state
            .sessions
            .take(cookie)
            .filter(|one| one.subject == person.subject);
        let Ok((sid, cookie)) = super::shelf::handle().and_then(|sid| Ok((sid, self::handle()?)))
        else {
            return Refusal::server().page();
        };
        let login = Login {
            subject: person.subject.clone(),
            sid: before.as_ref().map_or(sid, |one| one.sid.clone()),
            at: self.now(),
            has_factor,
            clients: before.map(|one| one.clients).unwrap_or_default(),
        };
        state.sessions.put_as(cookie.clone(), login.clone());
        let mut reply = self.give_code(&mut state, &cookie, login, request);
        let name = &self.settings.cookie;
        let secure = if self.issuer.starts_with("https:") {
            "; Secure"
        } else {
            ""
        };
        let line = format!("{name}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}");
        set_cookie(&mut reply, &line);
        reply
    }

    fn give_code(&self, state: &mut State, cookie: &str, login: Login, request: Request) -> Reply {
        let Ok(family) = handle() else {
            return self.refuse_request(&request, "server_error");
        };
        if let Some(kept) = state.sessions.get_mut(cookie)
            && !kept.clients.contains(&request.client)
        {
            kept.clients.push(request.client.clone());
        }
        let code = Code {
            grant: Grant {
                family,
                client: request.client.clone(),
                login,
                scopes: request.scopes.clone(),
                nonce: request.nonce.clone(),
            },
            redirect: request.redirect.clone(),
            challenge: request.challenge.clone(),
        };
        match state.codes.put(code) {
            Ok(code) => self.answer(&request.redirect, request.state.as_deref(), "code", &code),
            Err(_) => self.refuse_request(&request, "server_error"),
        }
    }

    fn refuse_request(&self, request: &Request, error: &str) -> Reply {
        self.refuse(&request.redirect, request.state.as_deref(), error)
    }

    fn refuse(&self, to: &str, state: Option<&str>, error: &str) -> Reply {
        self.answer(to, state, "error", error)
    }

    /// Sends the browser back with this, `state` and `iss`.
    fn answer(&self, to: &str, state: Option<&str>, name: &str, value: &str) -> Reply {
        // It is one of the client's, which may still be no address.
        let Ok(mut to) = Url::parse(to) else {
            return Refusal::new("invalid_request", "this redirect_uri is no address").page();
        };
        let issuer = match self.faults().answer_issuer {
            Some(other) => Some(other).filter(|other| !other.is_empty()),
            None => self.settings.names_itself.then(|| self.issuer.clone()),
        };
        let mut query = to.query_pairs_mut();
        query.append_pair(name, value);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        if let Some(issuer) = issuer {
            query.append_pair("iss", &issuer);
        }
        drop(query);
        redirect(to.as_str())
    }
}

/// Whether a request is in order.
fn read(client: &Client, redirect: &str, parameters: &Parameters) -> Result<Request, Refusal> {
    let bad = |words| Refusal::new("invalid_request", words);
    if parameters.get("response_type") != Some("code") {
        return Err(Refusal::new("unsupported_response_type", "only code"));
    }
    let scopes = parameters.words("scope");
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(Refusal::new("invalid_scope", "openid is not asked for"));
    }
    let challenge = parameters.get("code_challenge");
    let challenge = challenge.filter(|text| text.len() == 43);
    let is_hashed = parameters.get("code_challenge_method") == Some("S256");
    let challenge = challenge
        .filter(|_| is_hashed)
        .ok_or(bad("no code_challenge by S256"))?;
    let age_max = match parameters.get("max_age") {
        Some(text) => Some(text.parse().map_err(|_| bad("max_age is no number"))?),
        None => None,
    };
    let acr = parameters.words("acr_values");
    Ok(Request {
        client: client.id.clone(),
        redirect: redirect.to_owned(),
        state: parameters.get("state").map(str::to_owned),
        nonce: parameters.get("nonce").map(str::to_owned),
        scopes,
        challenge: challenge.to_owned(),
        wants_factor: acr.iter().any(|one| one == ACR_MFA),
        prompt: parameters.words("prompt"),
        age_max,
    })
}
