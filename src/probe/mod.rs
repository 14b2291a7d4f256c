//! Synthetic requests for key flows, with what they must get and which spans must come of them.
