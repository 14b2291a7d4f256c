//! Several origins on one port, each at a loopback address of its own: what a name stands for.

use super::origin::{Origin, Received, Speaks, text};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

pub struct Fleet {
    pub port: u16,
    pub origins: Vec<Origin>,
    connections: Vec<Arc<AtomicUsize>>,
}

impl Fleet {
    /// Origins at 127.0.0.1, 127.0.0.2 and so on.
    pub async fn start(count: u8) -> Self {
        let listeners = listeners(count).await;
        let port = listeners[0].local_addr().unwrap().port();
        let mut fleet = Self {
            port,
            origins: Vec::new(),
            connections: Vec::new(),
        };
        for listener in listeners {
            let origin = Origin {
                address: listener.local_addr().unwrap(),
                ..Origin::detached()
            };
            let connections = Arc::new(AtomicUsize::new(0));
            fleet.origins.push(origin.clone());
            fleet.connections.push(Arc::clone(&connections));
            tokio::spawn(async move {
                let answer = Arc::new(|_: &Received| text(200, "hello"));
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let origin = origin.clone();
                    tokio::spawn(origin.connection(stream, Speaks::Http1, Arc::clone(&answer)));
                }
            });
        }
        fleet
    }

    /// How many requests each has got.
    pub fn received(&self) -> Vec<usize> {
        let all = self.origins.iter();
        all.map(|origin| origin.received().len()).collect()
    }

    /// How many connections each has got.
    pub fn connections(&self) -> Vec<usize> {
        let all = self.connections.iter();
        all.map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// A port that is free at all these addresses.
async fn listeners(count: u8) -> Vec<TcpListener> {
    'attempt: for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut all = vec![first];
        for last in 2..=count {
            let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
            match TcpListener::bind(address).await {
                Ok(listener) => all.push(listener),
                Err(_) => continue 'attempt,
            }
        }
        return all;
    }
    panic!("no port is free at {count} addresses");
}
