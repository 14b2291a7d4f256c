//! What stands in for Authelia 4.39: the endpoints that proxies ask, and what of the portal a
//! sign-in needs. It answers as Authelia's reference and its published handlers say, with their
//! traps: only https targets, one reading of the URL for each endpoint, no body where none is due.

use super::origin::{Answer, Origin, Received, text, with_headers};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Where people sign in.
pub const PORTAL: &str = "https://auth.example.com/";
/// What its session cookies are for.
const DOMAIN: &str = "example.com";
pub const COOKIE: &str = "authelia_session";

/// Name, password, groups, display name, e-mail addresses.
type Known = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static [&'static str],
);

const PEOPLE: [Known; 2] = [
    (
        "john",
        "correct horse",
        &["admins", "dev"],
        "John Doe",
        &["john@example.com", "jd@example.com"],
    ),
    ("harry", "battery", &["dev"], "Harry Potter", &[]),
];

type Person = &'static Known;

#[derive(Clone)]
pub struct Authelia {
    pub origin: Origin,
    sessions: Sessions,
}

type Sessions = Arc<Mutex<HashMap<String, &'static str>>>;

/// What is asked about.
struct Object {
    method: String,
    url: String,
    uri: Uri,
}

/// How it tells a visitor who has to sign in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// `forward-auth` and `ext-authz`.
    Redirect,
    /// `auth-request`: 401 with the `Location`.
    Unauthorized,
    /// `/api/verify`: as the first where the question names the portal, and 401 for what is wrong.
    Legacy,
}

/// What a rule of its `access_control` asks for, and whether the rule names people.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Bypass,
    OneFactor,
    Deny,
}

impl Authelia {
    pub async fn start() -> Self {
        let sessions = Sessions::default();
        let shared = Arc::clone(&sessions);
        Self {
            origin: Origin::answering(move |request| answer(&shared, request)).await,
            sessions,
        }
    }

    /// The session expires.
    pub fn forget(&self) {
        self.sessions.lock().unwrap().clear();
    }
}

fn answer(sessions: &Sessions, request: &Received) -> Answer {
    let path = request.uri.path();
    if let Some(rest) = path.strip_prefix("/api/authz/ext-authz") {
        // Its router takes one slash off; the rest follows the host as it is, and the query is no
        // part of it.
        let path = rest.strip_prefix('/').unwrap_or(rest);
        let url = from_parts(request, "x-forwarded-proto", "host", path);
        return decide(
            sessions,
            request,
            Manner::Redirect,
            url,
            request.method.as_str(),
        );
    }
    let is_read = ["GET", "HEAD"].contains(&request.method.as_str());
    match path {
        "/api/authz/forward-auth" | "/api/authz/auth-request" if !is_read => text(405, ""),
        "/api/authz/forward-auth" => decide(
            sessions,
            request,
            Manner::Redirect,
            forwarded(request),
            &only(request, "x-forwarded-method"),
        ),
        "/api/authz/auth-request" => decide(
            sessions,
            request,
            Manner::Unauthorized,
            Some(only(request, "x-original-url")).filter(|url| !url.is_empty()),
            &only(request, "x-original-method"),
        ),
        "/api/verify" => {
            let original = Some(only(request, "x-original-url")).filter(|url| !url.is_empty());
            let (url, method) = (
                original.or_else(|| forwarded(request)),
                only(request, "x-forwarded-method"),
            );
            decide(sessions, request, Manner::Legacy, url, &method)
        }
        "/api/firstfactor" if request.method == "POST" => first_factor(sessions, request),
        "/" => with_headers(
            200,
            &[("content-type", "text/html; charset=utf-8")],
            "<title>Login - Authelia</title>",
        ),
        _ => text(404, "404 Not Found"),
    }
}

fn only(request: &Received, name: &str) -> String {
    request.all(name).into_iter().next().unwrap_or_default()
}

fn forwarded(request: &Received) -> Option<String> {
    let uri = only(request, "x-forwarded-uri");
    from_parts(request, "x-forwarded-proto", "x-forwarded-host", &uri)
}

fn from_parts(request: &Received, scheme: &str, host: &str, path: &str) -> Option<String> {
    let (scheme, host) = (only(request, scheme), only(request, host));
    (!scheme.is_empty() && !host.is_empty()).then(|| format!("{scheme}://{host}{path}"))
}

fn decide(
    sessions: &Sessions,
    request: &Received,
    manner: Manner,
    url: Option<String>,
    method: &str,
) -> Answer {
    let bad = if manner == Manner::Legacy { 401 } else { 400 };
    let Some(object) = object(url, method) else {
        return text(bad, "");
    };
    let identified = identify(sessions, request);
    let person = identified.as_ref().ok().copied().flatten();
    let level = required(&object, person);
    if identified.is_err() && level != Level::Bypass {
        let challenge = [("www-authenticate", "Basic realm=\"Authorization Required\"")];
        return with_headers(401, &challenge, "401 Unauthorized");
    }
    match (level, person) {
        (Level::Deny, _) => text(403, "403 Forbidden"),
        (Level::OneFactor, None) => sign_in(request, manner, &object),
        (Level::Bypass, None) => text(200, "200 OK"),
        (Level::Bypass | Level::OneFactor, Some(person)) => allow(request, person),
    }
}

/// None: no method, no URL, or one for which its cookies are not.
fn object(url: Option<String>, method: &str) -> Option<Object> {
    let url = url?;
    let uri: Uri = url.parse().ok()?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_secure = ["https", "wss"].contains(&uri.scheme_str()?);
    let host = uri.host()?;
    let is_ours = host == DOMAIN || host.ends_with(&format!(".{DOMAIN}"));
    (is_method && is_secure && is_ours).then(|| Object {
        method: method.to_owned(),
        url,
        uri,
    })
}

/// By `Authorization`, then by the session. An error: credentials that are none.
fn identify(sessions: &Sessions, request: &Received) -> Result<Option<Person>, ()> {
    let credentials = only(request, "authorization");
    if !credentials.is_empty() {
        let encoded = credentials.strip_prefix("Basic ").ok_or(())?;
        let pair = String::from_utf8(STANDARD.decode(encoded).map_err(drop)?).map_err(drop)?;
        let (name, password) = pair.split_once(':').ok_or(())?;
        return person(name)
            .filter(|one| one.1 == password)
            .map(Some)
            .ok_or(());
    }
    let session = session(request).and_then(|id| sessions.lock().unwrap().get(&id).copied());
    Ok(session.and_then(person))
}

fn person(name: &str) -> Option<Person> {
    PEOPLE.iter().find(|one| one.0 == name)
}

fn session(request: &Received) -> Option<String> {
    let cookies = request.all("cookie");
    let mut pairs = cookies.iter().flat_map(|line| line.split("; "));
    let found = pairs.find_map(|pair| pair.strip_prefix(&format!("{COOKIE}=")));
    found.map(str::to_owned)
}

/// Its `access_control`: the first rule that fits; nobody where none does.
fn required(object: &Object, person: Option<Person>) -> Level {
    let (host, path) = (object.uri.host().unwrap_or_default(), object.uri.path());
    if host != "app.example.com" {
        return Level::Deny;
    }
    if path.starts_with("/public") {
        return Level::Bypass;
    }
    // A rule for a group fits the visitor who has not signed in, too.
    let is_admin = person.is_none_or(|one| one.2.contains(&"admins"));
    if path.starts_with("/finance") && !is_admin {
        return Level::Deny;
    }
    Level::OneFactor
}

fn sign_in(request: &Received, manner: Manner, object: &Object) -> Answer {
    let portal = match manner {
        Manner::Legacy => request
            .uri
            .query()
            .and_then(|query| query.strip_prefix("rd="))
            .map(str::to_owned),
        Manner::Redirect | Manner::Unauthorized => Some(PORTAL.to_owned()),
    };
    let Some(portal) = portal else {
        return text(401, "401 Unauthorized");
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("rd", &object.url)
        .append_pair("rm", &object.method)
        .finish();
    let location = format!("{portal}?{query}");
    let is_script = only(request, "x-requested-with") == "XMLHttpRequest";
    let status = match &*object.method {
        _ if manner == Manner::Unauthorized || is_script || !accepts_html(request) => 401,
        "GET" | "HEAD" | "OPTIONS" => 302,
        _ => 303,
    };
    let body = if object.method == "HEAD" {
        String::new()
    } else {
        let shown = location.replace('&', "&amp;");
        format!("<a href=\"{shown}\">{status}</a>")
    };
    let headers = [
        ("location", &*location),
        ("content-type", "text/html; charset=utf-8"),
    ];
    with_headers(status, &headers, &body)
}

fn accepts_html(request: &Received) -> bool {
    let accept = only(request, "accept");
    let mut kinds = accept.split(',').map(|one| one.split(';').next());
    let first = kinds.next().flatten().unwrap_or_default().trim();
    ["*/*", "text/html"].contains(&first)
        || kinds.any(|kind| kind.is_some_and(|kind| kind.trim() == "text/html"))
}

fn allow(request: &Received, person: Person) -> Answer {
    let (name, _, groups, display, emails) = *person;
    let groups = groups.join(",");
    let mut headers = vec![
        ("remote-user", name.to_owned()),
        ("remote-groups", groups),
        ("remote-name", display.to_owned()),
        (
            "remote-email",
            emails.first().copied().unwrap_or_default().to_owned(),
        ),
    ];
    if let Some(id) = session(request) {
        headers.push(("set-cookie", cookie(&id))); // It was used: it lives on.
    }
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    with_headers(200, &headers, "200 OK")
}

fn cookie(id: &str) -> String {
    format!("{COOKIE}={id}; path=/; domain={DOMAIN}; HttpOnly; secure; SameSite=Lax")
}

fn first_factor(sessions: &Sessions, request: &Received) -> Answer {
    let said: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let (name, password) = (said["username"].as_str(), said["password"].as_str());
    let found = name.and_then(person).filter(|one| Some(one.1) == password);
    let Some(found) = found else {
        let words = r#"{"status":"KO","message":"Authentication failed. Check your credentials."}"#;
        return with_headers(401, &[("content-type", "application/json")], words);
    };
    let id = format!("{:032x}", sessions.lock().unwrap().len() + 0x5e55_1017);
    sessions.lock().unwrap().insert(id.clone(), found.0);
    let target = said["targetURL"].as_str().unwrap_or_default();
    let body = if object(Some(target.to_owned()), "GET").is_some() {
        serde_json::json!({"status": "OK", "data": {"redirect": target}})
    } else {
        serde_json::json!({"status": "OK"})
    };
    let headers = [
        ("content-type", "application/json"),
        ("set-cookie", &*cookie(&id)),
    ];
    with_headers(200, &headers, &body.to_string())
}
