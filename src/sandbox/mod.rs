//! A local stand-in for the providers' APIs: a loopback HTTP server over one store, written from the vendors'
//! documents and not from the adapters, so that each can catch the other's mistakes.
//!
//! It checks credentials, content types and fields, keeps the documented limits, pages in small pages, and answers in
//! the documented ways, the awkward ones included. Ids count up from fixed seeds; its clock starts at a fixed minute,
//! moves on by one with every request that may change something, and is shown in the `Date` header. Tests can let it
//! run, and let a provider take the same address twice; `mbx sandbox serve --clock now` shows our own time.
//!
//! Where it is known to answer otherwise than a provider, `docs/providers/` says so.

mod dialect;
mod emboux;
mod fault;
mod hybridbox;
mod litemail;
mod mailinabox;
mod qboxmail;
mod server;
mod state;
mod store;
mod wire;

pub use fault::{Answer, Fault, Other};
pub use mailinabox::BOX_USER;
pub use server::{Held, Sandbox, Seen};
pub use store::{KEY, Times};
