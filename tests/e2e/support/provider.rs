//! The OpenID Provider of `edgespan::idp`, and a proxy that logs in at it.

use super::origin::Origin;
use super::proxy::{Proxy, Setup};
use edgespan::idp::{Client, IdentityProvider, Redirect, Settings};
use tokio::net::TcpListener;

/// The client that edgespan is there, unless a test makes its own.
pub const CLIENT: &str = "portal";

/// Its secret.
pub const SECRET: &str = "the-portals-secret";

/// A provider with ada and bob, without a client yet.
pub async fn provider() -> IdentityProvider {
    provider_with(Settings::default()).await
}

pub async fn provider_with(settings: Settings) -> IdentityProvider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    IdentityProvider::start(listener, settings).await.unwrap()
}

/// The client of a proxy that its browsers know by this origin, such as
/// `https://app.example.com`: callback and logouts at `/oauth2`.
pub fn client_at(origin: &str) -> Client {
    let mut client = Client::new(
        CLIENT,
        SECRET,
        Redirect::Exactly(format!("{origin}/oauth2/callback")),
    );
    client.logout_redirects = vec![
        Redirect::Exactly(origin.to_owned()),
        Redirect::Exactly(format!("{origin}/")),
        Redirect::Exactly(format!("{origin}/oauth2/logout")),
    ];
    client
}

/// A file with the policy `staff`, a login at this provider, before everything of this origin.
/// `further` stands inside `oidc`: `, userinfo: true`.
pub fn protected(provider: &IdentityProvider, origin: &Origin, further: &str) -> Setup {
    Setup::new(&format!(
        "listeners: {{web: {{address: '127.0.0.1:0', trusted_proxies: [127.0.0.1/32]}}}}\n\
         upstreams: {{origin: {{service: content, endpoints: ['http://${{origin}}']}}}}\n\
         auth: {{staff: {{oidc: {{issuer: '{}', client_id: {CLIENT}, client_secret: {SECRET}\
         {further}}}}}}}\n\
         routes: [{{name: all, match: {{prefix: /}}, upstream: origin, auth: staff}}]\n",
        provider.issuer()
    ))
    .origin(origin)
}

/// Makes the proxy known to the provider by its own address and by `https://app.example.com`;
/// the former is given back, for browsers.
pub fn introduce(provider: &IdentityProvider, proxy: &Proxy) -> String {
    let own = format!("http://{}", proxy.address);
    let mut client = client_at(&own);
    let named = client_at("https://app.example.com");
    client.redirects.extend(named.redirects);
    client.logout_redirects.extend(named.logout_redirects);
    client.backchannel_logout = Some(format!("{own}/oauth2/backchannel"));
    provider.register(client);
    own
}
