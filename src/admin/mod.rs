//! The operator's door, never on a data port.

mod settings;

pub use settings::AdminSettings;
