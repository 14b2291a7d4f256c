//! Proof by the client's address.

use super::{Asked, Identity, Proof, Reason, Verdict};
use crate::net::TrustedPeers;
use serde_json::Map;
use std::sync::Arc;

/// Allows clients of these networks.
pub(super) fn check(policy: &Arc<str>, networks: &TrustedPeers, asked: &Asked<'_>) -> Verdict {
    if !networks.trusts(asked.client) {
        // Another policy may know the client by something else.
        return Verdict::abstain(Reason::Forbidden);
    }
    Verdict::allow(Identity {
        subject: None,
        groups: Vec::new(),
        claims: Map::new(),
        proof: Proof::Ip,
        policy: Arc::clone(policy),
    })
}
