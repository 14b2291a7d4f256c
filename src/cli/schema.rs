//! `edgespan schema`: the JSON Schema of the configuration.

/// What `schema` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct SchemaArgs {}
