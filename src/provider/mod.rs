//! The trait every mail host implements, and the contract behind it.

pub mod case;
mod checked;
mod done;
mod drive;
mod requests;
mod spec;
pub(crate) mod words;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use secrecy::SecretString;

pub use checked::Checked;
pub use done::Done;
pub use drive::{CreationClock, Settled, created_since, event_of, made};
pub use spec::{
    AuthScheme, EmptyDomain, NameRule, Op, PasswordRule, Problem, QuotaRule, Rules, Setting, Spec, Support, any_address,
};

use crate::error::{Error, Result};
pub use crate::http::{Listing, Pace};
pub use crate::model::ProviderId;
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewCredential,
    NewDomain, NewMailbox, Removal,
};

/// One mail host.
///
/// Implementers owe the following; the conformance suite checks it.
/// - Methods may run at the same time on one value.
/// - Addresses are compared without regard to case.
/// - A missing mailbox is `NotFound`, an existing one `Conflict`, whatever status the host uses.
/// - What is returned is what the host said, not what was asked for.
/// - If a change takes several requests and a later one fails, the effect of the error is `Partial` and its message
///   says what has been done.
///
/// Optional methods answer `Unsupported` with the reason of the [`Spec`], so an adapter holds only what its host can do.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns what this provider is and can do.
    fn spec(&self) -> &'static Spec;

    /// Makes the cheapest call that needs valid credentials; returns how the host names the account.
    async fn check_account(&self) -> Result<String>;

    /// Lists the mailboxes of one domain, or all that the credentials can see.
    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox>;

    /// Reads one mailbox. By default looks through the listing of its domain.
    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let mut all = self.list_mailboxes(Some(address.domain()));
        while let Some(mailbox) = all.try_next().await? {
            if mailbox.address == *address {
                return Ok(mailbox);
            }
        }
        Err(Error::no_mailbox(address))
    }

    /// Makes one mailbox.
    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>>;

    /// Makes many mailboxes of one domain in one request. Results are in the order of `batch`.
    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        let _ = batch;
        Err(self.spec().unsupported(Op::CreateMailboxes))
    }

    /// Changes names, quota or privilege; what the change leaves out stays.
    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        let _ = address;
        Err(self.spec().unsupported(change.op()))
    }

    /// Sets the password a mailbox's owner logs in with.
    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let _ = (address, password);
        Err(self.spec().unsupported(Op::SetPassword))
    }

    /// Switches a mailbox off, keeping what is in it.
    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let _ = address;
        Err(self.spec().unsupported(Op::SuspendMailbox))
    }

    /// Switches a suspended mailbox on again.
    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let _ = address;
        Err(self.spec().unsupported(Op::SuspendMailbox))
    }

    /// Removes a mailbox, at once or at a later date.
    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        let _ = address;
        Err(self.spec().unsupported(Op::DeleteMailbox))
    }

    /// Caches a listed mailbox so that a later call about it skips the look-up.
    fn cache_listed(&self, mailbox: &Mailbox) {
        let _ = mailbox;
    }

    /// Lists the domains that the credentials can see.
    fn list_domains(&self) -> Listing<'_, Domain> {
        failed(self.spec().unsupported(Op::ListDomains))
    }

    /// Reads one domain. By default looks through the listing.
    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        let mut all = self.list_domains();
        while let Some(domain) = all.try_next().await? {
            if domain.name == *name {
                return Ok(domain);
            }
        }
        Err(Error::no_domain(name))
    }

    /// Adds a domain.
    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        let _ = new;
        Err(self.spec().unsupported(Op::CreateDomain))
    }

    /// Has the provider check ownership or DNS; returns the domain as it is after that.
    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        let _ = name;
        Err(self.spec().unsupported(Op::VerifyDomain))
    }

    /// Returns the DNS records that the domain's mail needs.
    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        let _ = name;
        Err(self.spec().unsupported(Op::DomainDns))
    }

    /// Switches a domain off, keeping its mailboxes.
    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        let _ = name;
        Err(self.spec().unsupported(Op::SuspendDomain))
    }

    /// Switches a suspended domain on again.
    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        let _ = name;
        Err(self.spec().unsupported(Op::SuspendDomain))
    }

    /// Removes a domain and whatever the provider removes with it.
    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        let _ = name;
        Err(self.spec().unsupported(Op::DeleteDomain))
    }

    /// Lists the aliases of one domain, its catch-all included.
    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        let _ = domain;
        failed(self.spec().unsupported(Op::ListAliases))
    }

    /// Makes an alias or a catch-all.
    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        Err(self.spec().unsupported(new.source.op()))
    }

    /// Removes an alias or a catch-all with all its targets.
    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        let _ = source;
        Err(self.spec().unsupported(Op::DeleteAlias))
    }

    /// Lists the credentials that open more than one mailbox.
    fn list_credentials(&self) -> Listing<'_, Credential> {
        failed(self.spec().unsupported(Op::ListCredentials))
    }

    /// Makes such a credential from a secret that was made here.
    async fn create_credential(&self, new: &NewCredential) -> Result<Credential> {
        let _ = new;
        Err(self.spec().unsupported(Op::CreateCredential))
    }

    /// Removes such a credential by its id.
    async fn delete_credential(&self, id: &str) -> Result<Removal> {
        let _ = id;
        Err(self.spec().unsupported(Op::DeleteCredential))
    }

    /// Gives back what was opened on the way, such as a session. Called once, last; failures do not matter.
    async fn close(&self) {}
}

/// Returns a listing that fails at once.
pub(crate) fn failed<'a, T: Send + 'a>(error: Error) -> Listing<'a, T> {
    Listing::once(async { Err(error) })
}
