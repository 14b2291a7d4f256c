//! What becomes of requests by their tokens.
