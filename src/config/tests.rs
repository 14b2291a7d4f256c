//! Promises of the whole configuration.
