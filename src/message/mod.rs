//! What a message is made of.

pub mod request_body;
pub mod respond;
pub mod trailers;
