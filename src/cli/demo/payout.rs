//! The demo's payout service: pays sellers, with a payment provider that is not always there.

use super::orders::Order;
use super::server::{Ask, Reply, Service};
use http::{HeaderName, Method, StatusCode};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

const FIRST_PAYOUT: u64 = 5000;

#[derive(Default)]
pub(super) struct Payout {
    releases: AtomicU64,
    payouts: AtomicU64,
}

impl Service for Payout {
    fn answer(&self, ask: &Ask) -> Reply {
        match (ask.segments().as_slice(), &ask.method) {
            (["api", "v1", "orders", id, "release"], &Method::POST) => self.release(id),
            (["api", "v1", "orders", _, "release"] | ["payouts"], method)
                if method != Method::POST =>
            {
                Reply::not_allowed("POST")
            }
            (["payouts"], _) => self.pay(),
            (["payouts", id], &Method::GET) => status(id),
            (["payouts", _], _) => Reply::not_allowed("GET"),
            _ => Reply::not_found("page"),
        }
    }
}

impl Payout {
    /// The first one fails, so that a newcomer sees a failure soon; later every third.
    fn release(&self, id: &str) -> Reply {
        let Some(order) = Order::by_id(id) else {
            return Reply::not_found("order");
        };
        let turn = self.releases.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(3) {
            let error = json!({"error": "the payment provider refused", "psp": "timeout"});
            let reply = Reply::json(StatusCode::BAD_GATEWAY, 412, error);
            return order.describe(reply, "held");
        }
        let reply = Reply::json(StatusCode::OK, 118, order.json("released"));
        order.describe(reply, "released")
    }

    fn pay(&self) -> Reply {
        let turn = self.payouts.fetch_add(1, Ordering::Relaxed);
        let id = FIRST_PAYOUT + turn % 1000;
        let (reply, attempt) = if turn % 4 == 3 {
            let error = json!({"error": "the batch could not be booked"});
            (
                Reply::json(StatusCode::INTERNAL_SERVER_ERROR, 260, error),
                2,
            )
        } else {
            let booked = json!({"payout_id": id, "state": "booked"});
            (Reply::json(StatusCode::ACCEPTED, 74, booked), 1)
        };
        describe(reply, id, attempt)
    }
}

fn status(id: &str) -> Reply {
    let Ok(id) = id.parse::<u64>() else {
        return Reply::not_found("payout");
    };
    let paid = json!({"payout_id": id, "state": "paid"});
    describe(Reply::json(StatusCode::OK, 18, paid), id, 1)
}

fn describe(reply: Reply, id: u64, attempt: u64) -> Reply {
    reply
        .with(HeaderName::from_static("x-payout-id"), id)
        .with(
            HeaderName::from_static("x-psp-batch-id"),
            format!("batch-{}", id / 10),
        )
        .with(HeaderName::from_static("x-payout-attempt"), attempt)
}
