//! Qboxmail: <https://docs.qboxmail.com/en/api/>. Contract notes: `docs/providers/qboxmail.md`.
//!
//! Quirks: paths take codes, never names, and a mailbox's code is shown on creation only; single reads are lists of one;
//! changes answer without a body and may be queued; an empty list may answer 404; quotas come in thirteen sizes.

mod find;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Account;
use super::known::Known;
use super::words::naming_alias;
use crate::error::{Error, Kind, Result};
use crate::http::{Http, Method};
use crate::model::{
    Address, Alias, AliasSource, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal,
    Status,
};
use crate::provider::{
    AuthScheme, Done, EmptyDomain, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules,
    Setting, Spec, Support, any_address,
};

pub(super) use wire::judge;
use wire::*;

const NO_ADMINS: &str = "a Qboxmail mailbox has no privileges; managers are made in the control panel";
const NO_CREDENTIALS: &str = "Qboxmail hands out tokens in its control panel only";
const BY_LISTING: &str = "finds the mailbox through a listing that public clients use and no page documents";
const QUOTA: &str = "the listing that finds a mailbox and max_email_quota are seen in public clients, in no page";
const CATCH_ALL: &str = "updates the domain; what was there is replaced, and no page says how to read it back";
const LATER: &str = "Qboxmail may finish the removal later";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Qboxmail,
    title: "Qboxmail",
    base_url: Ok("https://api.qboxmail.com"),
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
        machines: 1,
    },
    rules: Rules {
        password: PasswordRule::Required { min: 8, max_bytes: None, letter_and_digit: true },
        names: NameRule::First,
        quota: QuotaRule::OneOf(SIZES),
        address: any_address,
        lower_case: false,
        domain_settings: true,
        batch_max: 1,
        empty_domain: EmptyDomain::IsThere,
        listing_lags: false,
        refuses_existing: true,
        costs: None,
    },
    support: |op| match op {
        Op::CheckAccount => Support::Emulated("lists the domains: no call shows whose token it is"),
        Op::ListMailboxes => Support::Unverified("public clients list with GET email_accounts; no page documents it"),
        Op::CreateMailbox => Support::Native,
        Op::CreateMailboxes => Support::No("Qboxmail takes one mailbox a request"),
        Op::GetMailbox | Op::SetNames | Op::SetPassword | Op::SuspendMailbox => Support::Unverified(BY_LISTING),
        Op::SetQuota => Support::Unverified(QUOTA),
        Op::SetAdmin => Support::No(NO_ADMINS),
        Op::DeleteMailbox => {
            Support::Unverified("public clients send DELETE, and list to find it; no page documents either")
        }
        Op::ListDomains | Op::CreateDomain | Op::VerifyDomain => Support::Native,
        Op::GetDomain => Support::Emulated("searches the domains by name, then reads the one with that name"),
        Op::DomainDns => {
            Support::Emulated("SPF is from the vendor's guide, DKIM from the domain; no page names the MX")
        }
        Op::SuspendDomain => Support::Unverified("the pages name no path; mbx uses that of mailboxes"),
        Op::DeleteDomain => Support::Unverified("the pages name no path; public clients send DELETE to the domain"),
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
    /// Codes of domains that were found.
    codes: Arc<Mutex<HashMap<DomainName, String>>>,
    /// Codes of mailboxes.
    known: Known<String>,
}

impl Qboxmail {
    pub(super) fn new(http: Http, account: &Account) -> Self {
        let customer_code = account.setting("customer_code").map(str::to_owned);
        Qboxmail { http, customer_code, codes: Arc::default(), known: Known::default() }
    }

    /// Makes a resource, and returns its code and, where it can be read already, the resource: activation is queued, and
    /// until it is done a resource may answer 404 (docs: errors-retries).
    async fn make(&self, path: &[&str], body: Value) -> Result<(Option<WireResource>, Option<String>)> {
        let reply = self.http.write(Method::POST, path).body(&asked(body)).reply().await?;
        let code = code_from(&reply)?;
        Ok((self.one(&[path, &[&code]].concat()).await.unwrap_or(None), Some(code)))
    }

    /// Changes a mailbox and looks at it again. A look that fails does not undo the change.
    async fn change(&self, address: &Address, tail: &[&str], body: Value) -> Result<Mailbox> {
        let body = asked(body);
        let call = |domain: String, code: String| {
            let body = &body;
            async move {
                let path = ["api", "domains", &domain, MAILBOXES, &code];
                self.http.write(Method::PUT, &[&path, tail].concat()).body(body).done().await?;
                let found = self.one(&path).await.unwrap_or(None).map(|found| mailbox_from(found, address.domain()));
                Ok(found.unwrap_or_else(|| Mailbox { id: Some(code), ..Mailbox::at(address.clone()) }))
            }
        };
        self.on_mailbox(address, call).await
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
        let read = async |domain: String, code: String| self.one(&["api", "domains", &domain, MAILBOXES, &code]).await;
        let found = self.on_mailbox(address, read).await?;
        found.map(|resource| mailbox_from(resource, address.domain())).ok_or_else(|| Error::no_mailbox(address))
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let (address, domain) = (&new.address, self.code_of(new.address.domain()).await?);
        let made = self.make(&["api", "domains", &domain, MAILBOXES], wire_from(new)).await;
        let (read, id) = made.map_err(|error| naming_alias(error, address))?;
        let known = Mailbox { id, status: Status::Pending, ..Mailbox::at(address.clone()) };
        Ok(read.map_or(known, |resource| mailbox_from(resource, address.domain())).into())
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        if change.admin.is_some() {
            return Err(Error::unsupported(Op::SetAdmin.phrase(), NO_ADMINS));
        }
        let quota = change.quota.map(|size| size.0);
        let body = json!({ "firstname": change.first_name, "lastname": change.last_name, "max_email_quota": quota });
        Ok(self.change(address, &[], body).await?.into())
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let password = password.expose_secret();
        self.change(address, &[], json!({ "password": password, "password_confirmation": password }))
            .await
            .map(|_| ().into())
    }

    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.change(address, &["status"], json!({ "status": "disabled" })).await
    }

    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.change(address, &["status"], json!({ "status": "enabled" })).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        let delete = |domain: String, code: String| {
            self.http.write(Method::DELETE, &["api", "domains", &domain, MAILBOXES, &code]).done()
        };
        self.on_mailbox(address, delete).await?;
        Ok(Removal::Done(Some(LATER)).into())
    }

    fn cache_listed(&self, mailbox: &Mailbox) {
        if let Some(code) = &mailbox.id {
            self.known.keep(&mailbox.address, code.clone());
        }
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.list(&["api", "domains"], None).map_ok(domain_from)
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        self.read_domain(name, &self.find_domain(name).await?.code).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        if new.postmaster_password.is_none() {
            let why = "each domain comes with a postmaster mailbox, and that needs a postmaster password";
            return Err(Error::new(Kind::Invalid, format!("{} is refused: {why}", new.name)));
        }
        let body = wire_from_domain(new, self.customer_code.as_deref());
        let (read, id) = self.make(&["api", "domains"], body).await?;
        let known = Domain { id, status: Status::Pending, ..Domain::named(new.name.clone()) };
        Ok(read.map_or(known, domain_from).into())
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

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        let refused = |why: &str| Err(Error::new(Kind::Invalid, format!("{} is refused: {why}", new.source)));
        let domain = new.source.domain();
        match (&new.source, new.targets.as_slice()) {
            (AliasSource::CatchAll(_), [target]) => {
                let body = json!({ "catch_all_enabled": true, "catch_all_destination": target });
                self.change_domain(domain, &[], body).await?;
                Ok(Alias::to(new.source.clone(), new.targets.clone()).into())
            }
            (AliasSource::CatchAll(_), _) => refused("a Qboxmail catch-all has exactly one target"),
            (AliasSource::Address(address), [_, ..]) if new.targets.len() <= TARGETS => {
                let code = self.find_domain(domain).await?.code;
                let body = json!({ "name": address.local_part(), "destinations": new.targets });
                let (read, id) = self.make(&["api", "domains", &code, ALIASES], body).await?;
                let known = Alias { id, status: Status::Pending, ..new.clone() };
                Ok(read.map_or(known, |resource| alias_from(resource, domain)).into())
            }
            (AliasSource::Address(_), _) => refused("a Qboxmail alias has one to twenty targets"),
        }
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        let AliasSource::Address(address) = source else {
            self.change_domain(source.domain(), &[], json!({ "catch_all_enabled": false })).await?;
            return Ok(Removal::Done(None).into());
        };
        let none = || Error::new(Kind::NotFound, format!("no alias {address}"));
        let (domain, code) = self.find(ALIASES, address).await?.ok_or_else(none)?;
        self.http.write(Method::DELETE, &["api", "domains", &domain, ALIASES, &code]).done().await?;
        Ok(Removal::Done(Some(LATER)).into())
    }
}
