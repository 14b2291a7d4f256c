//! What is known of one login of one browser.

use crate::auth::Identity;
use crate::secret::Secret;
use serde_json::{Map, Value};
use std::any::Any;
use std::sync::{Arc, OnceLock, Weak};

/// One login of one browser. Its `Debug` text says nothing of whose it is.
#[derive(Clone)]
pub struct Session {
    /// Random, 128 bits; new with each login.
    pub id: Arc<str>,
    /// The policy that it was logged in by.
    pub policy: Arc<str>,
    /// `iss`
    pub issuer: Arc<str>,
    /// `sub`
    pub subject: Arc<str>,
    /// `sid` of the provider, by which it ends sessions.
    pub sid: Option<Arc<str>>,
    /// Claims of the ID token, and of userinfo where it is asked; `email`, `groups`, `acr`, `amr`
    /// and `auth_time` among them.
    pub claims: Map<String, Value>,
    /// What the provider gave.
    pub tokens: SessionTokens,
    /// When it was logged in, as Unix seconds.
    pub began: u64,
    /// When it was last used, as Unix seconds; told anew only now and then.
    pub seen: u64,
    /// Whom it proves, once that was asked.
    pub proves: Proves,
}

/// Whom a session proves by the rules of its policy, made out once for all requests that bring it. A
/// copy of a session begins anew, since it is made to become another one.
///
/// The rules are told by their address. The weak pointer keeps it taken, so that no others can ever
/// stand there.
#[derive(Default)]
pub struct Proves(OnceLock<(Weak<dyn Any + Send + Sync>, Arc<Identity>)>);

impl Clone for Proves {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Proves {
    /// What `make` makes of the session by these rules. After a reload others may ask: what was made
    /// by the rules before is nothing to them.
    pub fn by<R: Any + Send + Sync>(
        &self,
        rules: &Arc<R>,
        make: impl FnOnce() -> Option<Identity>,
    ) -> Option<Arc<Identity>> {
        if let Some((made_by, known)) = self.0.get()
            && std::ptr::addr_eq(made_by.as_ptr(), Arc::as_ptr(rules))
        {
            return Some(Arc::clone(known));
        }
        let made = Arc::new(make()?);
        let rules: Weak<R> = Arc::downgrade(rules);
        // Whoever was first stays.
        let _first = self.0.set((rules, Arc::clone(&made)));
        Some(made)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Session({})", self.policy)
    }
}

/// Tokens of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionTokens {
    /// For the origin, where it is told to get it, and for userinfo.
    pub access: Option<Secret>,
    /// Until when the access token is valid, as Unix seconds; None: not told.
    pub access_until: Option<u64>,
    /// For the logout at the provider.
    pub id: Option<Secret>,
    /// For new ones.
    pub refresh: Option<Secret>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Proof;

    fn ada(group: &str) -> Option<Identity> {
        Some(Identity {
            subject: Some(Arc::from("ada")),
            groups: vec![Arc::from(group)],
            claims: Map::new(),
            proof: Proof::Oidc,
            policy: Arc::from("web"),
        })
    }

    #[test]
    fn who_it_is_is_made_out_once_by_the_same_rules_and_anew_by_others_and_for_a_copy() {
        let (rules, others) = (Arc::new(7), Arc::new(7));
        let proves = Proves::default();

        let first = proves.by(&rules, || ada("ops")).unwrap();

        assert!(Arc::ptr_eq(
            &first,
            &proves.by(&rules, || ada("dev")).unwrap()
        ));
        assert_eq!(
            *proves.by(&others, || ada("dev")).unwrap(),
            ada("dev").unwrap()
        );
        assert_eq!(
            *proves.clone().by(&rules, || ada("dev")).unwrap(),
            ada("dev").unwrap()
        );
        assert!(Proves::default().by(&rules, || None).is_none());
    }
}
