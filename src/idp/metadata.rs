//! What the provider says of itself (OpenID Connect Discovery 1.0, section 3).

use super::{ACR_MFA, ACR_PASSWORD, AccountChoice, Endpoint, Provider, Pushed};
use serde_json::{Value, json};

/// The document.
pub(super) fn metadata(provider: &Provider) -> Value {
    let settings = &provider.settings;
    let issuer = provider.faults().metadata_issuer;
    let algorithms: Vec<&str> = settings.algorithms.iter().map(|one| one.name()).collect();
    let ways = [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "none",
    ];
    let mut metadata = json!({
        "issuer": issuer.unwrap_or_else(|| provider.issuer.clone()),
        "authorization_endpoint": provider.url(Endpoint::Authorization),
        "token_endpoint": provider.url(Endpoint::Token),
        "jwks_uri": provider.url(Endpoint::Keys),
        "userinfo_endpoint": provider.url(Endpoint::Userinfo),
        "introspection_endpoint": provider.url(Endpoint::Introspection),
        "revocation_endpoint": provider.url(Endpoint::Revocation),
        "end_session_endpoint": provider.url(Endpoint::Logout),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": ways,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        "acr_values_supported": [ACR_PASSWORD, ACR_MFA],
        "authorization_response_iss_parameter_supported": settings.names_itself,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
    });
    if let Some(metadata) = metadata.as_object_mut()
        && settings.account_choice == AccountChoice::NotTold
    {
        let prompts = json!(["none", "login", "consent"]);
        metadata.insert("prompt_values_supported".to_owned(), prompts);
    }
    if let Some(metadata) = metadata.as_object_mut()
        && settings.pushed != Pushed::No
    {
        let is_required = settings.pushed == Pushed::Required;
        metadata.insert(
            "pushed_authorization_request_endpoint".to_owned(),
            json!(provider.url(Endpoint::Pushed)),
        );
        metadata.insert(
            "require_pushed_authorization_requests".to_owned(),
            json!(is_required),
        );
    }
    metadata
}
