//! Tokens and keys that tests sign with.
