//! Policies by login.

use super::Compiler;
use super::provider::{self, Written};
use crate::auth::oidc::{LogoutRules, OidcSettings, PassToken};
use crate::auth::session::{RefreshFailure, RefreshRules};
use crate::config::decode::Spanned;
use crate::config::raw;
use crate::config::scalar::Purpose;
use std::sync::Arc;
use std::time::Duration;

/// How long before its end a token is renewed if the file does not say.
const REFRESH_BEFORE: Duration = Duration::from_mins(1);
/// What is asked for if the file does not say.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// Compiles one.
pub(super) fn compile(
    name: &Spanned<String>,
    written: &Spanned<raw::Oidc>,
    compiler: &mut Compiler<'_>,
) -> Option<OidcSettings> {
    let oidc = &written.value;
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
    let client = provider::client(
        oidc.client_id.as_ref(),
        oidc.client_secret.as_ref(),
        oidc.client_key.as_ref(),
        oidc.client_auth.as_ref(),
        compiler,
    );
    let pass = pass(oidc.pass.as_ref(), compiler);
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

fn pass(written: Option<&Spanned<raw::Pass>>, compiler: &mut Compiler<'_>) -> Vec<PassToken> {
    let Some(written) = written else {
        return Vec::new();
    };
    let places = [
        (false, &written.value.access_token),
        (true, &written.value.id_token),
    ];
    let mut pass = Vec::new();
    for (is_id_token, header) in places {
        let fields: Vec<_> = header.iter().cloned().collect();
        let names = super::headers::names(&fields, Purpose::Edit, compiler);
        pass.extend(names.into_iter().map(|header| PassToken {
            is_id_token,
            header,
        }));
    }
    pass
}
