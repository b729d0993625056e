//! LiteMail: <https://docs.litemail.ai/>, the set named v3. Contract notes: `docs/providers/litemail.md`.
//!
//! Quirks: no page names a host; one call is documented in full, four by method and path only, and what the others do
//! is read from Zapmail, whose pages LiteMail's resemble; errors travel inside 200; the answer to a create has no
//! address; passwords are made there; removal is a note for the next renewal.

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Account;
use super::known::Known;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Http, Method, Page, pages};
use crate::model::{
    Address, Alias, AliasSource, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal,
    Stamp,
};
use crate::provider::{
    AuthScheme, Done, EmptyDomain, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules,
    Setting, Spec, Support, any_address,
};
use wire::{
    WireEnvelope, WireRow, WireRows, domain_from, flat, given, known_id, mailbox_from, on_domain, record_from,
    wire_from,
};

pub(super) use wire::judge;

const NO_PASSWORDS: &str = "LiteMail makes the passwords; no call that takes one was found";
const NO_QUOTA: &str = "no LiteMail call that takes a quota was found";
const NO_ALIASES: &str = "LiteMail lists no call for aliases";
const ZAPMAIL: &str = "LiteMail documents that the call exists; its path and fields are taken from Zapmail";

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Litemail,
    title: "LiteMail",
    base_url: Err("LiteMail's API address is not public; ask them for it"),
    auth: AuthScheme::Header("x-api-key"),
    secret_name: "API_KEY",
    settings: &[Setting {
        key: "create_route",
        help: "`assign` (the default) or `legacy`, the older call that makes one mailbox and whose body is a guess",
        required: false,
        sandbox: None,
    }],
    // LiteMail names no limit. Zapmail's are 5 a second and 20 a minute.
    pace: Pace {
        concurrency: 1,
        per_minute: Some(20.0),
        burst: 5,
        read: Duration::from_secs(30),
        write: Duration::from_secs(60),
        poll: Duration::from_secs(60),
        machines: 1,
    },
    rules: Rules {
        password: PasswordRule::Never(NO_PASSWORDS),
        names: NameRule::Optional,
        quota: QuotaRule::Never(NO_QUOTA),
        address: any_address,
        lower_case: false,
        domain_settings: false,
        // LiteMail names no bound. Users of Zapmail report five mailboxes a domain and call.
        batch_max: 5,
        empty_domain: EmptyDomain::MustBeRead,
        listing_lags: true,
        // What a second order of an address does is not documented; it may be charged for.
        refuses_existing: false,
        costs: Some("each mailbox is charged for; whether by slots bought before or from the wallet is not documented"),
    },
    support: |op| match op {
        Op::CheckAccount | Op::ListMailboxes | Op::DeleteMailbox => Support::Native,
        Op::CreateMailbox | Op::CreateMailboxes => Support::Native,
        Op::GetMailbox => Support::Emulated("lists all mailboxes and picks one"),
        Op::SetNames => Support::Unverified("the method is documented, path and fields are inferred"),
        Op::SetPassword => Support::No(NO_PASSWORDS),
        Op::SetQuota => Support::No(NO_QUOTA),
        Op::SetAdmin => Support::No("LiteMail mailboxes have no privileges"),
        Op::SuspendMailbox | Op::SuspendDomain => Support::No("LiteMail lists no call to suspend or resume anything"),
        Op::ListDomains | Op::GetDomain | Op::CreateDomain | Op::CreateCatchAll => Support::Unverified(ZAPMAIL),
        Op::VerifyDomain => Support::Unverified("checks the name servers; path and fields are taken from Zapmail"),
        Op::DomainDns => Support::Unverified("shows the whole zone; path and fields are taken from Zapmail"),
        Op::DeleteDomain => Support::Unverified("for unused domains; path and fields are taken from Zapmail"),
        Op::ListAliases => Support::No("LiteMail lists no call that shows aliases or catch-alls"),
        Op::CreateAlias => Support::No(NO_ALIASES),
        Op::DeleteAlias => Support::Unverified("for catch-alls only; path and fields are taken from Zapmail"),
        Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => {
            Support::No("LiteMail's pages show no call that manages keys")
        }
    },
};

#[derive(Clone)]
pub(super) struct Litemail {
    http: Http,
    legacy: bool,
    /// Mailboxes as they are listed.
    known: Known<Mailbox>,
}

impl Litemail {
    pub(super) fn new(http: Http, account: &Account) -> Result<Self> {
        let refused = |message: &str| Err(Error::new(Kind::Config, message));
        let legacy = match account.setting("create_route") {
            None | Some("assign") => false,
            Some("legacy") if account.allow_unverified => true,
            Some("legacy") => {
                return refused("create_route `legacy` is not documented; it needs `allow_unverified = true`");
            }
            Some(_) => return refused("create_route is `assign` or `legacy`"),
        };
        Ok(Litemail { http, legacy, known: Known::default() })
    }

    async fn page(&self, what: &str, number: u32) -> Result<Page<WireRow>> {
        let call = self.http.read(Method::GET, &["v1", what]).query(&[("page", &number.to_string())]);
        Ok(call.json::<WireEnvelope<WireRows>>().await?.data.page(number))
    }

    /// Sends a create for one domain and returns what the answer says of each.
    async fn create(&self, path: &[&str], body: Value, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        let call = self.http.write(Method::POST, path).body(&body);
        let made = call.json::<WireEnvelope<WireRows>>().await?.data.page(1).items;
        // The records have no address: the domain asked for stands in.
        let domain = batch.first().map(|new| new.address.domain().as_str());
        let made: Vec<_> = made.into_iter().filter_map(|row| mailbox_from(&on_domain(row, domain))).collect();
        let find = |new: &NewMailbox| {
            made.iter().find(|mailbox| mailbox.address == new.address).cloned().map(Done::from).ok_or_else(|| {
                let message = format!("LiteMail's answer does not mention {}: it may exist or not", new.address);
                Error::new(Kind::Unknown, message).effect(Effect::Unknown)
            })
        };
        Ok(batch.iter().map(find).collect())
    }

    async fn domain_id(&self, name: &DomainName) -> Result<String> {
        known_id(self.get_domain(name).await?.id, name)
    }
}

#[async_trait]
impl Provider for Litemail {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let user: WireEnvelope<Option<WireRow>> = self.http.read(Method::GET, &["v1", "users"]).json().await?;
        let named = user.data.and_then(|user| user.text("email").or_else(|| user.text("id")));
        Ok(named.unwrap_or_else(|| "an account that LiteMail does not name".to_owned()))
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        let rows = pages(
            self,
            |row: &WireRow| ["id", "email", "username"].map(|name| row.text(name)),
            |this, number| async move {
                let page = this.page("mailboxes", number).await?;
                Ok(Page { items: page.items.into_iter().flat_map(flat).collect(), ..page })
            },
        );
        Listing::items(rows.try_filter_map(move |row| async move {
            let listed = mailbox_from(&row);
            match (domain, &listed) {
                // Leaving it out would claim that it is on another domain.
                (Some(_), Some(lost)) if lost.address.domain().as_str().is_empty() => {
                    Err(Error::new(Kind::Provider, format!("LiteMail does not name the domain of {}", lost.address)))
                }
                _ => Ok(listed.filter(|mailbox| domain.is_none_or(|name| mailbox.address.domain() == name))),
            }
        }))
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let batch = std::slice::from_ref(new);
        let mut made = if self.legacy {
            self.create(&["v1", "mailboxes"], wire_from(new, "userName"), batch).await?
        } else {
            self.create_mailboxes(batch).await?
        };
        made.remove(0)
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        if self.legacy {
            return Ok(stream::iter(batch).then(|new| self.create_mailbox(new)).collect().await);
        }
        let mailboxes: Value = batch.iter().map(|new| wire_from(new, "mailboxUsername")).collect();
        self.create(&["v1", "mailboxes", "assign"], json!({ "mailboxes": mailboxes }), batch).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        if let Some(refusal) = SPEC.refusal_of(&change.ops(), true) {
            return Err(refusal);
        }
        let body = given(&[("firstName", change.first_name.as_deref()), ("lastName", change.last_name.as_deref())]);
        let call = |found: Mailbox| async {
            let id = known_id(found.id, address)?;
            self.http.write(Method::PUT, &["v1", "mailboxes", &id]).body(&body).done().await?;
            // The answer is an acknowledgement, and at Zapmail the change comes later.
            Ok(Mailbox { id: Some(id), ..Mailbox::at(found.address) }.into())
        };
        self.known.on(address, || self.get_mailbox(address), call).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        let call = |found: Mailbox| async move {
            let on = found.extra.get("expires_on").and_then(Value::as_str).map(Stamp::lenient);
            let id = known_id(found.id, address)?;
            let sent = self.http.write(Method::DELETE, &["v1", "mailboxes", &id]).done().await;
            sent.map(|()| on).map_err(|error| {
                if error.kind != Kind::NotFound {
                    return error;
                }
                // A listing has shown it: to call it gone would be a false comfort while it may be charged for.
                let words = format!("LiteMail lists {address}, and does not find it when asked to remove it");
                error.kind(Kind::Provider).message(words)
            })
        };
        let on = self.known.on(address, || self.get_mailbox(address), call).await?;
        let note = "removed at the next renewal; exists and is charged for until then";
        Ok(Removal::Scheduled { on, note }.into())
    }

    fn cache_listed(&self, mailbox: &Mailbox) {
        self.known.keep(&mailbox.address, mailbox.clone());
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        let rows = pages(
            self,
            |row: &WireRow| row.text("domain"),
            |this, number| async move { this.page("domains", number).await },
        );
        rows.map_ok(domain_from)
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        let body = json!({ "domainNames": [new.name] });
        self.http.write(Method::POST, &["v1", "domains", "connect-domain"]).body(&body).done().await?;
        Ok(Domain::named(new.name.clone()).into())
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        // A write although it is a GET: a check may move the domain on.
        let call = self.http.write(Method::GET, &["v1", "domains", "name-servers", "verify"]);
        let reply = call.query(&[("domainName", name.as_str())]).reply().await?;
        // A look that fails does not undo what was started.
        let mut domain = self.get_domain(name).await.unwrap_or_else(|_| Domain::named(name.clone()));
        domain.extra.extend(reply.member("message").filter(Value::is_string).map(|words| ("verification", words)));
        Ok(domain)
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        let id = self.domain_id(name).await?;
        let call = self.http.read(Method::GET, &["v1", "dns"]).query(&[("id", &id)]);
        let records = call.json::<WireEnvelope<WireRows>>().await?.data.page(1).items;
        Ok(records.into_iter().map(record_from).collect())
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        let body = json!({ "ids": [self.domain_id(name).await?] });
        self.http.write(Method::DELETE, &["v1", "domains"]).body(&body).done().await?;
        Ok(Removal::Done(None))
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        let AliasSource::CatchAll(name) = &new.source else {
            return Err(Error::unsupported(Op::CreateAlias.phrase(), NO_ALIASES));
        };
        let [target] = new.targets.as_slice() else {
            return Err(Error::new(
                Kind::Invalid,
                format!("{}: a LiteMail catch-all has exactly one target", new.source),
            ));
        };
        let body = json!({ "domainIds": [self.domain_id(name).await?], "email": target });
        self.http.write(Method::POST, &["v1", "domains", "catch-all"]).body(&body).done().await?;
        Ok(Alias::to(new.source.clone(), new.targets.clone()).into())
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        let AliasSource::CatchAll(name) = source else {
            return Err(Error::unsupported(Op::DeleteAlias.phrase(), NO_ALIASES));
        };
        let body = json!({ "domainIds": [self.domain_id(name).await?] });
        self.http.write(Method::DELETE, &["v1", "domains", "catch-all"]).body(&body).done().await?;
        Ok(Removal::Done(None).into())
    }
}
