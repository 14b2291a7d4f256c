//! stub
use std::sync::Arc;
/// stub
pub struct Metrics;
/// stub
pub struct OpenConnection;
impl Metrics {
    /// stub
    pub fn upstream_connection(self: &Arc<Self>, _: &Arc<str>) -> OpenConnection {
        OpenConnection
    }

    /// stub
    pub fn accept_error(&self, _: &Arc<str>) {}
}
