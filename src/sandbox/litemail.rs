//! stub
use super::store::Store;
use axum::Router;
use std::sync::Arc;
pub(super) fn routes() -> Router<Arc<Store>> {
    Router::new()
}
