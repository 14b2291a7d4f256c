//! What a route says of upgraded connections.

use super::{DurationText, OffOrDuration};
use crate::config::decode::Spanned;
use schemars::JsonSchema;
use serde::Deserialize;

/// WebSockets of the route. The bounds hold for every upgraded connection.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct WebSocket {
    /// Whether each message is an event of the SERVER span, with its size and direction.
    #[schemars(extend("default" = false))]
    pub(in crate::config) message_events: Option<Spanned<bool>>,
    /// Longest silence, both ways; pings count. Then both sides get a Close frame with code 1001.
    #[schemars(extend("default" = "1h"))]
    pub(in crate::config) idle: Option<Spanned<OffOrDuration>>,
    /// Longest life. Without it there is no bound.
    pub(in crate::config) lifetime: Option<Spanned<DurationText>>,
}
