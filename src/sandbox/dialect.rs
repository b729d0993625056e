//! The list of dialects: where each provider's API lives, what answers there, and what its account holds at first.

use std::sync::Arc;

use axum::Router;

use super::store::{Account, Store};
use super::{emboux, hybridbox, litemail, mailinabox, qboxmail};
use crate::model::ProviderId;

/// What the sandbox knows of a provider.
struct Dialect {
    /// Where its API lives below the provider's name.
    path: &'static str,
    routes: fn() -> Router<Arc<Store>>,
    /// Makes the account with which it starts.
    new_account: fn() -> Account,
}

/// Every provider has a line here; the compiler asks for it.
fn dialect(provider: ProviderId) -> Dialect {
    let usual = |routes| Dialect { path: "", routes, new_account: Account::with_domains };
    match provider {
        ProviderId::Hybridbox => usual(hybridbox::routes),
        ProviderId::Emboux => usual(emboux::routes),
        ProviderId::Litemail => usual(litemail::routes),
        ProviderId::Qboxmail => usual(qboxmail::routes),
        ProviderId::Mailinabox => {
            Dialect { path: "/admin", routes: mailinabox::routes, new_account: mailinabox::new_account }
        }
    }
}

/// Returns where a provider's API lives below the server's root.
pub(super) fn base_path(provider: ProviderId) -> String {
    format!("/{provider}{}", dialect(provider).path)
}

/// Returns the routes of all dialects, each at its base path.
pub(super) fn router(store: Arc<Store>) -> Router {
    let nest = |router: Router<Arc<Store>>, id| router.nest(&base_path(id), (dialect(id).routes)());
    ProviderId::ALL.into_iter().fold(Router::new(), nest).with_state(store)
}

/// Makes the account with which a provider starts.
pub(super) fn new_account(provider: ProviderId) -> Account {
    (dialect(provider).new_account)()
}
