//! Login by OpenID Connect: authorization code with PKCE, against any provider.
//!
//! [`Oidc`] is one policy: it knows a session, or offers a login. [`Logins`] is what all policies
//! of a file share: the paths, the cookies, the logins that have begun.

mod settings;
mod spent;
pub mod ticket;

pub use settings::{
    LoginSettings, LogoutRules, OidcSettings, PageSettings, PassToken, ReturnTargets,
    WebhookSettings,
};

pub use spent::{OnceId, Spent};

use super::provider::Provider;
use super::seal::Sealer;
use super::session::Sessions;
use super::{Asked, DecisionSpan, Reason, Verdict};
use std::sync::Arc;

/// One policy of login, at work.
pub struct Oidc {
    /// What it was made of.
    pub settings: OidcSettings,
    /// Who logs in.
    pub provider: Arc<Provider>,
    /// The policy's name.
    pub name: Arc<str>,
}

/// What the logins of a file share, at work.
pub struct Logins {
    /// What the file says.
    pub settings: LoginSettings,
    /// What seals.
    pub sealer: Arc<Sealer>,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// The policies, in the file's order.
    pub policies: Vec<Arc<Oidc>>,
}

impl Oidc {
    /// Decides about a request by its session; without one it abstains, and offers a login.
    pub async fn check(
        &self,
        _sessions: &Sessions,
        _asked: &Asked<'_>,
        _span: &mut DecisionSpan<'_, '_>,
    ) -> Verdict {
        std::future::ready(Verdict::abstain(Reason::NoCredential)).await
    }
}
