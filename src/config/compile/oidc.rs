//! Policies by login.

use super::provider::{self, Prover, Written};
use super::{Compiler, identity};
use crate::auth::oidc::{LogoutRules, OidcSettings, PassToken};
use crate::auth::session::{RefreshFailure, RefreshRules};
use crate::config::decode::Spanned;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::raw;
use std::sync::Arc;
use std::time::Duration;

/// How long before its end a token is renewed if the file does not say.
const REFRESH_BEFORE: Duration = Duration::from_mins(1);
/// What is asked for if the file does not say.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Parameters of a login that keep it safe, or that have a key of their own.
const OWN_PARAMETERS: [&str; 12] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Compiles one.
pub(super) fn compile(
    name: &Spanned<String>,
    written: &Spanned<raw::Oidc>,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> Option<OidcSettings> {
    let oidc = &written.value;
    for path in oidc.subject.iter().chain(&oidc.groups.0) {
        provider::check_claim_path(path, compiler);
    }
    check_request(oidc, compiler);
    let settings = provider::provider(
        &Written {
            issuer: oidc.issuer.as_ref(),
            jwks: oidc.jwks.as_ref(),
            endpoints: oidc.endpoints.as_ref(),
            introspection: None,
            tls: oidc.tls.as_ref(),
            timeout: oidc.timeout.as_ref(),
            refresh: None,
        },
        compiler,
    );
    let client = provider::client(&prover(oidc), compiler);
    let pass = pass(oidc.pass.as_ref(), config, compiler);
    let logout = oidc.logout.as_ref().map(|one| &one.value);
    let on = |setting: Option<&Spanned<bool>>| setting.is_none_or(|one| one.value);
    let age_max = oidc.login_age_max.as_ref();
    Some(OidcSettings {
        provider: settings?,
        client: client?,
        label: Arc::from(oidc.label.as_ref().unwrap_or(name).value.as_str()),
        scopes: scopes(&oidc.scopes),
        algorithms: provider::algorithms(&oidc.algorithms, compiler),
        acr_values: texts(&oidc.acr_values),
        prompt: oidc
            .prompt
            .as_ref()
            .map(|one| Arc::from(one.value.as_str())),
        login_age_max: age_max.map(|_| compiler.duration_or(age_max, Duration::MAX)),
        parameters: oidc
            .parameters
            .iter()
            .map(|(name, value)| {
                (
                    Arc::from(name.value.as_str()),
                    Arc::from(value.value.as_str()),
                )
            })
            .collect(),
        pushed: match oidc.pushed.as_ref().map(|one| one.value) {
            Some(raw::Pushed::Always) => Some(true),
            Some(raw::Pushed::Never) => Some(false),
            Some(raw::Pushed::Auto) | None => None,
        },
        userinfo: oidc.userinfo.as_ref().is_some_and(|one| one.value),
        subject: provider::claim_path(oidc.subject.as_ref().map_or("sub", |path| &path.value)),
        groups: provider::claim_paths(&oidc.groups.0, "groups"),
        leeway: provider::leeway(oidc.leeway.as_ref(), compiler),
        refresh: Some(refresh(
            oidc.refresh.as_ref().map(|one| &one.value),
            compiler,
        )),
        pass,
        logout: LogoutRules {
            at_provider: on(logout.and_then(|one| one.at_provider.as_ref())),
            revoke: on(logout.and_then(|one| one.revoke.as_ref())),
        },
        own_callback: oidc.callback.as_ref().map(|one| one.value) == Some(raw::Callback::Own),
    })
}

/// Who edgespan is at the provider.
fn prover(oidc: &raw::Oidc) -> Prover<'_> {
    Prover {
        id: oidc.client_id.as_ref(),
        secret: oidc.client_secret.as_ref(),
        key: oidc.client_key.as_ref(),
        auth: oidc.client_auth.as_ref(),
        audience: oidc.client_audience.as_ref(),
    }
}

fn texts(written: &[Spanned<String>]) -> Vec<Arc<str>> {
    written
        .iter()
        .map(|one| Arc::from(one.value.as_str()))
        .collect()
}

/// `openid` is among them in any case: without it there is no ID token.
fn scopes(written: &[Spanned<String>]) -> Vec<Arc<str>> {
    let mut scopes = texts(written);
    if scopes.is_empty() {
        return SCOPES.into_iter().map(Arc::from).collect();
    }
    if !scopes.iter().any(|scope| &**scope == "openid") {
        scopes.insert(0, Arc::from("openid"));
    }
    scopes
}

fn refresh(written: Option<&raw::Refresh>, compiler: &mut Compiler<'_>) -> RefreshRules {
    let failure = written.and_then(|one| one.on_failure.as_ref());
    RefreshRules {
        before: compiler.duration_or(written.and_then(|one| one.before.as_ref()), REFRESH_BEFORE),
        on_failure: match failure.map(|one| one.value) {
            Some(raw::OnRefreshFailure::LogOut) => RefreshFailure::LogOut,
            Some(raw::OnRefreshFailure::KeepUntilExpiry) | None => RefreshFailure::KeepUntilExpiry,
        },
    }
}

/// What a provider is asked for beside what every login asks for.
fn check_request(oidc: &raw::Oidc, compiler: &mut Compiler<'_>) {
    if let Some(prompt) = oidc.prompt.as_ref().filter(|one| one.value == "none") {
        let message = "nobody could log in: the provider shows no page";
        let diagnostic = Diagnostic::at(Code::Unfit, &prompt.span, message);
        compiler.tell(diagnostic.help("such as `login`, `consent` or `select_account`"));
    }
    for (name, _) in oidc.parameters.iter() {
        if OWN_PARAMETERS.contains(&name.value.as_str()) {
            let message = format!("`{}` of a login is edgespan's own to say", name.value);
            let diagnostic = Diagnostic::at(Code::Unfit, &name.span, message);
            compiler.tell(match name.value.as_str() {
                "scope" => diagnostic.help("`scopes` of the policy says what is asked for"),
                "redirect_uri" => diagnostic.help("`login.callback_origin` says which host"),
                _ => diagnostic,
            });
        }
    }
}

/// Where tokens go. Each has a field of its own, which nothing else of the file writes.
fn pass(
    written: Option<&Spanned<raw::Pass>>,
    config: &raw::Config,
    compiler: &mut Compiler<'_>,
) -> Vec<PassToken> {
    let Some(written) = written else {
        return Vec::new();
    };
    let places = [
        (false, &written.value.access_token),
        (true, &written.value.id_token),
    ];
    let mut pass: Vec<PassToken> = Vec::new();
    for (is_id_token, header) in places {
        let Some(header) = header else { continue };
        let Some(name) = compiler.token_header(&header.span, &header.value.0) else {
            continue;
        };
        let taken = pass.iter().any(|other| other.header == name);
        if taken || identity::says(config, &name) {
            let message = format!("`{name}` would hold two things");
            let diagnostic = Diagnostic::at(Code::DuplicateName, &header.span, message);
            compiler.tell(diagnostic.label(if taken {
                "the other token goes there"
            } else {
                "`identity` writes it"
            }));
        }
        pass.push(PassToken {
            is_id_token,
            header: name,
        });
    }
    pass
}
