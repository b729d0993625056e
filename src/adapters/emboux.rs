//! EmBoux: <https://docs.emboux.com/>, API as of v5.4.0. Contract notes: `docs/providers/emboux.md`.
//!
//! Quirks: 403 covers bad keys, exhausted limits and missing rights; 400 covers duplicates; texts are partly Spanish;
//! list filters take numeric ids, everything else names; a mailbox object has no quota, a domain object no state.

mod wire;

use std::future::ready;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{TryStreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Http, Method};
use crate::model::{
    Address, Alias, AliasSource, Domain, DomainName, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal, Status,
};
use crate::provider::{
    AuthScheme, Done, EmptyDomain, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules,
    Spec, Support, any_address,
};
use wire::{
    Listed, WireDomain, WireNewAlias, WireNewDomain, WireNewUser, WireOutbound, WireQuota, WireQuotaSet,
    WireSetPassword, WireSetQuota, WireSuspension, alias_from, domain_from, with_quota,
};

pub(super) use wire::judge;

/// A megabyte of EmBoux. Its pages do not say whether they count 10^6 or 2^20 bytes; mail servers count 2^20.
const MEGABYTE: u64 = 1 << 20;

const NO_NAMES: &str = "EmBoux keeps no names";
const NO_CREDENTIALS: &str = "EmBoux has no logins besides each mailbox's own";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Emboux,
    title: "EmBoux",
    base_url: Ok("https://api.emboux.com"),
    auth: AuthScheme::Bearer,
    secret_name: "API_KEY",
    settings: &[],
    // No limit is enforced today (docs: rate limits); ten to fifteen seconds a request are recommended.
    pace: Pace {
        concurrency: 8,
        per_minute: None,
        burst: 1,
        read: Duration::from_secs(15),
        write: Duration::from_secs(30),
        poll: Duration::from_secs(2),
        machines: 1,
    },
    rules: Rules {
        // The pages name no password rule; an empty one cannot be meant.
        password: PasswordRule::Required { min: 1, max_bytes: None, letter_and_digit: false },
        names: NameRule::Never(NO_NAMES),
        quota: QuotaRule::Multiple { of: MEGABYTE, max: None, unlimited: false },
        address: any_address,
        lower_case: true,
        domain_settings: false,
        batch_max: 1,
        empty_domain: EmptyDomain::IsThere,
        listing_lags: false,
        refuses_existing: true,
        costs: None,
    },
    support: |op| match op {
        Op::CheckAccount => Support::Emulated("lists the domains: no call shows whose key it is"),
        Op::ListMailboxes | Op::CreateMailbox | Op::SetPassword | Op::DeleteMailbox => Support::Native,
        Op::GetMailbox => Support::Emulated("lists the domain's mailboxes and picks one, then reads its quota"),
        Op::CreateMailboxes => Support::No("EmBoux takes one mailbox a request"),
        Op::SetNames => Support::No(NO_NAMES),
        Op::SetQuota => Support::Native,
        Op::SetAdmin => Support::No("EmBoux mailboxes have no privileges"),
        Op::SuspendMailbox => Support::No("EmBoux suspends whole domains only: `mbx domain suspend`"),
        Op::ListDomains | Op::CreateDomain | Op::DeleteDomain | Op::SuspendDomain | Op::VerifyDomain => Support::Native,
        Op::GetDomain => Support::Emulated("lists the domains and picks one, then reads its sending settings"),
        Op::DomainDns => Support::No("EmBoux shows the records to publish in its portal only"),
        Op::ListAliases | Op::CreateAlias | Op::CreateCatchAll | Op::DeleteAlias => Support::Native,
        Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => Support::No(NO_CREDENTIALS),
    },
};

pub(super) struct Emboux {
    http: Http,
}

impl Emboux {
    pub(super) fn new(http: Http) -> Self {
        Emboux { http }
    }

    fn wire_domains(&self) -> Listing<'_, WireDomain> {
        self.http.read(Method::GET, &["domains"]).with_slash().stream()
    }

    async fn wire_domain(&self, name: &DomainName) -> Result<WireDomain> {
        let mut found = self.wire_domains().try_filter(|d| ready(DomainName::lenient(&d.name) == *name));
        found.try_next().await?.ok_or_else(|| Error::no_domain(name))
    }

    /// Reads a listing that takes an optional domain filter.
    fn filtered<'a, T: DeserializeOwned + Send + 'static>(
        &'a self,
        what: &'a str,
        domain: Option<&'a DomainName>,
    ) -> Listing<'a, T> {
        let call = async move {
            let call = self.http.read(Method::GET, &[what]).with_slash();
            let list = match domain {
                None => call.stream(),
                Some(name) => call.query(&[("domain_id", &self.wire_domain(name).await?.id.to_string())]).stream(),
            };
            Ok(list.into_batches())
        };
        Listing::new(stream::once(call).try_flatten())
    }

    /// Returns a mailbox as the list shows it.
    async fn listed(&self, address: &Address) -> Result<Mailbox> {
        let mut found = self.list_mailboxes(Some(address.domain())).try_filter(|m| ready(m.address == *address));
        found.try_next().await?.ok_or_else(|| Error::no_mailbox(address))
    }

    /// Sends what concerns one mailbox. Whether paths regard case is not documented: where the lower case is not found,
    /// the spelling that the list shows is tried, so that nothing which is there is called missing.
    async fn on<R, Call>(&self, address: &Address, call: impl Fn(Address) -> Call) -> Result<R>
    where
        Call: Future<Output = Result<R>>,
    {
        let lower = SPEC.rules.stored(address);
        match call(lower.clone()).await {
            Err(missing) if missing.kind == Kind::NotFound => match self.listed(address).await?.address {
                same if same.as_str() == lower.as_str() => Err(missing),
                listed => call(listed).await,
            },
            result => result,
        }
    }

    async fn freeze(&self, name: &DomainName, verb: &str) -> Result<Domain> {
        let call = self.http.write(Method::PUT, &["domains", name.as_str(), verb]);
        let answer: WireSuspension = call.json().await?;
        let mut domain = Domain::named(name.clone());
        domain.status = if answer.suspended { Status::Suspended } else { Status::Active };
        Ok(domain)
    }
}

#[async_trait]
impl Provider for Emboux {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let domains = self.wire_domains().try_fold(0, |count, _| ready(Ok(count + 1))).await?;
        Ok(format!("a key that sees {domains} domains"))
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        self.filtered("users", domain).map_ok(|Listed(mailbox)| mailbox)
    }

    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let found = self.listed(address).await?;
        let email = found.address.to_string();
        let quota: WireQuota = self.http.read(Method::GET, &["users", &email, "quota"]).json().await?;
        Ok(with_quota(found, quota))
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let email = new.address.lower();
        let body = WireNewUser {
            domain_name: new.address.domain().as_str(),
            email: &email,
            password: new.password.as_ref().map_or("", |p| p.expose_secret()),
        };
        let Listed(made) = self.http.write(Method::POST, &["users"]).with_slash().body(&body).json().await?;
        if new.quota.is_none() {
            return Ok(made.into());
        }
        // The quota cannot travel with the first request: it takes a second one, and that may fail alone.
        self.update_mailbox(&new.address, &new.as_change())
            .await
            .map(|done| done.map(|m| Mailbox { quota: m.quota, ..made }))
            .map_err(|e| e.effect(Effect::Partial).message(format!("{email} was created, but its quota was not set")))
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        let Some(quota) = change.quota else { return Err(Error::unsupported(Op::SetNames.phrase(), NO_NAMES)) };
        let body = WireSetQuota { quota_mb: quota.0 / MEGABYTE };
        let call = |stored: Address| {
            let call = self.http.write(Method::PUT, &["users", stored.as_str(), "quota"]).body(&body);
            async move { Ok((call.json::<WireQuotaSet>().await?, stored)) }
        };
        let (WireQuotaSet { quota_mb }, stored) = self.on(address, call).await?;
        let mailbox = Mailbox { status: Status::Active, ..Mailbox::at(stored) };
        Ok(with_quota(mailbox, WireQuota { quota_mb: Some(quota_mb) }).into())
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let body = WireSetPassword { password: password.expose_secret() };
        let call = |stored: Address| self.http.write(Method::PUT, &["users", stored.as_str()]).body(&body).done();
        Ok(self.on(address, call).await?.into())
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        self.on(address, |stored| self.http.write(Method::DELETE, &["users", stored.as_str()]).done()).await?;
        Ok(Removal::Done(None).into())
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.wire_domains().map_ok(domain_from)
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        let mut domain = domain_from(self.wire_domain(name).await?);
        let outbound: WireOutbound =
            self.http.read(Method::GET, &["domains", name.as_str(), "outbound"]).json().await?;
        domain.verified = outbound.ses_verified;
        domain.extra.extend(outbound.outbound_status.map(|word| ("outbound_status", Value::from(word))));
        Ok(domain)
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        let body = WireNewDomain { name: new.name.as_str() };
        Ok(domain_from(self.http.write(Method::POST, &["domains"]).with_slash().body(&body).json().await?).into())
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        self.http.write(Method::POST, &["domains", name.as_str(), "verify"]).done().await?;
        // A look that fails does not undo what was started.
        Ok(self.get_domain(name).await.unwrap_or_else(|_| Domain::named(name.clone())))
    }

    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        self.freeze(name, "suspend").await
    }

    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        self.freeze(name, "activate").await
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        self.http.write(Method::DELETE, &["domains", name.as_str()]).done().await?;
        Ok(Removal::Done(Some("its mailboxes and aliases are gone with it")))
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        self.filtered("aliases", Some(domain)).map_ok(alias_from)
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        let [target] = new.targets.as_slice() else {
            return Err(Error::new(Kind::Invalid, format!("{}: an EmBoux alias has exactly one target", new.source)));
        };
        let (source, destination) = (new.source.to_string(), target.to_string());
        let domain_name = new.source.domain().as_str();
        let body = WireNewAlias { domain_name, source: &source, destination: &destination };
        Ok(alias_from(self.http.write(Method::POST, &["aliases"]).with_slash().body(&body).json().await?).into())
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        self.http.write(Method::DELETE, &["aliases", &source.to_string()]).done().await?;
        Ok(Removal::Done(None).into())
    }
}
