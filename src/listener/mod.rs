//! A connection arrives.

mod settings;

pub use settings::{
    CertificateFiles, ListenerLimits, ListenerSettings, ListenerTimeouts, PathPolicy,
};
