//! mbx
pub mod adapters;
pub mod error;
pub mod http;
pub mod model;
pub mod provider;
pub mod sandbox;
