//! `edgespan demo`: small services that know nothing of tracing, a configuration for the gateway
//! before them, and a client that sends sample traffic.
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

use std::io;
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// The four services, serving until dropped.
pub struct Services {
    login: SocketAddr,
    orders: SocketAddr,
    chat: SocketAddr,
    payout: SocketAddr,
    /// Dropped with the services, and their connections with it.
    _serving: JoinSet<()>,
}

impl Services {
    /// Binds all four to free ports of 127.0.0.1 and serves.
    ///
    /// # Errors
    /// If the system has no port to give.
    pub async fn start() -> io::Result<Self> {
        let mut serving = JoinSet::new();
        Ok(Self {
            login: server::start(login::Login::default(), &mut serving).await?,
            orders: server::start(orders::Orders::default(), &mut serving).await?,
            chat: server::start(chat::Chat::default(), &mut serving).await?,
            payout: server::start(payout::Payout::default(), &mut serving).await?,
            _serving: serving,
        })
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
