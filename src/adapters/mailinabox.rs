//! Mail-in-a-Box: <https://mailinabox.email/api-docs.html>, checked against recordings of v75 and v72. Contract notes:
//! `docs/providers/mailinabox.md`.
//!
//! Quirks: forms in, one English sentence out; missing and existing mailboxes are both 400; 401 also means "not an
//! administrator"; `/login` refuses inside 200; the flag is `privileges` on add and `privilege` elsewhere.

mod session;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use self::session::Session;
use self::wire::{WireAliasGroup, WireRecord, WireUser, WireUserGroup, alias_from, mailbox_from, record_from};
use super::Account;
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Failure, Http, Method, Reply};
use crate::model::{
    Address, Alias, AliasSource, Bytes, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewMailbox, Quota,
    Removal, Status,
};
use crate::provider::{
    AuthScheme, Done, EmptyDomain, Listing, NameRule, Op, Pace, PasswordRule, Provider, ProviderId, QuotaRule, Rules,
    Spec, Support,
};

const NO_NAMES: &str = "Mail-in-a-Box keeps no names";
const NO_CREDENTIALS: &str = "Mail-in-a-Box has no logins besides each mailbox's own";
const NO_DOMAINS: &str = "a domain is there as soon as a mailbox or alias uses it, and gone with the last one";

/// A box stores a longer password, and Dovecot then refuses every login with it.
const PASSWORD_MAX: usize = 511;

/// A box stores a larger quota, and Dovecot, which reads a signed number of 64 bits, then refuses every login.
const QUOTA_MAX: u64 = i64::MAX as u64;

pub(super) static SPEC: Spec = Spec {
    id: ProviderId::Mailinabox,
    title: "Mail-in-a-Box",
    base_url: Err("every box has an API address of its own, such as https://box.example.com/admin"),
    auth: AuthScheme::Basic,
    secret_name: "PASSWORD",
    settings: &[],
    // One worker answers one request at a time; its web server gives up after 60 s and the write goes on without it.
    pace: Pace {
        concurrency: 1,
        per_minute: None,
        burst: 1,
        read: Duration::from_secs(60),
        write: Duration::from_secs(120),
        poll: Duration::from_secs(2),
        machines: 1,
    },
    rules: Rules {
        password: PasswordRule::Required { min: 8, max_bytes: Some(PASSWORD_MAX), letter_and_digit: false },
        names: NameRule::Never(NO_NAMES),
        quota: QuotaRule::Multiple { of: 1, max: Some(QUOTA_MAX), unlimited: true },
        address: address_problem,
        lower_case: true,
        domain_settings: false,
        batch_max: 1,
        empty_domain: EmptyDomain::IsOpen(NO_DOMAINS),
        listing_lags: false,
        refuses_existing: true,
        costs: None,
    },
    support: |op| match op {
        Op::CheckAccount | Op::ListMailboxes | Op::CreateMailbox | Op::DeleteMailbox => Support::Native,
        Op::SetPassword | Op::SetQuota | Op::SetAdmin => Support::Native,
        Op::GetMailbox => Support::Emulated("lists all mailboxes and picks one"),
        Op::CreateMailboxes => Support::No("a box takes one mailbox a request, and one request at a time"),
        Op::SetNames => Support::No(NO_NAMES),
        Op::SuspendMailbox => Support::No("a box cannot switch a mailbox off; setting another password locks it"),
        Op::ListDomains | Op::DomainDns => Support::Native,
        Op::GetDomain => Support::Emulated("lists the domains and picks one"),
        Op::CreateDomain | Op::DeleteDomain => Support::No(NO_DOMAINS),
        Op::VerifyDomain => Support::No("a box takes every domain as it is; `mbx domain dns` shows what to publish"),
        Op::SuspendDomain => Support::No("a box cannot switch a domain off"),
        Op::ListAliases | Op::CreateAlias | Op::CreateCatchAll | Op::DeleteAlias => Support::Native,
        Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => Support::No(NO_CREDENTIALS),
    },
};

fn address_problem(address: &Address) -> Option<&'static str> {
    let (local, domain) = (address.local_part(), address.domain().as_str());
    let last_label = domain.rsplit('.').next().unwrap_or_default();
    if !local.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b)) {
        return Some("before the @ a box takes only lower-case a-z, the digits and . _ -");
    }
    if ["admin", "administrator", "postmaster", "hostmaster", "webmaster", "abuse"].contains(&local) {
        return Some("certificate authorities write to this address, so a box takes it as an alias only");
    }
    if ["test", "local", "localhost", "invalid", "onion", "arpa"].contains(&last_label) {
        return Some("a box takes no domains of special use, such as .test and .local");
    }
    // One account on a domain of 251 characters makes every later add and remove on the box answer 500.
    (domain.len() > 200).then_some("a domain of more than 200 characters breaks a box's DNS")
}

pub(super) struct Mailinabox {
    session: Session,
    /// The accounts and archived mailboxes as of the first create of the run.
    seen: Mutex<Option<Vec<WireUser>>>,
}

impl Mailinabox {
    pub(super) fn new(http: Http, account: &Account) -> Result<Self> {
        Ok(Mailinabox { session: Session::new(http, account)?, seen: Mutex::new(None) })
    }

    /// Sends a change. The first line of its answer confirms it; what DNS and web report follows, and which aliases the
    /// box has removed since: those are returned.
    async fn change(&self, path: &[&str], fields: &[(&str, &str)], done: &str) -> Result<Vec<AliasSource>> {
        let reply = self.session.ask(|http| http.write(Method::POST, path).form(fields)).await?;
        if first_line(&reply) != done {
            return Err(unreadable(&reply).effect(Effect::Unknown));
        }
        let words = reply.words();
        let removed = words.lines().filter_map(|line| line.trim().strip_prefix("removed alias ")?.split(' ').next());
        Ok(removed.map(AliasSource::lenient).collect())
    }

    async fn aliases(&self) -> Result<Vec<Alias>> {
        let path = ["mail", "aliases"];
        let reply = self.session.ask(|http| http.read(Method::GET, &path).query(&[("format", "json")])).await?;
        let groups: Vec<WireAliasGroup> = reply.json()?;
        Ok(groups.into_iter().flat_map(|group| group.aliases).map(alias_from).collect())
    }

    /// Explains a refusal to create or remove an alias where the box lists one of its own at the same address. A look
    /// that fails leaves the box's own words.
    async fn explained(&self, refusal: Error, source: &AliasSource) -> Error {
        if !matches!(refusal.kind, Kind::Conflict | Kind::NotFound) {
            return refusal;
        }
        let all = self.aliases().await.unwrap_or_default();
        if !all.iter().any(|alias| alias.source == *source && alias.is_automatic()) {
            return refusal;
        }
        if refusal.kind == Kind::NotFound {
            let words = format!(
                "{source} cannot be removed: the box makes it itself, for as long as something else uses {}",
                source.domain()
            );
            return refusal.kind(Kind::Invalid).message(words);
        }
        let error = refusal.message(format!("{source} already exists, and the box lists its own alias in its place"));
        error.hint(format!("`mbx alias delete {source}` removes the one that was created; then create it again"))
    }

    async fn users(&self) -> Result<Vec<WireUser>> {
        let all =
            self.session.ask(|http| http.read(Method::GET, &["mail", "users"]).query(&[("format", "json")])).await?;
        Ok(all.json::<Vec<WireUserGroup>>()?.into_iter().flat_map(|group| group.users).collect())
    }

    /// Finds what the answer to a create does not show: that old mail comes back, and that an old box drops the quota.
    /// The list takes a fraction of a create's time, and one serves all creates of a run, so it is worth its cost.
    async fn look_first(&self, new: &NewMailbox, email: &str) -> Result<Option<String>> {
        let mut seen = self.seen.lock().await;
        if seen.is_none() {
            *seen = Some(self.users().await?);
        }
        let mut users = seen.iter().flatten();
        let is_kept = users.clone().any(|user| !user.is_active() && user.email == email);
        let note =
            is_kept.then(|| format!("the box keeps the mail of a former {email}; the new mailbox opens with it"));
        match new.quota {
            Some(_) if !users.any(|user| user.quota.is_some()) => Err(no_quotas()),
            _ => Ok(note),
        }
    }

    /// The brake before what would lock this profile out; a box lets its last administrator go without a word.
    fn is_not_self(&self, address: &Address, what: &str) -> Result<()> {
        if *address != Address::lenient(&self.session.user) {
            return Ok(());
        }
        let why = format!("{address} is who mbx logs in as: this would {what} the profile's own account");
        Err(Error::new(Kind::Refused, why).hint("use another administrator's profile for this"))
    }
}

#[async_trait]
impl Provider for Mailinabox {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    async fn check_account(&self) -> Result<String> {
        let path = ["mail", "users", "privileges"];
        let reply =
            self.session.ask(|http| http.read(Method::GET, &path).query(&[("email", &self.session.user)])).await?;
        match reply.words().lines().any(|word| word == "admin") {
            true => Ok(self.session.user.clone()),
            false => Err(unreadable(&reply)),
        }
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        Listing::once(async move {
            // Inactive entries are folders of removed mailboxes: nobody can log in or get mail there.
            let mailboxes = self.users().await?.into_iter().filter(WireUser::is_active).map(mailbox_from);
            Ok(mailboxes.filter(|mailbox| domain.is_none_or(|name| mailbox.address.domain() == name)).collect())
        })
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let email = new.address.lower();
        let note = self.look_first(new, &email).await?;
        let quota = new.quota.map(quota_text);
        let mut fields =
            vec![("email", &*email), ("password", new.password.as_ref().map_or("", |p| p.expose_secret()))];
        // Plural here and singular everywhere else: `privilege` would be ignored without a word.
        fields.extend((new.admin == Some(true)).then_some(("privileges", "admin")));
        fields.extend(quota.as_deref().map(|quota| ("quota", quota)));
        let removed = self.change(&["mail", "users", "add"], &fields, "mail user added").await?;
        let made = noted(changed(&email, &new.as_change()), &removed);
        Ok(note.into_iter().fold(made, Done::note))
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        if change.quota.is_none() && change.admin.is_none() {
            return Err(Error::unsupported(Op::SetNames.phrase(), NO_NAMES));
        }
        if change.admin == Some(false) {
            self.is_not_self(address, "take administration from")?;
        }
        let email = address.lower();
        if let Some(quota) = change.quota {
            let fields = [("email", &*email), ("quota", &*quota_text(quota))];
            self.change(&["mail", "users", "quota"], &fields, "OK").await.map_err(|error| match error.http_status {
                Some(404) => no_quotas(),
                _ => error,
            })?;
        }
        if let Some(admin) = change.admin {
            let path = ["mail", "users", "privileges", if admin { "add" } else { "remove" }];
            let done = self.change(&path, &[("email", &email), ("privilege", "admin")], "OK").await;
            done.map_err(|error| {
                if change.quota.is_none() || error.effect != Effect::None {
                    return error;
                }
                let words = format!("the quota of {email} was changed, but its privilege was not");
                error.effect(Effect::Partial).message(words)
            })?;
        }
        Ok(changed(&email, change).into())
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let fields = [("email", &*address.lower()), ("password", password.expose_secret())];
        self.change(&["mail", "users", "password"], &fields, "OK").await?;
        Ok(().into())
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        self.is_not_self(address, "remove")?;
        // From now on it is an archived one, which the next create must learn.
        *self.seen.lock().await = None;
        let fields = [("email", &*address.lower())];
        let removed = self.change(&["mail", "users", "remove"], &fields, "mail user removed").await?;
        Ok(noted(Removal::Done(Some("the mail is kept on the box")), &removed))
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        Listing::once(async {
            let reply = self.session.ask(|http| http.read(Method::GET, &["mail", "domains"])).await?;
            let words = reply.words();
            let mut names: Vec<_> =
                words.lines().filter(|line| !line.trim().is_empty()).map(DomainName::lenient).collect();
            names.sort();
            // Never empty: the box's own name is among them.
            if names.is_empty() {
                return Err(unreadable(&reply));
            }
            Ok(names.into_iter().map(Domain::named).collect())
        })
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        let reply = self.session.ask(|http| http.read(Method::GET, &["dns", "dump"])).await?;
        let zones: Vec<(String, Vec<WireRecord>)> = reply.json()?;
        // A zone holds the records of all mail domains below it.
        let below = format!(".{name}");
        let records = zones.into_iter().flat_map(|(_, records)| records);
        let ours = records.filter(|r| r.qname == name.as_str() || r.qname.ends_with(&below));
        let records: Vec<_> = ours.map(record_from).collect();
        if records.is_empty() { Err(Error::no_domain(name)) } else { Ok(records) }
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        Listing::once(async move {
            Ok(self.aliases().await?.into_iter().filter(|alias| alias.source.domain() == domain).collect())
        })
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        let source = new.source.to_string().to_lowercase();
        let targets: Vec<Address> = new.targets.iter().map(|target| SPEC.rules.stored(target)).collect();
        let lines = targets.iter().map(Address::as_str).collect::<Vec<_>>().join("\n");
        // Without `update_if_exists`, which would replace the targets of an alias that is there.
        let fields = [("address", &*source), ("forwards_to", &*lines)];
        let made = Alias::to(AliasSource::lenient(&source), targets);
        let removed = match self.change(&["mail", "aliases", "add"], &fields, "alias added").await {
            Ok(removed) => removed,
            Err(error) => return Err(self.explained(error, &made.source).await),
        };
        if removed.contains(&made.source) {
            let domain = made.source.domain();
            let why =
                format!("{source} was not created: the box removed it at once, because nothing else uses {domain}");
            let next = format!("create a mailbox on {domain} first; the box then makes {source} itself");
            return Err(Error::new(Kind::Invalid, why).hint(next));
        }
        let is_own = ["abuse@", "admin@", "postmaster@"].iter().any(|local| source.starts_with(local));
        let made = noted(made, &removed);
        Ok(if is_own {
            made.note(format!("the box also makes {source} itself; this one takes its mail"))
        } else {
            made
        })
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        let fields = [("address", &*source.to_string().to_lowercase())];
        match self.change(&["mail", "aliases", "remove"], &fields, "alias removed").await {
            Ok(removed) => Ok(noted(Removal::Done(None), &removed)),
            Err(error) => Err(self.explained(error, source).await),
        }
    }

    async fn close(&self) {
        self.session.close().await;
    }
}

/// Writes a quota as people do where that is exact: `2G`, `500M`, else bytes; `0` is no limit.
fn quota_text(Bytes(bytes): Bytes) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ if bytes % (1 << 30) == 0 => format!("{}G", bytes >> 30),
        _ if bytes % (1 << 20) == 0 => format!("{}M", bytes >> 20),
        _ => bytes.to_string(),
    }
}

/// Returns what a change that the box has confirmed leaves behind; only accounts in use can be changed.
fn changed(email: &str, change: &MailboxChange) -> Mailbox {
    Mailbox {
        status: Status::Active,
        admin: change.admin,
        quota: change.quota.map(|Bytes(bytes)| Quota::of(bytes)),
        ..Mailbox::at(Address::lenient(email))
    }
}

/// Adds which aliases the box has removed on its own.
fn noted<T>(value: T, removed: &[AliasSource]) -> Done<T> {
    removed.iter().map(|alias| format!("the box also removed the alias {alias}")).fold(value.into(), Done::note)
}

fn no_quotas() -> Error {
    Error::unsupported(Op::SetQuota.phrase(), "this box is older than v73, which brought quotas")
}

fn first_line(reply: &Reply) -> String {
    reply.words().lines().next().unwrap_or_default().trim().to_owned()
}

/// Returns the error of a 2xx that a box does not give.
fn unreadable(reply: &Reply) -> Error {
    reply.unreadable("(an answer that a box does not give)")
}

pub(super) fn judge(reply: &Reply) -> Option<Failure> {
    let status = reply.status.as_u16();
    let reason = reply.member("reason").and_then(|reason| reason.as_str().map(str::to_owned));
    // `/login` refuses inside 200, with the reasons of a 401.
    let failure = match (status, &reason) {
        (200, Some(reason)) => Failure { kind: Kind::Auth, message: reason.clone() },
        _ => Failure::by_status(reply, || reason.unwrap_or_else(|| first_line(reply)))?,
    };
    let text = failure.message.as_str();
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    let kind = match status {
        401 | 403 if text == "You are not an administrator." => Kind::Denied,
        401 | 403 => Kind::Auth,
        400 if starts(&["User already exists.", "Alias already exists ("]) => Kind::Conflict,
        400 if starts(&["That's not a user (", "That's not an alias ("]) => Kind::NotFound,
        // What is missing on a box is a 400; a 404 is a path that this box, or this server, does not have.
        404 => Kind::Unsupported,
        _ => failure.kind,
    };
    Some(failure.is(kind))
}
