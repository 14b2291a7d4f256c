//! Who has what is required.
