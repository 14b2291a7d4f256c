//! What the report looks like.
