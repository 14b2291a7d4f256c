//! `edgespan demo`: small services that know nothing of tracing, a configuration for the gateway
//! before them, a provider at which people log in, and a client that sends sample traffic.
//!
//! Everything is in this process and on loopback, on ports that the system picks.

mod chat;
mod login;
mod orders;
mod payout;
mod server;
mod traffic;
mod yaml;

pub use traffic::traffic;
pub use yaml::config_text;

use crate::idp::{Client, IdentityProvider, Proof, Redirect, Settings, SigningAlgorithm};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the gateway is called at the provider.
const CLIENT: &str = "demo";

/// Where the provider leads back to.
const CALLBACK: &str = "/oauth2/callback";

/// The four services and the provider, serving until dropped.
pub struct Services {
    login: SocketAddr,
    orders: SocketAddr,
    chat: SocketAddr,
    payout: SocketAddr,
    provider: IdentityProvider,
    /// Dropped with the services, and their connections with it.
    _serving: JoinSet<()>,
}

impl Services {
    /// Binds all five to free ports of 127.0.0.1 and serves.
    ///
    /// # Errors
    /// If the system has no port to give, or no randomness for keys.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // Cookies ignore ports: the gateway's begin with `edgespan`.
        let settings = Settings {
            algorithms: vec![SigningAlgorithm::Es256, SigningAlgorithm::Rs256],
            cookie: "demo-provider".to_owned(),
            ..Settings::default()
        };
        let mut serving = JoinSet::new();
        Ok(Self {
            login: server::start(login::Login::default(), &mut serving).await?,
            orders: server::start(orders::Orders::default(), &mut serving).await?,
            chat: server::start(chat::Chat::default(), &mut serving).await?,
            payout: server::start(payout::Payout::default(), &mut serving).await?,
            provider: IdentityProvider::start(listener, settings).await?,
            _serving: serving,
        })
    }

    /// Makes the gateway known to the provider, which leads people back to it by any name of this
    /// machine, and tells it of logouts at this address.
    pub fn introduce(&self, gateway: SocketAddr) {
        let loopback = |path: &str| Redirect::Loopback(path.to_owned());
        let address = traffic::reachable(gateway);
        self.provider.register(Client {
            id: CLIENT.to_owned(),
            proofs: vec![Proof::Nothing],
            redirects: vec![loopback(CALLBACK)],
            logout_redirects: vec![loopback("/oauth2/logout")],
            backchannel_logout: Some(format!("http://{address}/oauth2/backchannel")),
            frontchannel_logout: None,
            access_audience: None,
        });
    }

    /// What the provider calls itself.
    pub fn issuer(&self) -> &str {
        self.provider.issuer()
    }

    /// Names and ports, in the order in which they are shown.
    pub const fn ports(&self) -> [(&'static str, u16); 4] {
        [
            ("login", self.login.port()),
            ("orders", self.orders.port()),
            ("chat", self.chat.port()),
            ("payout", self.payout.port()),
        ]
    }
}

#[cfg(test)]
mod tests;
