//! Qboxmail: <https://docs.qboxmail.com/en/api/>. Contract notes: `docs/providers/qboxmail.md`.
//!
//! Quirks: paths take codes, never names, and a mailbox's code is told on creation only; single reads are lists of one;
//! changes answer without a body and may be queued; an empty list may answer 404; quotas come in thirteen sizes.

mod wire;

use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Account;
use crate::error::{Error, Kind, Result};
use crate::http::{Http, Method, Page, pages};
use crate::model::{
    Address, Alias, AliasSource, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal,
    Status,
};
use crate::provider::{
    AuthScheme, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules, Setting, Spec,
    Support, any_address,
};

pub(super) use wire::judge;
use wire::*;

const NO_ADMINS: &str = "a Qboxmail mailbox has no privileges; managers are made in the control panel";
const NO_CREDENTIALS: &str = "Qboxmail hands out tokens in its control panel only";
const BY_LISTING: &str = "finds the mailbox through a listing that public clients use and no page documents";
const QUOTA: &str = "the listing that finds a mailbox and max_email_quota are seen in public clients, in no page";
const CATCH_ALL: &str = "updates the domain; what was there is replaced, and no page tells how to read it back";
const LATER: &str = "Qboxmail may finish the removal later";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Qboxmail,
    title: "Qboxmail",
    base_url: Some("https://api.qboxmail.com"),
    auth: AuthScheme::Header("x-api-token"),
    secret_name: "TOKEN",
    settings: &[Setting {
        key: "customer_code",
        help: "the customer a new domain belongs to; needed with an administrator's token only",
        required: false,
        sandbox: None,
    }],
    // No page names a limit, nor how often to look at what is queued: seconds, not milliseconds.
    pace: Pace {
        concurrency: 4,
        per_minute: None,
        burst: 1,
        read: Duration::from_secs(15),
        write: Duration::from_secs(30),
        poll: Duration::from_secs(3),
    },
    rules: Rules {
        password: PasswordRule::Required { min: 8, letter_and_digit: true },
        names: NameRule::First,
        quota: QuotaRule::OneOf(SIZES),
        address: any_address,
        batch_max: 1,
        listing_lags: false,
        costs: None,
    },
    support: |op| match op {
        Op::CheckAccount => Support::Emulated("lists the domains: no call tells whose token it is"),
        Op::ListMailboxes => Support::Unverified("public clients list with GET email_accounts; no page documents it"),
        Op::CreateMailbox => Support::Native,
        Op::CreateMailboxes => Support::No("Qboxmail takes one mailbox a request"),
        Op::GetMailbox | Op::SetNames | Op::SetPassword | Op::SuspendMailbox => Support::Unverified(BY_LISTING),
        Op::SetQuota => Support::Unverified(QUOTA),
        Op::SetAdmin => Support::No(NO_ADMINS),
        Op::DeleteMailbox => {
            Support::Unverified("public clients send DELETE, and list to find it; no page tells either")
        }
        Op::ListDomains | Op::CreateDomain | Op::VerifyDomain => Support::Native,
        Op::GetDomain => Support::Emulated("searches the domains by name, then reads the one with that name"),
        Op::DomainDns => Support::Emulated("SPF is from the vendor's guide, DKIM from the domain; no page tells MX"),
        Op::SuspendDomain => Support::Unverified("the pages tell no path; it is taken over from mailboxes"),
        Op::DeleteDomain => Support::Unverified("the pages tell no path; public clients send DELETE to the domain"),
        Op::ListAliases | Op::CreateAlias => Support::Native,
        Op::CreateCatchAll => Support::Emulated(CATCH_ALL),
        Op::DeleteAlias => Support::Unverified("no page documents it; DELETE follows the pattern of the other routes"),
        Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => Support::No(NO_CREDENTIALS),
    },
};

#[derive(Clone)]
pub(super) struct Qboxmail {
    http: Http,
    customer_code: Option<String>,
}

impl Qboxmail {
    pub(super) fn new(http: Http, account: &Account) -> Self {
        Qboxmail { http, customer_code: account.setting("customer_code").map(str::to_owned) }
    }

    /// Lists a collection; `search` is no exact match. A collection that is empty may answer 404.
    fn list<'a>(&'a self, path: &'a [&'a str], search: Option<&'a DomainName>) -> Listing<'a, WireResource> {
        let path: Vec<String> = path.iter().map(|&segment| segment.to_owned()).collect();
        let search = search.cloned();
        let fetch = move |this: Self, number: u32| {
            let (path, search) = (path.clone(), search.clone());
            async move {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let search = search.as_ref().map(|name| ("query", name.as_str()));
                let call = this.http.read(Method::GET, &path).query(&[("page", &number.to_string()), ("per", PER)]);
                let Some(list) = envelope(call.query(search.as_slice())).await? else {
                    if path.len() > 3 && this.one(&path[..3]).await?.is_none() {
                        return Err(Error::new(Kind::NotFound, "the domain is gone, or this token does not see it"));
                    }
                    return Ok(Page { items: Vec::new(), more: false, total: None });
                };
                Ok(list.page(number))
            }
        };
        pages(self, |resource: &WireResource| resource.code.clone(), fetch)
    }

    /// Lists what one domain holds, or what all do.
    fn list_in<'a, T: Send + 'a>(
        &'a self,
        domain: Option<&'a DomainName>,
        what: &'static str,
        read: fn(WireResource, &DomainName) -> T,
    ) -> Listing<'a, T> {
        Listing::items(try_stream! {
            let domains = match domain {
                Some(name) => Vec::from([self.find_domain(name).await?]),
                None => self.list(&["api", "domains"], None).try_collect().await?,
            };
            for domain in domains {
                let path = ["api", "domains", &domain.code, what];
                let mut all = self.list(&path, None);
                while let Some(resource) = all.try_next().await? {
                    yield read(resource, &domain.domain());
                }
            }
        })
    }

    /// Reads a single resource, which is a list of one.
    async fn one(&self, path: &[&str]) -> Result<Option<WireResource>> {
        let list = envelope(self.http.read(Method::GET, path)).await?;
        Ok(list.and_then(|list| list.resources.into_iter().next()))
    }

    async fn find_domain(&self, name: &DomainName) -> Result<WireResource> {
        let mut found = self.list(&["api", "domains"], Some(name));
        while let Some(domain) = found.try_next().await? {
            if domain.domain() == *name {
                return Ok(domain);
            }
        }
        Err(Error::no_domain(name))
    }

    async fn read_domain(&self, name: &DomainName, code: &str) -> Result<Domain> {
        self.one(&["api", "domains", code]).await?.map(domain_from).ok_or_else(|| Error::no_domain(name))
    }

    /// Returns the codes of what has an address, and of its domain.
    async fn find(&self, what: &str, address: &Address) -> Result<Option<(String, String)>> {
        let domain = self.find_domain(address.domain()).await?.code;
        let path = ["api", "domains", &domain, what];
        let mut all = self.list(&path, None);
        while let Some(resource) = all.try_next().await? {
            if resource.address(address.domain()) == *address {
                return Ok(Some((domain.clone(), resource.code)));
            }
        }
        Ok(None)
    }

    async fn find_mailbox(&self, address: &Address) -> Result<(String, String)> {
        self.find(MAILBOXES, address).await?.ok_or_else(|| Error::no_mailbox(address))
    }

    /// Makes a resource, and returns it with its code as far as the host tells them: activation is queued, and until it
    /// is done a resource may answer 404 (docs: errors-retries).
    async fn make(&self, path: &[&str], body: Value) -> Result<(Option<WireResource>, Option<String>)> {
        let reply = self.http.write(Method::POST, path).body(&asked(body)).reply().await?;
        let Some(code) = code_from(&reply)? else { return Ok((None, None)) };
        Ok((self.one(&[path, &[&code]].concat()).await.unwrap_or(None), Some(code)))
    }

    /// Changes a mailbox and looks at it again. A look that fails does not undo the change.
    async fn change(&self, address: &Address, tail: &[&str], body: Value) -> Result<Mailbox> {
        let (domain, code) = self.find_mailbox(address).await?;
        let path = ["api", "domains", &domain, MAILBOXES, &code];
        self.http.write(Method::PUT, &[&path, tail].concat()).body(&asked(body)).done().await?;
        let told = self.one(&path).await.unwrap_or(None).map(|resource| mailbox_from(resource, address.domain()));
        Ok(told.unwrap_or_else(|| Mailbox { id: Some(code.clone()), ..Mailbox::at(address.clone()) }))
    }

    /// Changes a domain by a request that answers nothing; returns its code.
    async fn change_domain(&self, name: &DomainName, tail: &[&str], body: Value) -> Result<String> {
        let code = self.find_domain(name).await?.code;
        self.http.write(Method::PUT, &[&["api", "domains", &code], tail].concat()).body(&body).done().await?;
        Ok(code)
    }

    /// Switches a domain on or off and looks at it again. A look that fails does not undo the change.
    async fn switch_domain(&self, name: &DomainName, status: &str) -> Result<Domain> {
        let code = self.change_domain(name, &["status"], json!({ "status": status })).await?;
        Ok(self.read_domain(name, &code).await.unwrap_or_else(|_| Domain::named(name.clone())))
    }
}

#[async_trait]
impl Provider for Qboxmail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let list = envelope(self.http.read(Method::GET, &["api", "domains"]).query(&[("per", "1")])).await?;
        let total = list.map_or(Some(0), |list| list.pagination.and_then(|pagination| pagination.total_records));
        Ok(total.map_or("a good token".to_owned(), |total| format!("a token that sees {total} domains")))
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        self.list_in(domain, MAILBOXES, mailbox_from)
    }

    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let (domain, code) = self.find_mailbox(address).await?;
        let told = self.one(&["api", "domains", &domain, MAILBOXES, &code]).await?;
        told.map(|resource| mailbox_from(resource, address.domain())).ok_or_else(|| Error::no_mailbox(address))
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Mailbox> {
        let (address, domain) = (&new.address, self.find_domain(new.address.domain()).await?.code);
        let (told, id) = self.make(&["api", "domains", &domain, MAILBOXES], wire_from(new)).await?;
        let known = Mailbox { id, status: Status::Pending, ..Mailbox::at(address.clone()) };
        Ok(told.map_or(known, |resource| mailbox_from(resource, address.domain())))
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Mailbox> {
        if change.admin.is_some() {
            return Err(Error::unsupported(Op::SetAdmin.phrase(), NO_ADMINS));
        }
        let quota = change.quota.map(|size| size.0);
        let body = json!({ "firstname": change.first_name, "lastname": change.last_name, "max_email_quota": quota });
        self.change(address, &[], body).await
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<()> {
        let password = password.expose_secret();
        self.change(address, &[], json!({ "password": password, "password_confirmation": password })).await.map(drop)
    }

    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.change(address, &["status"], json!({ "status": "disabled" })).await
    }

    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.change(address, &["status"], json!({ "status": "enabled" })).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Removal> {
        let (domain, code) = self.find_mailbox(address).await?;
        self.http.write(Method::DELETE, &["api", "domains", &domain, MAILBOXES, &code]).done().await?;
        Ok(Removal::Done(Some(LATER)))
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.list(&["api", "domains"], None).map_ok(domain_from)
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        self.read_domain(name, &self.find_domain(name).await?.code).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Domain> {
        if new.postmaster_password.is_none() {
            let why = "each domain comes with a postmaster mailbox, and that needs a postmaster password";
            return Err(Error::new(Kind::Invalid, format!("{} is refused: {why}", new.name)));
        }
        let body = wire_from_domain(new, self.customer_code.as_deref());
        let (told, id) = self.make(&["api", "domains"], body).await?;
        let known = Domain { id, status: Status::Pending, ..Domain::named(new.name.clone()) };
        Ok(told.map_or(known, domain_from))
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        let code = self.find_domain(name).await?.code;
        self.http.write(Method::PUT, &["api", "domains", &code, "dns_ownership_check"]).done().await?;
        Ok(self.read_domain(name, &code).await.unwrap_or_else(|_| Domain::named(name.clone())))
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        Ok(records_from(&self.find_domain(name).await?))
    }

    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        self.switch_domain(name, "disabled").await
    }

    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        self.switch_domain(name, "enabled").await
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        let code = self.find_domain(name).await?.code;
        self.http.write(Method::DELETE, &["api", "domains", &code]).done().await?;
        Ok(Removal::Done(Some(LATER)))
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        self.list_in(Some(domain), ALIASES, alias_from)
    }

    async fn create_alias(&self, new: &Alias) -> Result<Alias> {
        let refused = |why: &str| Err(Error::new(Kind::Invalid, format!("{} is refused: {why}", new.source)));
        let domain = new.source.domain();
        match (&new.source, new.targets.as_slice()) {
            (AliasSource::CatchAll(_), [target]) => {
                let body = json!({ "catch_all_enabled": true, "catch_all_destination": target });
                self.change_domain(domain, &[], body).await?;
                Ok(Alias::to(new.source.clone(), new.targets.clone()))
            }
            (AliasSource::CatchAll(_), _) => refused("a Qboxmail catch-all has exactly one target"),
            (AliasSource::Address(address), [_, ..]) if new.targets.len() <= TARGETS => {
                let code = self.find_domain(domain).await?.code;
                let body = json!({ "name": address.local_part(), "destinations": new.targets });
                let (told, id) = self.make(&["api", "domains", &code, ALIASES], body).await?;
                let known = Alias { id, status: Status::Pending, ..new.clone() };
                Ok(told.map_or(known, |resource| alias_from(resource, domain)))
            }
            (AliasSource::Address(_), _) => refused("a Qboxmail alias has one to twenty targets"),
        }
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Removal> {
        let AliasSource::Address(address) = source else {
            self.change_domain(source.domain(), &[], json!({ "catch_all_enabled": false })).await?;
            return Ok(Removal::Done(None));
        };
        let none = || Error::new(Kind::NotFound, format!("no alias {address}"));
        let (domain, code) = self.find(ALIASES, address).await?.ok_or_else(none)?;
        self.http.write(Method::DELETE, &["api", "domains", &domain, ALIASES, &code]).done().await?;
        Ok(Removal::Done(Some(LATER)))
    }
}
