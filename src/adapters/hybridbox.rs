//! Hybridbox: <https://docs.hybridbox.io/en/api/v1/public/accounts/account_id/mailboxes/get> and its neighbours.
//! Contract notes: `docs/providers/hybridbox.md`.
//!
//! This file says what is asked for; `wire` what travels and what it means, `batch` what became of a bulk request.
//!
//! Quirks: no page shows an error body, a status or the unit of a quota; a mailbox has no password to give or read;
//! the catch-all is an alias with a flag; what a bulk request refuses is named by an index only, whose base is not documented.

mod batch;
mod wire;

pub(super) use self::wire::judge;

use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use futures_util::{TryFutureExt, TryStreamExt};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

use self::wire::*;
use super::Account;
use super::known::Known;
use super::words::naming_alias;
use crate::error::{Error, Kind, Result};
use crate::http::{Call, Http, Method, Page, pages};
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewCredential,
    NewMailbox, Removal,
};
use crate::provider::{
    AuthScheme, Done, EmptyDomain, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules,
    Setting, Spec, Support, any_address,
};

/// The documented default. The maximum is not documented, and a larger page might be refused.
const PAGE_SIZE: &str = "25";

const NO_PASSWORD: &str = "Hybridbox makes the password itself and no documented route takes or shows it; \
    `mbx credential create` gives a login for the whole domain";
const NO_QUOTA: &str = "no documented route of Hybridbox sets a quota";
const CONNECT: &str = "no route for connecting a domain is documented: delegate it to <account_id>.ns1.hybridbox.io and \
    <account_id>.ns2.hybridbox.io, and add it in the web app";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Hybridbox,
    title: "Hybridbox",
    base_url: Ok("https://api.hybridbox.io"),
    auth: AuthScheme::Bearer,
    secret_name: "TOKEN",
    settings: &[
        Setting {
            key: "account_id",
            help: "the UUID of the account; the nameservers of its domains begin with it",
            required: true,
            sandbox: Some("3c90c3cc-0d44-4b50-8888-8dd25736052a"),
        },
        Setting {
            key: "workspace_id",
            help: "the UUID of a workspace: lists show no other, and a credential without a domain opens it",
            required: false,
            sandbox: None,
        },
    ],
    // No limit is documented, so this is low on purpose.
    pace: Pace {
        concurrency: 4,
        per_minute: Some(120.0),
        burst: 10,
        read: Duration::from_secs(20),
        write: Duration::from_secs(60),
        poll: Duration::from_secs(2),
        machines: 1,
    },
    rules: Rules {
        password: PasswordRule::Never(NO_PASSWORD),
        names: NameRule::Both,
        quota: QuotaRule::Never(NO_QUOTA),
        address: any_address,
        lower_case: false,
        domain_settings: false,
        // No maximum is documented. Where a hundred are refused as a whole, each is sent alone.
        batch_max: 100,
        empty_domain: EmptyDomain::MustBeRead,
        listing_lags: false,
        // What a second create of an address does is not documented.
        refuses_existing: false,
        costs: Some("Hybridbox bills each mailbox per day, on top of a monthly minimum"),
    },
    support: |op| match op {
        Op::CheckAccount | Op::ListMailboxes | Op::CreateMailbox | Op::CreateMailboxes | Op::SetNames => {
            Support::Native
        }
        Op::GetMailbox => Support::Emulated("searches the domain's mailboxes and picks one"),
        Op::SetPassword => Support::No(NO_PASSWORD),
        Op::SetQuota => Support::No(NO_QUOTA),
        Op::SetAdmin => Support::No("Hybridbox mailboxes have no privileges"),
        Op::SuspendMailbox => Support::No("mailboxes are paused in the web app; no route for it is documented"),
        Op::DeleteMailbox | Op::DeleteAlias => {
            Support::Unverified("no page shows the route: it is inferred from how other things are deleted")
        }
        Op::GetDomain | Op::DomainDns | Op::DeleteDomain | Op::CreateAlias | Op::CreateCredential => Support::Native,
        Op::CreateDomain => Support::No(CONNECT),
        Op::VerifyDomain => Support::No("domains are verified in the web app; no route for it is documented"),
        Op::SuspendDomain => Support::No("no route that switches a domain off is documented"),
        Op::ListAliases => Support::Emulated("reads the aliases off the domain's mailboxes"),
        Op::CreateCatchAll => Support::Unverified(
            "a catch-all is a documented flag of an alias, but not what to write as its address: mbx writes `@domain`",
        ),
        Op::ListDomains | Op::ListCredentials | Op::DeleteCredential => {
            Support::Unverified("no page shows the route: it is inferred from those beside it")
        }
    },
};

#[derive(Clone)]
pub(super) struct Hybridbox {
    http: Http,
    account_id: String,
    workspace_id: Option<String>,
    /// Ids.
    known: Known<String>,
}

impl Hybridbox {
    pub(super) fn new(http: Http, account: &Account) -> Result<Self> {
        let uuid = |key: &str| match account.setting(key) {
            Some(text) if !is_uuid(text) => Err(Error::new(Kind::Config, format!("`{key}` is not a UUID: {text:?}"))),
            text => Ok(text.map(str::to_owned)),
        };
        let account_id = uuid("account_id")?
            .ok_or_else(|| Error::new(Kind::Config, "this profile needs `account_id`, the UUID of the account"))?;
        Ok(Hybridbox { http, account_id, workspace_id: uuid("workspace_id")?, known: Known::default() })
    }

    fn read(&self, path: &[&str]) -> Call<'_> {
        self.http.read(Method::GET, &[&["v1", "public", "accounts", &self.account_id], path].concat())
    }

    fn write(&self, method: Method, path: &[&str]) -> Call<'_> {
        self.http.write(method, &[&["v1", "public", "accounts", &self.account_id], path].concat())
    }

    fn mailboxes<'a>(
        &'a self,
        domain: Option<&'a DomainName>,
        workspace_id: Option<&'a str>,
        search: Option<&'a str>,
    ) -> Listing<'a, WireMailbox> {
        let filters = [("domain", domain.map(DomainName::as_str)), ("workspace_id", workspace_id), ("search", search)];
        let filters = filters.map(|(name, value)| Some((name, value?.to_owned())));
        let fetch = move |this: Self, number: u32| {
            let filters = filters.clone();
            async move {
                let call = this.read(&["mailboxes"]).query(&[("page", &number.to_string()), ("page_size", PAGE_SIZE)]);
                let filters: Vec<_> = filters.iter().flatten().map(|(name, value)| (*name, value.as_str())).collect();
                Ok(call.query(&filters).json::<WirePage<WireMailbox>>().await?.of(number))
            }
        };
        // That a name does as `domain` is inferred; were it ignored, the mailboxes of all domains would come.
        pages(self, |mailbox: &WireMailbox| mailbox.id.clone(), fetch)
            .keep(move |mailbox| domain.is_none_or(|name| mailbox.address().domain() == name))
    }

    /// Finds a mailbox by its address. The workspace does not matter: an address exists or not.
    async fn find(&self, address: &Address) -> Result<WireMailbox> {
        // Which fields `search` looks at is not documented, so finding nothing proves nothing: then all are looked at.
        for search in [Some(address.local_part()), None] {
            let mut found = self.mailboxes(Some(address.domain()), None, search);
            while let Some(mailbox) = found.try_next().await.map_err(|e| missing(e, Error::no_mailbox(address)))? {
                if mailbox.address() == *address {
                    return Ok(mailbox);
                }
            }
        }
        Err(Error::no_mailbox(address))
    }

    /// Reads a list that is on no page: a page object or a bare array.
    fn inferred<T: DeserializeOwned + Send + 'static>(
        &self,
        what: &'static str,
        id: fn(&T) -> String,
    ) -> Listing<'_, T> {
        pages(self, id, move |this, number| async move {
            // Its parameters are not known either; the first page asks for none.
            let (call, page) = (this.read(&[what]), number.to_string());
            let call = if number == 1 { call } else { call.query(&[("page", &page)]) };
            Ok(match call.json().await? {
                WireList::Page(page) => page.of(number),
                WireList::Bare(items) => Page { items, more: false, total: None },
            })
        })
    }
}

#[async_trait]
impl Provider for Hybridbox {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let refused = Error::new(Kind::NotFound, format!("no account {} that this token can see", self.account_id))
            .hint("check `account_id`, and what the token may do");
        let account: WireAccount = self.read(&[]).json().await.map_err(|e| missing(e, refused))?;
        Ok(account.name)
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        self.mailboxes(domain, self.workspace_id.as_deref(), None).map_ok(mailbox_from)
    }

    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let found = self.find(address).await?;
        // The list may leave the aliases out.
        Ok(mailbox_from(match found.aliases {
            Some(_) => found,
            None => self.read(&["mailboxes", &found.id]).json().await?,
        }))
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let body = WireNewMailbox { domain: new.address.domain().as_str(), item: item_from(new) };
        let made = self.write(Method::POST, &["mailboxes"]).body(&body).json().await;
        Ok(mailbox_from(made.map_err(|error| naming_alias(error, &new.address))?).into())
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        self.create_batch(batch).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        if let Some(refusal) = SPEC.refusal_of(&change.ops(), true) {
            return Err(refusal);
        }
        let body = WireNames { first_name: change.first_name.as_deref(), last_name: change.last_name.as_deref() };
        let call = |id: String| self.write(Method::PATCH, &["mailboxes", &id]).body(&body).json();
        Ok(mailbox_from(self.known.on(address, || self.find(address).map_ok(|m| m.id), call).await?).into())
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        let call = |id: String| self.write(Method::DELETE, &["mailboxes", &id]).done();
        self.known.on(address, || self.find(address).map_ok(|m| m.id), call).await?;
        Ok(Removal::Done(None).into())
    }

    fn cache_listed(&self, mailbox: &Mailbox) {
        if let Some(id) = &mailbox.id {
            self.known.keep(&mailbox.address, id.clone());
        }
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        let here = move |id: &str| self.workspace_id.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(id));
        self.inferred("domains", |domain: &WireDomain| domain.id.clone())
            .keep(move |domain| domain.workspace_id.as_deref().is_none_or(here))
            .map_ok(domain_from)
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        Ok(domain_from(self.read(&["domains", name.as_str()]).json().await?))
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        let domain: WireDomain = self.read(&["domains", name.as_str()]).json().await?;
        Ok(domain.dns_records.into_iter().flatten().map(record_from).collect())
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        self.write(Method::DELETE, &["domains", name.as_str()]).done().await?;
        Ok(Removal::Done(Some("what becomes of its mailboxes is not documented")))
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        Listing::items(try_stream! {
            let mut all = self.mailboxes(Some(domain), None, None);
            while let Some(mailbox) = all.try_next().await? {
                let target = mailbox.address();
                // Aliases that are left out are taken for none: asking for each mailbox would take a request each.
                for alias in mailbox.aliases.into_iter().flatten() {
                    yield alias_from(&alias, &target);
                }
            }
        })
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        let [target] = new.targets.as_slice() else {
            let why = format!("{}: a Hybridbox alias belongs to exactly one mailbox", new.source);
            return Err(Error::new(Kind::Invalid, why));
        };
        let id = self.find(target).await?.id;
        // Whether the local part alone would do is not documented; the answer calls the field an address.
        let is_catch_all = matches!(new.source, AliasSource::CatchAll(_)).then_some(true);
        let body = WireAlias { alias: new.source.to_string(), is_catch_all };
        let made = self.write(Method::POST, &["mailboxes", &id, "aliases"]).body(&body).json().await?;
        Ok(alias_from(&made, target).into())
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        let none = || Error::new(Kind::NotFound, format!("no alias {source}"));
        let all = self.mailboxes(Some(source.domain()), None, None).try_collect::<Vec<_>>().await;
        let mut done = Vec::new();
        for mailbox in all.map_err(|e| missing(e, none()))? {
            let target = mailbox.address();
            for alias in mailbox.aliases.iter().flatten().filter(|a| alias_from(a, &target).source == *source) {
                // Aliases have no id; the text of the list is the only key there can be.
                let call = self.write(Method::DELETE, &["mailboxes", &mailbox.id, "aliases", &alias.alias]);
                call.done().await.map_err(|error| partly(error, source, &done))?;
                done.push(target.to_string());
            }
        }
        if done.is_empty() { Err(none()) } else { Ok(Removal::Done(None).into()) }
    }

    fn list_credentials(&self) -> Listing<'_, Credential> {
        self.inferred("credentials", |found: &WireCredential| found.id.clone()).map_ok(credential_from)
    }

    async fn create_credential(&self, new: &NewCredential) -> Result<Credential> {
        let (name, value) = (new.name.as_str(), new.secret.expose_secret());
        for (what, text, least, most) in [("name", name, 1, 100), ("secret", value, 4, 256)] {
            if !(least..=most).contains(&text.chars().count()) {
                let why = format!("the {what} of a credential must have {least} to {most} characters");
                return Err(Error::new(Kind::Invalid, why));
            }
        }
        // What a domain and a workspace together would mean is not documented.
        let domain = new.domain.as_ref().map(DomainName::as_str);
        let workspace_id = self.workspace_id.as_deref().filter(|_| domain.is_none());
        let body = WireNewCredential { name, value, domain, workspace_id };
        Ok(credential_from(self.write(Method::POST, &["credentials"]).body(&body).json().await?))
    }

    async fn delete_credential(&self, id: &str) -> Result<Removal> {
        if !is_uuid(id) {
            return Err(Error::new(Kind::NotFound, format!("no credential {id:?}: their ids are UUIDs")));
        }
        let Err(error) = self.write(Method::DELETE, &["credentials", id]).done().await else {
            return Ok(Removal::Done(None));
        };
        // A route that is not there and a credential that is not there answer alike; the list distinguishes them.
        if error.kind == Kind::NotFound
            && let Ok(all) = self.list_credentials().try_collect::<Vec<_>>().await
            && all.iter().all(|credential| credential.id.as_deref() != Some(id))
        {
            return Err(missing(error, Error::new(Kind::NotFound, format!("no credential {id}"))));
        }
        Err(error)
    }
}
