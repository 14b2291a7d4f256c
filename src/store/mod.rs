//! Recent traces, in memory, so that they can be seen without a backend.
