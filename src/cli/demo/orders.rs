//! The demo's order service: orders and what is held in escrow for them.

use super::server::{Ask, Reply, Service};
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of the first order that is made.
const FIRST_NEW: u64 = 100;

#[derive(Default)]
pub(super) struct Orders {
    made: AtomicU64,
}

/// What is known of an order; all of it follows from its number.
pub(super) struct Order {
    id: u64,
    /// In cents.
    amount: u64,
    psp: &'static str,
}

impl Order {
    /// None for what is no order's number; orders count from one.
    pub(super) fn by_id(id: &str) -> Option<Self> {
        let id: u64 = id.parse().ok().filter(|id| *id > 0)?;
        Some(Self {
            id,
            amount: 1250 + id % 40 * 775,
            psp: if id.is_multiple_of(3) {
                "adyen"
            } else {
                "stripe"
            },
        })
    }

    pub(super) fn json(&self, state: &str) -> Value {
        json!({
            "order_id": self.id,
            "amount": self.amount_text(),
            "currency": "EUR",
            "psp": self.psp,
            "state": state,
        })
    }

    /// The headers that the escrow flow's attributes come from.
    pub(super) fn describe(&self, reply: Reply, state: &str) -> Reply {
        reply
            .with(HeaderName::from_static("x-order-id"), self.id)
            .with(
                HeaderName::from_static("x-order-amount"),
                self.amount_text(),
            )
            .with(HeaderName::from_static("x-order-currency"), "EUR")
            .with(HeaderName::from_static("x-order-state"), state)
            .with(HeaderName::from_static("x-psp"), self.psp)
    }

    fn amount_text(&self) -> String {
        format!("{}.{:02}", self.amount / 100, self.amount % 100)
    }
}

impl Service for Orders {
    fn answer(&self, ask: &Ask) -> Reply {
        let segments = ask.segments();
        let ["api", "v1", "orders", rest @ ..] = segments.as_slice() else {
            return Reply::not_found("page");
        };
        match (rest, &ask.method) {
            ([], &Method::GET) => list(),
            ([], &Method::POST) => self.create(),
            ([], _) => Reply::not_allowed("GET, POST"),
            ([id], &Method::GET) => with_order(id, 34, "held"),
            ([id, "hold"], &Method::POST) => with_order(id, 62, "held"),
            ([id, "refund"], &Method::POST) => with_order(id, 128, "refunded"),
            ([_], _) => Reply::not_allowed("GET"),
            ([_, "hold" | "refund"], _) => Reply::not_allowed("POST"),
            _ => Reply::not_found("page"),
        }
    }
}

impl Orders {
    fn create(&self) -> Reply {
        let id = FIRST_NEW + self.made.fetch_add(1, Ordering::Relaxed) % 900;
        let Some(order) = Order::by_id(&id.to_string()) else {
            return Reply::not_found("order");
        };
        let reply = Reply::json(StatusCode::CREATED, 96, order.json("created"));
        order.describe(reply, "created")
    }
}

fn list() -> Reply {
    let orders = ["7", "8", "9"].into_iter().filter_map(Order::by_id);
    let orders: Vec<_> = orders.map(|order| order.json("held")).collect();
    Reply::json(StatusCode::OK, 21, json!({"orders": orders}))
}

fn with_order(id: &str, after_ms: u64, state: &str) -> Reply {
    match Order::by_id(id) {
        Some(order) => {
            let reply = Reply::json(StatusCode::OK, after_ms, order.json(state));
            order.describe(reply, state)
        }
        None => Reply::not_found("order"),
    }
}
