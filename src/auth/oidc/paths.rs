//! The paths of logins, the same on every host.

use std::sync::Arc;

/// What is at a path of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A login begins.
    Start,
    /// A provider leads back.
    Callback,
    /// A session ends.
    Logout,
    /// Who is logged in, for pages of the site.
    Userinfo,
    /// A provider tells us of a logout.
    BackChannel,
    /// A provider has the browser tell us of a logout.
    FrontChannel,
    /// One of several providers is chosen.
    Choose,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::Callback,
        Self::Logout,
        Self::Userinfo,
        Self::BackChannel,
        Self::FrontChannel,
        Self::Choose,
    ];

    /// The last segment of its path.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Callback => "callback",
            Self::Logout => "logout",
            Self::Userinfo => "userinfo",
            Self::BackChannel => "backchannel",
            Self::FrontChannel => "frontchannel",
            Self::Choose => "choose",
        }
    }

    /// What its requests may use, as `Allow` has it.
    pub const fn methods(self) -> &'static str {
        match self {
            Self::Start | Self::Callback | Self::FrontChannel => "GET",
            Self::Userinfo | Self::Choose => "GET, HEAD",
            Self::Logout => "GET, POST",
            Self::BackChannel => "POST",
        }
    }
}

/// Our own paths.
#[derive(Clone, Debug)]
pub struct Paths {
    prefix: Arc<str>,
    whole: Vec<(Endpoint, Arc<str>)>,
    /// Policies that have a callback of their own, and that.
    callbacks: Vec<(Arc<str>, Arc<str>)>,
}

impl Paths {
    /// Below this one, which has no `/` at its end. `own` are the policies that have a callback of
    /// their own.
    pub fn new(prefix: &Arc<str>, own: impl Iterator<Item = Arc<str>>) -> Self {
        let whole = Endpoint::ALL
            .into_iter()
            .map(|one| (one, Arc::from(format!("{prefix}/{}", one.word()))));
        let callback = |policy: Arc<str>| {
            let path = format!("{prefix}/{}/{policy}", Endpoint::Callback.word());
            (policy, Arc::from(path))
        };
        Self {
            prefix: Arc::clone(prefix),
            whole: whole.collect(),
            callbacks: own.map(callback).collect(),
        }
    }

    /// What is at a path; None: nothing of ours.
    pub fn find(&self, path: &str) -> Option<(Endpoint, &Arc<str>)> {
        let rest = path.strip_prefix(&*self.prefix)?.strip_prefix('/')?;
        let mut all = self.whole.iter();
        if let Some((endpoint, whole)) = all.find(|(one, _)| one.word() == rest) {
            return Some((*endpoint, whole));
        }
        let mut own = self.callbacks.iter();
        let (_, whole) = own.find(|(_, whole)| **whole == *path)?;
        Some((Endpoint::Callback, whole))
    }

    /// Where the provider of a policy leads back to.
    pub fn callback(&self, policy: &str) -> String {
        let mut own = self.callbacks.iter();
        let own = own.find(|(name, _)| **name == *policy);
        own.map_or_else(|| self.of(Endpoint::Callback), |(_, path)| path.to_string())
    }

    /// Where it is.
    pub fn of(&self, endpoint: Endpoint) -> String {
        format!("{}/{}", self.prefix, endpoint.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_ours() {
        let own = ["guests".into()].into_iter();
        let paths = Paths::new(&"/oauth2".into(), own);
        let find = |path: &str| paths.find(path).map(|(endpoint, _)| endpoint);

        assert_eq!(find("/oauth2/callback"), Some(Endpoint::Callback));
        assert_eq!(find("/oauth2/userinfo"), Some(Endpoint::Userinfo));
        assert_eq!(find("/oauth2/callback/guests"), Some(Endpoint::Callback));
        assert_eq!(paths.callback("guests"), "/oauth2/callback/guests");
        assert_eq!(paths.callback("staff"), "/oauth2/callback");
        for other in [
            "/oauth2",
            "/oauth2/",
            "/oauth2/callback/",
            "/oauth2/callback/staff",
            "/oauth2/callback/guests/",
            "/oauth2/callback/Guests",
            "/oauth2/logout/guests",
            "/oauth2/Callback",
            "/oauth2//callback",
            "/oauth2x/callback",
            "/a/oauth2/callback",
            "/oauth2/token",
        ] {
            assert_eq!(find(other), None, "{other}");
        }
    }
}
