//! The list of dialects: where each provider's API lives, what answers there, and what its account holds at first.

use std::sync::Arc;

use axum::Router;

use super::store::{Account, Store};
use super::{emboux, hybridbox, litemail, mailinabox, qboxmail};
use crate::model::ProviderId;

/// Returns where a provider's API lives below the server's root.
pub(super) fn base_path(provider: ProviderId) -> String {
    match provider {
        ProviderId::Hybridbox | ProviderId::Emboux | ProviderId::Litemail | ProviderId::Qboxmail => {
            format!("/{provider}")
        }
        ProviderId::Mailinabox => "/mailinabox/admin".to_owned(),
    }
}

/// Returns the routes of all dialects, each at its base path.
pub(super) fn router(store: Arc<Store>) -> Router {
    let nest = |router: Router<Arc<Store>>, provider| router.nest(&base_path(provider), routes(provider));
    ProviderId::ALL.into_iter().fold(Router::new(), nest).with_state(store)
}

fn routes(provider: ProviderId) -> Router<Arc<Store>> {
    match provider {
        ProviderId::Hybridbox => hybridbox::routes(),
        ProviderId::Emboux => emboux::routes(),
        ProviderId::Litemail => litemail::routes(),
        ProviderId::Qboxmail => qboxmail::routes(),
        ProviderId::Mailinabox => mailinabox::routes(),
    }
}

/// Makes the account with which a provider starts.
pub(super) fn new_account(provider: ProviderId) -> Account {
    match provider {
        ProviderId::Hybridbox | ProviderId::Emboux | ProviderId::Litemail | ProviderId::Qboxmail => {
            Account::with_domains()
        }
        ProviderId::Mailinabox => mailinabox::new_account(),
    }
}
