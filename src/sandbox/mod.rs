//! A local stand-in for all five provider APIs: a loopback HTTP server over one store, written from the vendors'
//! documents and not from the adapters, so that each can catch the other's mistakes.
//!
//! It checks credentials, content types and fields, keeps the documented limits, pages in small pages, and answers in
//! the documented ways, the awkward ones included. Ids count up from fixed seeds; its clock starts at a fixed minute,
//! moves on by one with every request that may change something, and is told in the `Date` header. Tests can let it run
//! as ours does, and let a provider take the same address twice.

mod emboux;
mod fault;
mod hybridbox;
mod litemail;
mod mailinabox;
mod qboxmail;
mod server;
mod store;
mod wire;

pub use fault::{Answer, Fault};
pub use server::{Sandbox, Seen};

use axum::Router;
use std::sync::Arc;
use store::Store;

use crate::model::ProviderId;

/// The key, token and password of every provider in the sandbox.
pub const KEY: &str = "sandbox";

/// The administrator of the sandbox's Mail-in-a-Box.
pub const BOX_USER: &str = "me@box.example.com";

/// Returns where a provider's API lives below the server's root.
pub fn base_path(provider: ProviderId) -> String {
    match provider {
        ProviderId::Mailinabox => "/mailinabox/admin".to_owned(),
        other => format!("/{other}"),
    }
}

fn router(store: Arc<Store>) -> Router {
    Router::new()
        .nest("/hybridbox", hybridbox::routes())
        .nest("/emboux", emboux::routes())
        .nest("/litemail", litemail::routes())
        .nest("/qboxmail", qboxmail::routes())
        .nest("/mailinabox/admin", mailinabox::routes())
        .with_state(store)
}
