//! The hosts that a listener in decision mode answers, each at a path of its own.

use std::sync::Arc;

/// How a host proxy tells of a request and what it makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// nginx' `auth_request`: only 2xx, 401 and 403 mean something to it.
    Nginx,
    /// Traefik's `ForwardAuth`.
    Traefik,
    /// Caddy's `forward_auth`.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: the request's own path stands behind the endpoint's.
    Envoy,
    /// Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`.
    EnvoyGrpc,
    /// HAProxy, by the Lua script among the examples.
    Haproxy,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nginx,
        Self::Traefik,
        Self::Caddy,
        Self::Envoy,
        Self::EnvoyGrpc,
        Self::Haproxy,
    ];

    /// As configuration, command line and spans name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::EnvoyGrpc => "envoy_grpc",
            Self::Haproxy => "haproxy",
        }
    }

    /// Where it is asked unless the file says otherwise.
    pub const fn default_path(self) -> &'static str {
        match self {
            Self::Nginx => "/auth/nginx",
            Self::Traefik => "/auth/traefik",
            Self::Caddy => "/auth/caddy",
            Self::Envoy => "/auth/envoy",
            Self::EnvoyGrpc => "/envoy.service.auth.v3.Authorization/Check",
            Self::Haproxy => "/auth/haproxy",
        }
    }
}

/// Where hosts ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionSettings {
    endpoints: Vec<(Dialect, Arc<str>)>,
}

impl DecisionSettings {
    /// With these endpoints. No path is another one's, nor below Envoy's.
    pub const fn new(endpoints: Vec<(Dialect, Arc<str>)>) -> Self {
        Self { endpoints }
    }

    /// The endpoints.
    pub fn endpoints(&self) -> &[(Dialect, Arc<str>)] {
        &self.endpoints
    }

    /// Who asks at this path, which is normalised, and the endpoint's own path.
    pub fn find(&self, path: &str) -> Option<(Dialect, &Arc<str>)> {
        self.endpoints.iter().find_map(|(dialect, own)| {
            let rest = path.strip_prefix(&**own)?;
            let is_it = match dialect {
                Dialect::Envoy => rest.starts_with('/'),
                Dialect::Nginx
                | Dialect::Traefik
                | Dialect::Caddy
                | Dialect::EnvoyGrpc
                | Dialect::Haproxy => rest.is_empty(),
            };
            is_it.then_some((*dialect, own))
        })
    }

    /// The path of a dialect, if it is spoken.
    pub fn path_of(&self, dialect: Dialect) -> Option<&Arc<str>> {
        let found = self.endpoints.iter().find(|(one, _)| *one == dialect)?;
        Some(&found.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Dialect>) {
        let endpoints = Dialect::ALL.map(|one| (one, Arc::from(one.default_path())));
        let settings = DecisionSettings::new(endpoints.to_vec());

        let found = settings.find(path).map(|(dialect, _)| dialect);

        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_path_is_one_dialects_and_envoys_has_the_clients_own_behind_it() {
        check("/auth/nginx", Some(Dialect::Nginx));
        check("/auth/nginx/", None);
        check("/auth/nginxx", None);
        check("/auth/envoy/", Some(Dialect::Envoy));
        check("/auth/envoy/a/b", Some(Dialect::Envoy));
        check("/auth/envoy", None);
        check("/auth/envoyadmin", None);
        check("/", None);
    }
}
