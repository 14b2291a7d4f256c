//! The request for authorization (OpenID Connect Core 1.0 section 3.1.2.1; PKCE, RFC 7636; pushed,
//! RFC 9126).

use super::complete::age_max;
use super::flow::Flow;
use super::{Logins, Oidc};
use crate::auth::DecisionSpan;
use crate::auth::provider::{Metadata, ProviderError};
use crate::auth::random;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;
use url::Url;

/// `prompt` by which another account can be chosen; not every provider knows it.
pub const PROMPT_ACCOUNT: &str = "select_account";
/// `prompt` by which whoever comes logs in anew.
pub const PROMPT_LOGIN: &str = "login";

impl Logins {
    /// Where the provider of a policy leads a browser back to that is at `site`.
    pub fn redirect_uri(&self, site: &super::Site, policy: &str) -> String {
        let origin = match &self.settings.callback_origin {
            Some(origin) => origin.origin().ascii_serialization(),
            None => site.origin(),
        };
        format!("{origin}{}", self.paths.callback(policy))
    }
}

impl Oidc {
    /// Whether what it wants to ask goes to the provider beforehand, so that a call is made for it.
    pub fn pushes(&self) -> bool {
        self.settings.pushed != Some(false)
    }

    /// Where a browser is sent to log in.
    ///
    /// # Errors
    /// [`ProviderError`], if the provider does not say where, or does not take the request.
    pub async fn authorization(
        &self,
        flow: &Flow,
        mut span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Url, ProviderError> {
        let metadata = self.provider.metadata(span.as_deref_mut()).await?;
        let prompt = self.prompt(flow, &metadata);
        let asked = self.address(flow, prompt, &metadata, span.as_deref_mut());
        match asked.await {
            // It says nowhere that it does not know this.
            Err(ProviderError::Refused("invalid_request")) if prompt == Some(PROMPT_ACCOUNT) => {
                self.address(flow, Some(PROMPT_LOGIN), &metadata, span)
                    .await
            }
            asked => asked,
        }
    }

    /// What the provider is to ask of whoever comes. One that does not know how another account is
    /// chosen lets somebody log in anew.
    fn prompt<'a>(&'a self, flow: &'a Flow, metadata: &Metadata) -> Option<&'a str> {
        let wanted = flow.prompt.as_deref().or(self.settings.prompt.as_deref())?;
        let knows = |prompt: &str| metadata.prompts.iter().any(|one| one == prompt);
        let is_unknown = !metadata.prompts.is_empty() && !knows(wanted);
        if wanted == PROMPT_ACCOUNT && is_unknown && knows(PROMPT_LOGIN) {
            Some(PROMPT_LOGIN)
        } else {
            Some(wanted)
        }
    }

    /// Where a browser is sent, what is asked left there beforehand if that is offered.
    async fn address(
        &self,
        flow: &Flow,
        prompt: Option<&str>,
        metadata: &Metadata,
        span: Option<&mut DecisionSpan<'_, '_>>,
    ) -> Result<Url, ProviderError> {
        let endpoint = metadata.authorization.clone();
        let mut endpoint = endpoint.ok_or(ProviderError::NoEndpoint("authorization endpoint"))?;
        let parameters = self.parameters(flow, prompt);
        let offered = metadata.pushed_authorization.is_some();
        let pushes = match self.settings.pushed {
            Some(always) => always || metadata.requires_pushed,
            None => offered,
        };
        if pushes {
            let borrowed: Vec<(&str, &str)> = parameters
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            let pushed = self.provider.push(&self.settings.client, &borrowed, span);
            let request_uri = pushed.await?;
            endpoint
                .query_pairs_mut()
                .append_pair("client_id", &self.settings.client.id)
                .append_pair("request_uri", &request_uri);
        } else {
            endpoint.query_pairs_mut().extend_pairs(&parameters);
        }
        Ok(endpoint)
    }

    fn parameters<'a>(
        &'a self,
        flow: &'a Flow,
        prompt: Option<&'a str>,
    ) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        let settings = &self.settings;
        let mut parameters: Vec<(Cow<'a, str>, Cow<'a, str>)> = vec![
            ("response_type".into(), "code".into()),
            ("client_id".into(), Cow::Borrowed(&settings.client.id)),
            ("redirect_uri".into(), Cow::Borrowed(&flow.redirect_uri)),
            ("scope".into(), settings.scopes.join(" ").into()),
            ("state".into(), flow.state().into()),
            ("nonce".into(), Cow::Borrowed(&flow.nonce)),
            ("code_challenge".into(), challenge(&flow.verifier).into()),
            ("code_challenge_method".into(), "S256".into()),
        ];
        let offer = flow.offers.first();
        let wanted = offer.map_or(&[][..], |offer| &offer.acr_values);
        let acr_values = if wanted.is_empty() {
            &settings.acr_values
        } else {
            wanted
        };
        if !acr_values.is_empty() {
            parameters.push(("acr_values".into(), acr_values.join(" ").into()));
        }
        if let Some(age) = age_max(settings, flow) {
            parameters.push(("max_age".into(), age.as_secs().to_string().into()));
        }
        if let Some(prompt) = prompt {
            parameters.push(("prompt".into(), prompt.into()));
        }
        let ours: Vec<String> = parameters
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        // What the file adds never takes the place of what keeps a login safe.
        let further = settings.parameters.iter().filter(|(name, _)| {
            let reserved = ["request", "request_uri", "response_mode", "client_secret"];
            !ours.iter().any(|own| **own == **name) && !reserved.contains(&&**name)
        });
        parameters.extend(further.map(|(name, value)| (Cow::from(&**name), Cow::from(&**value))));
        parameters
    }
}

/// `code_challenge` of a verifier: S256.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// A new id of a session: 128 random bits.
pub(super) fn session_id() -> Option<String> {
    random::text::<16>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_that_of_the_specification() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
