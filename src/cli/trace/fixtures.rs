//! Traces for the tests of what is drawn of them.
