//! What a route says of upgraded connections.

use super::Compiler;
use crate::config::raw;
use crate::proxy::plan::SessionPlan;

pub(super) fn compile(written: &raw::WebSocket, compiler: &mut Compiler<'_>) -> SessionPlan {
    let default = SessionPlan::default();
    let lifetime = written.lifetime.as_ref();
    SessionPlan {
        message_events: written
            .message_events
            .as_ref()
            .map_or(default.message_events, |written| written.value),
        idle: compiler
            .off_or_duration(written.idle.as_ref())
            .unwrap_or(default.idle),
        lifetime: lifetime.and_then(|written| compiler.duration(&written.span, &written.value.0)),
    }
}
