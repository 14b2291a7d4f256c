//! Spans that are asked for at a backend.

use super::spans::{SpanSource, Wait};
use crate::backend::{Access, Address, Backend};
use crate::telemetry::plain_chain;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use tokio::sync::OnceCell;

/// A backend, found out about at the first question.
pub struct RemoteSpans {
    address: Address,
    access: Access,
    reached: OnceCell<Backend>,
}

impl RemoteSpans {
    /// The backend at `address`.
    pub fn new(address: Address, access: Access) -> Self {
        Self {
            address,
            access,
            reached: OnceCell::new(),
        }
    }
}

impl SpanSource for RemoteSpans {
    fn trace(&self, id: TraceId) -> Wait<'_, Result<Vec<ResourceSpans>, String>> {
        Box::pin(async move {
            let reach = || Backend::reach(&self.address, self.access.clone());
            let backend = self.reached.get_or_try_init(reach).await;
            let backend = backend.map_err(|error| plain_chain(&error))?;
            let found = backend
                .trace(id)
                .await
                .map_err(|error| plain_chain(&error))?;
            Ok(found.unwrap_or_default())
        })
    }
}
