//! Samples of this provider.
