//! What origins learn of who a client is, as it is written.

use crate::config::decode::{Entries, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;

/// What origins learn of who a client is. What a client sends under these names itself is removed
/// from every request, under every spelling.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Identity {
    /// Header fields by name: `subject`, `groups`, `proof`, `policy`, or `claims.NAME`, where dots
    /// lead deeper. One of which nothing is known is absent.
    pub(in crate::config) headers: Entries<Spanned<String>>,
    /// What stands between the elements of a list.
    #[schemars(extend("default" = ","))]
    pub(in crate::config) separator: Option<Spanned<String>>,
    /// The attribute of the SERVER span that names the subject. Without it none does, since a
    /// subject may be an e-mail address.
    pub(in crate::config) span_attribute: Option<SubjectAttribute>,
    /// Further attributes of the SERVER span by name, each a part of the identity as in `headers`;
    /// at most 16. A list becomes a list. An e-mail address is left out unless `claims.email`
    /// itself is asked for.
    pub(in crate::config) span_attributes: Entries<Spanned<String>>,
}

/// An attribute of the semantic conventions for who a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "attribute")]
pub(in crate::config) enum SubjectAttribute {
    /// Whoever uses the application.
    #[serde(rename = "enduser.id")]
    Enduser,
    /// A user account.
    #[serde(rename = "user.id")]
    User,
}
