//! WebSockets: how many are open, what they carry, how they end.

use super::Metrics;
use super::exposition::{Exposition, Family, Kind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Who closed a WebSocket, or whose connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketSide {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
    /// edgespan: a bound was reached, or it leaves.
    Edgespan,
}

impl WebSocketSide {
    /// As spans and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Edgespan => "edgespan",
        }
    }
}

/// The codes that have a series of their own; what applications define is one series, whatever
/// else is another.
const CODES: [(u16, &str); 15] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1010, "1010"),
    (1011, "1011"),
    (1012, "1012"),
    (1013, "1013"),
    (1014, "1014"),
    (3000, "application"),
];
const OTHER: usize = CODES.len();

const SIDES: [WebSocketSide; 3] = [
    WebSocketSide::Client,
    WebSocketSide::Upstream,
    WebSocketSide::Edgespan,
];

/// All WebSockets.
#[derive(Default)]
pub(super) struct WebSocketMetrics {
    open: AtomicI64,
    from_client: AtomicU64,
    from_upstream: AtomicU64,
    /// By side, by code.
    closes: [[AtomicU64; OTHER + 1]; SIDES.len()],
}

/// One open WebSocket. Dropping it counts it as closed.
#[must_use = "dropping it counts the WebSocket as closed"]
pub struct WebSocketGuard(Arc<Metrics>);

impl Drop for WebSocketGuard {
    fn drop(&mut self) {
        self.0.websocket.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WebSocketGuard {
    /// A message of the client (or of the upstream) has passed.
    pub fn message(&self, from_client: bool) {
        let count = if from_client {
            &self.0.websocket.from_client
        } else {
            &self.0.websocket.from_upstream
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// It was closed, with this code (RFC 6455 section 7.4.1).
    pub fn closed(&self, by: WebSocketSide, code: u16) {
        let code = if (3000..5000).contains(&code) {
            3000
        } else {
            code
        };
        let place = CODES.iter().position(|(known, _)| *known == code);
        let side = SIDES.iter().position(|side| *side == by);
        let counts = side.and_then(|side| self.0.websocket.closes.get(side));
        if let Some(count) = counts.and_then(|counts| counts.get(place.unwrap_or(OTHER))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl WebSocketMetrics {
    pub(super) fn opened(metrics: &Arc<Metrics>) -> WebSocketGuard {
        metrics.websocket.open.fetch_add(1, Ordering::Relaxed);
        WebSocketGuard(Arc::clone(metrics))
    }

    pub(super) fn render(&self, page: &mut Exposition) {
        page.family(Family {
            name: "edgespan_websockets_open",
            kind: Kind::Gauge,
            help: "WebSockets that are open.",
        });
        page.sample(&[], self.open.load(Ordering::Relaxed));
        page.family(Family {
            name: "edgespan_websocket_messages",
            kind: Kind::Counter,
            help: "Messages that passed, by who sent them.",
        });
        for (from, count) in [
            ("client", &self.from_client),
            ("upstream", &self.from_upstream),
        ] {
            page.sample(&[("from", from)], count.load(Ordering::Relaxed));
        }
        page.family(Family {
            name: "edgespan_websocket_closes",
            kind: Kind::Counter,
            help: "WebSockets that ended, by who closed them and the code of the close.",
        });
        let codes = CODES.iter().map(|(_, text)| *text).chain(["other"]);
        for (side, counts) in SIDES.iter().zip(&self.closes) {
            for (code, count) in codes.clone().zip(counts) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    page.sample(&[("by", side.as_str()), ("code", code)], count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::TextFormat;
    use super::*;

    fn page(metrics: &Metrics) -> String {
        let mut page = Exposition::new(TextFormat::OpenMetrics);
        metrics.websocket.render(&mut page);
        page.finish()
    }

    #[test]
    fn a_websocket_is_open_until_it_is_dropped_and_its_close_is_counted_by_code() {
        let metrics = Metrics::new();
        let socket = metrics.websocket();
        socket.message(true);
        socket.message(false);
        socket.message(false);
        assert!(page(&metrics).contains("edgespan_websockets_open 1"));

        socket.closed(WebSocketSide::Client, 1001);
        socket.closed(WebSocketSide::Upstream, 4321);
        socket.closed(WebSocketSide::Edgespan, 77);
        drop(socket);

        let page = page(&metrics);
        for line in [
            "edgespan_websockets_open 0",
            "edgespan_websocket_messages_total{from=\"client\"} 1",
            "edgespan_websocket_messages_total{from=\"upstream\"} 2",
            "edgespan_websocket_closes_total{by=\"client\",code=\"1001\"} 1",
            "edgespan_websocket_closes_total{by=\"upstream\",code=\"application\"} 1",
            "edgespan_websocket_closes_total{by=\"edgespan\",code=\"other\"} 1",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }
}
