//! stub
use super::Account;
use crate::error::{Error, Kind, Result};
use crate::http::{Failure, Http, Reply};
use crate::model::*;
use crate::provider::*;
use async_trait::async_trait;
use std::time::Duration;
pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Mailinabox,
    title: "Mailinabox",
    base_url: None,
    auth: AuthScheme::Bearer,
    secret_name: "Mailinabox",
    settings: &[],
    pace: Pace {
        concurrency: 1,
        per_minute: None,
        burst: 1,
        read: Duration::from_secs(1),
        write: Duration::from_secs(1),
        poll: Duration::from_secs(1),
    },
    rules: Rules {
        password: PasswordRule::Never("stub"),
        names: NameRule::Optional,
        quota: QuotaRule::Never("stub"),
        address: any_address,
        batch_max: 1,
        listing_lags: false,
        costs: None,
    },
    support: |_| Support::No("stub"),
};
pub(super) struct Mailinabox {
    #[allow(dead_code)]
    http: Http,
}
impl Mailinabox {
    pub(super) fn new(http: Http, _: &Account) -> Result<Self> {
        Ok(Mailinabox { http })
    }
}
#[async_trait]
impl Provider for Mailinabox {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }
    async fn check_account(&self) -> Result<String> {
        Err(Error::new(Kind::Internal, "stub"))
    }
    fn list_mailboxes<'a>(&'a self, _: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        crate::provider::failed(Error::new(Kind::Internal, "stub"))
    }
    async fn create_mailbox(&self, _: &NewMailbox) -> Result<Mailbox> {
        Err(Error::new(Kind::Internal, "stub"))
    }
}
pub(super) fn judge(reply: &Reply) -> Option<Failure> {
    Failure::by_status(reply, reply.words())
}
