//! `edgespan demo`.
