//! WebSocket as a gateway meets it: its handshake on both HTTP versions (RFC 6455 section 4,
//! RFC 8441), and its frames as they pass by.
//!
//! Nothing here changes a frame. Frames are counted while their bytes are already on their way.

pub mod close;
pub mod frames;
pub mod handshake;
pub mod text;
