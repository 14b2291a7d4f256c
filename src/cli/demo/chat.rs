//! The demo's chat service: threads of messages, and a stream of what happens in one.

use super::server::{Ask, Reply, Service};
use http::{HeaderName, Method, StatusCode};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub(super) struct Chat {
    sent: AtomicU64,
}

impl Service for Chat {
    fn answer(&self, ask: &Ask) -> Reply {
        match (ask.segments().as_slice(), &ask.method) {
            (["chat", "threads", thread, "messages"], &Method::POST) => self.send(thread, ask),
            (["chat", "threads", thread, "messages"], &Method::GET) => read(thread),
            (["chat", "threads", thread, "events"], &Method::GET) => watch(thread),
            (["chat", "threads", _, "messages"], _) => Reply::not_allowed("GET, POST"),
            (["chat", "threads", _, "events"], _) => Reply::not_allowed("GET"),
            _ => Reply::not_found("page"),
        }
    }
}

impl Chat {
    fn send(&self, thread: &str, ask: &Ask) -> Reply {
        let id = 1 + self.sent.fetch_add(1, Ordering::Relaxed);
        let has_media = ask.body.get("image").is_some();
        let message = json!({"thread_id": thread, "message_id": id, "state": "sent"});
        let reply = Reply::json(StatusCode::CREATED, 27, message);
        describe(reply, id, has_media, "sent")
    }
}

fn read(thread: &str) -> Reply {
    let messages = json!([{"message_id": 1, "text": "Is it still for sale?"}]);
    let page = json!({"thread_id": thread, "messages": messages});
    describe(Reply::json(StatusCode::OK, 12, page), 1, false, "read")
}

/// Ends by itself, as a stream does when its client has seen enough.
fn watch(thread: &str) -> Reply {
    let steps = ["sent", "delivered", "read"]
        .map(|state| json!({"thread_id": thread, "message_id": 1, "state": state}));
    describe(Reply::events(150, steps.into()), 1, false, "delivered")
}

fn describe(reply: Reply, id: u64, has_media: bool, delivery: &str) -> Reply {
    reply
        .with(HeaderName::from_static("x-message-id"), id)
        .with(HeaderName::from_static("x-media-present"), has_media)
        .with(HeaderName::from_static("x-delivery-status"), delivery)
}
