//! Which upstream gets the request, and how it is asked.

mod settings;

pub use settings::{
    ClusterSettings, EndpointAddress, EndpointProtocol, EndpointTarget, UpstreamLimits,
    UpstreamTimeouts, UpstreamTls,
};
