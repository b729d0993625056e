//! The one decorator. It refuses what the spec rules out before anything is sent, finds the words for what went wrong,
//! and after a lost answer looks before it speaks.

use std::fmt::Display;

use async_stream::try_stream;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::SignedDuration;
use secrecy::SecretString;

use super::case::{Case, LAG, Made, OnExisting, Rules, Seen};
use super::drive::{self, CreationClock};
use super::{Done, EmptyDomain, Listing, NameRule, Op, PasswordRule, Problem, Provider, Spec, Support, failed, words};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{self, Http};
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewCredential,
    NewDomain, NewMailbox, Removal, Stamp, Status,
};

/// How often a single command sends its request while answers are lost.
const ATTEMPTS: u32 = 3;

/// How often a single command looks after a loss, and the pause before its second look: seven seconds in all.
const LOOKS: u32 = 4;
const PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A provider behind its checks. `adapters::open` returns nothing else.
pub struct Checked {
    pub(super) inner: Box<dyn Provider>,
    pub(super) http: Http,
    profile: String,
    pub(super) flags: String,
    allow_unverified: bool,
}

impl Checked {
    /// Puts `inner`, which sends through `http`, behind its checks. Hints end with `flags`, which choose this profile.
    pub fn new(inner: Box<dyn Provider>, http: Http, profile: &str, flags: &str, allow_unverified: bool) -> Self {
        Checked { inner, http, profile: profile.to_owned(), flags: flags.to_owned(), allow_unverified }
    }

    /// Sends nothing more; what is under way goes on.
    pub fn stop(&self) {
        self.http.stop_sending();
    }

    /// Returns a mark of the key in use, different for each `salt`; `None` where a user logs in with a password.
    pub fn key_mark(&self, salt: &str) -> Option<String> {
        self.http.key_mark(salt)
    }

    /// Returns whether waits are kept; tests leave them out.
    pub(super) fn waits(&self) -> bool {
        self.http.waits()
    }

    /// Says whether something that failed may be sent again, and takes it from the repeats that are left to this run;
    /// false when there is none.
    pub fn may_repeat(&self) -> bool {
        self.http.may_repeat()
    }

    /// Says before anything is prepared whether an operation would be refused.
    pub fn check_op(&self, op: Op) -> Result<()> {
        self.allow(op).map_err(|error| self.complete_error(error, op, &""))
    }

    /// Says whether a new mailbox would be refused, before its password is taken anywhere.
    pub fn check_new(&self, new: &NewMailbox) -> Result<()> {
        self.allow_new(new, true).map_err(|error| self.complete_error(error, Op::CreateMailbox, &new.address))
    }

    /// Says the same of a mailbox that may exist, which then needs no password.
    pub fn check_new_or_existing(&self, new: &NewMailbox) -> Result<()> {
        self.allow_new(new, false).map_err(|error| self.complete_error(error, Op::CreateMailbox, &new.address))
    }

    /// Says whether a password would be refused, before it is taken anywhere.
    pub fn check_password(&self, address: &Address, password: &SecretString) -> Result<()> {
        self.invalid_password(address, password).map_err(|error| self.complete_error(error, Op::SetPassword, address))
    }

    fn allow_new(&self, new: &NewMailbox, needs_password: bool) -> Result<()> {
        self.allow_all(&new.ops())?;
        // What a provider cannot store at all is another refusal than a value that it would not take.
        let rules = &self.spec().rules;
        if let (NameRule::Never(why), true) = (rules.names, new.first_name.is_some() || new.last_name.is_some()) {
            return Err(Error::unsupported("store a name", why));
        }
        if let (PasswordRule::Never(why), true) = (rules.password, new.password.is_some()) {
            return Err(Error::unsupported("take a password", why));
        }
        let mut problems = rules.problems(new);
        problems.retain(|problem| needs_password || !problem.is_missing || problem.field != "password");
        self.invalid(&new.address, problems)
    }

    fn allow_all(&self, ops: &[(&'static str, Op)]) -> Result<()> {
        self.spec().refusal_of(ops, self.allow_unverified).map_or(Ok(()), Err)
    }

    pub(super) fn allow(&self, op: Op) -> Result<()> {
        self.spec().refusal(op, self.allow_unverified).map_or(Ok(()), Err)
    }

    fn invalid(&self, subject: impl Display, problems: Vec<Problem>) -> Result<()> {
        if problems.is_empty() {
            return Ok(());
        }
        let why: Vec<_> = problems.into_iter().map(|problem| problem.why).collect();
        Err(Error::new(Kind::Invalid, format!("{subject} is refused: {}", why.join("; "))))
    }

    fn invalid_password(&self, address: &Address, password: &SecretString) -> Result<()> {
        let problem = self.spec().rules.given_password_problem(Some(password));
        self.invalid(address, problem.into_iter().collect())
    }

    fn allow_change(&self, address: &Address, change: &MailboxChange) -> Result<()> {
        self.allow_all(&change.ops())?;
        self.invalid(address, self.spec().rules.change_problems(change))
    }

    /// Names the provider and profile, and finds the words where the message is general.
    pub(super) fn complete_error(&self, error: Error, op: Op, subject: &dyn Display) -> Error {
        let spec = self.spec();
        let unverified = matches!((spec.support)(op), Support::Unverified(_));
        let error = match error.is_general {
            true if unverified && matches!(error.http_status, Some(404 | 405 | 501)) => {
                let words = format!("cannot {}: not available on this account or API version", op.phrase());
                error.kind(Kind::Unsupported).message(words)
            }
            true => {
                let words = words::sentence(error.kind, op, spec, subject);
                error.message(words)
            }
            false => error,
        };
        let advice = match error.hint {
            None => self.advice(error.kind, op, &subject.to_string()),
            Some(_) => None,
        };
        let error = error.at(spec.id, &self.profile);
        match advice {
            Some(advice) => error.hint(advice),
            None => error,
        }
    }

    pub(super) async fn run<T>(
        &self,
        op: Op,
        subject: &(dyn Display + Sync),
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = match self.allow(op) {
            Ok(()) => call.await,
            Err(refusal) => Err(refusal),
        };
        result.map_err(|error| self.complete_error(error, op, subject))
    }

    fn stream<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        subject: &'a (dyn Display + Sync),
        listing: impl FnOnce() -> Listing<'a, T>,
    ) -> Listing<'a, T> {
        let listing = match self.allow(op) {
            Ok(()) => listing(),
            Err(refusal) => failed(refusal),
        };
        listing.map_err(move |error| self.complete_error(error, op, subject))
    }

    /// Lists the mailboxes of a domain before some are created there. An empty list may be that of a domain which is not
    /// there: the creates say so themselves, and to ask would delay the first of them.
    pub fn list_before_creates<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        let subject: &'a (dyn Display + Sync) = match domain {
            Some(name) => name,
            None => &"the list of mailboxes",
        };
        self.stream(Op::ListMailboxes, subject, || self.inner.list_mailboxes(domain))
    }

    /// Ends the empty list of a domain that is not there with an error, where the provider's own list does not.
    fn checks_domain<'a, T: Send + 'a>(&'a self, domain: &'a DomainName, list: Listing<'a, T>) -> Listing<'a, T> {
        if self.spec().rules.empty_domain != EmptyDomain::MustBeRead || self.allow(Op::GetDomain).is_err() {
            return list;
        }
        let mut batches = list.into_batches();
        Listing::new(try_stream! {
            let mut is_empty = true;
            while let Some(batch) = batches.try_next().await? {
                is_empty &= batch.is_empty();
                yield batch;
            }
            // A look-up that failed otherwise shows nothing.
            if is_empty && let Err(error) = self.get_domain(domain).await && error.kind == Kind::NotFound {
                Err(error)?;
            }
        })
    }

    /// Returns what an empty list of a domain leaves open, in a sentence for the user.
    pub fn empty_domain_note(&self) -> Option<&'static str> {
        match self.spec().rules.empty_domain {
            EmptyDomain::IsOpen(why) => Some(why),
            EmptyDomain::MustBeRead if self.allow(Op::GetDomain).is_err() => Some(
                "the list of a domain that is not there looks the same, and reading domains takes `allow_unverified`",
            ),
            EmptyDomain::IsThere | EmptyDomain::MustBeRead => None,
        }
    }

    /// Runs what no look settles; a lost answer is then an unknown outcome.
    async fn run_without_look<T>(
        &self,
        op: Op,
        subject: &(dyn Display + Sync),
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let settled = async {
            call.await.map_err(|error| match error.effect {
                Effect::Unknown => self.lost_error(error, op, subject),
                Effect::None | Effect::Partial => error,
            })
        };
        self.run(op, subject, settled).await
    }

    /// Reads a mailbox.
    pub(super) async fn read_mailbox(&self, address: &Address) -> Result<Mailbox> {
        let mailbox = self.inner.get_mailbox(address).await?;
        names(address, &mailbox.address).map(|()| mailbox).map_err(|error| error.effect(Effect::None))
    }

    /// Reads a domain.
    pub(super) async fn read_domain(&self, name: &DomainName) -> Result<Domain> {
        let domain = self.inner.get_domain(name).await?;
        names(name, &domain.name).map(|()| domain).map_err(|error| error.effect(Effect::None))
    }

    /// Runs a change of a mailbox that no look settles.
    async fn switch_mailbox(&self, address: &Address, call: impl Future<Output = Result<Mailbox>>) -> Result<Mailbox> {
        let call = async { call.await.and_then(|mailbox| names(address, &mailbox.address).map(|()| mailbox)) };
        self.run_without_look(Op::SuspendMailbox, address, call).await
    }

    /// Runs a change of a domain that no look settles.
    async fn switch_domain(
        &self,
        op: Op,
        name: &DomainName,
        call: impl Future<Output = Result<Domain>>,
    ) -> Result<Domain> {
        let call = async { call.await.and_then(|domain| names(name, &domain.name).map(|()| domain)) };
        self.run_without_look(op, name, call).await
    }

    /// Sends the creation of one mailbox once. The effect of the error is `Unknown` when the answer was lost: the caller
    /// looks, for one or for many at once.
    pub async fn send_new(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let call = async {
            self.allow_new(new, true)?;
            // Forgotten when the answer is there: a run makes a million of them.
            let _guarded = new.password.as_ref().map(|password| self.http.guard_meanwhile(password));
            let made = self.inner.create_mailbox(new).await?;
            names(&new.address, &made.address).map(|()| made)
        };
        self.run(Op::CreateMailbox, &new.address, call).await
    }

    /// Sends a change of one mailbox once.
    pub async fn send_change(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        let call = async {
            self.allow_change(address, change)?;
            let changed = self.inner.update_mailbox(address, change).await?;
            names(address, &changed.address).map(|()| changed)
        };
        self.run(change.op(), address, call).await
    }

    /// Sends what a mailbox that was just created still lacks; what cannot be set leaves it half done.
    pub async fn send_extras(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        self.send_change(&new.address, &new.extras()).await.map_err(|error| {
            if matches!(error.kind, Kind::Interrupted | Kind::Terminated) || error.effect == Effect::Unknown {
                return error;
            }
            let words = format!("{} was created, but {}", new.address, error.message);
            let error = error.message(words).effect(Effect::Partial);
            match self.update_hint(new) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })
    }

    /// Sends a new password of one mailbox once.
    pub async fn send_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let call = async {
            self.invalid_password(address, password)?;
            let _guarded = self.http.guard_meanwhile(password);
            self.inner.set_password(address, password).await
        };
        self.run(Op::SetPassword, address, call).await
    }

    /// Sends the deletion of one mailbox once.
    pub async fn send_delete(&self, address: &Address) -> Result<Done<Removal>> {
        self.run(Op::DeleteMailbox, address, self.inner.delete_mailbox(address)).await
    }

    /// Returns how a single request is driven; a bulk run changes what its flags say.
    pub fn case_rules(&self, on_existing: OnExisting, look: Op) -> Rules {
        let rules = &self.spec().rules;
        Rules {
            on_existing,
            refuses_existing: rules.refuses_existing,
            can_look: self.allow(look).is_ok(),
            resends: true,
            is_costly: rules.listing_lags,
            attempts: ATTEMPTS,
            looks: LOOKS,
            pause: if self.waits() { PAUSE } else { SignedDuration::ZERO },
            lag: LAG,
            answer: if self.waits() { self.spec().pace.write.try_into().unwrap_or(LAG) } else { SignedDuration::ZERO },
        }
    }

    /// Returns what a look shows of a mailbox, as evidence for a case that asks for `change`.
    pub fn seen(
        &self,
        case: &Case,
        mailbox: &Mailbox,
        change: &MailboxChange,
        known: Option<&Mailbox>,
        clock: &CreationClock,
    ) -> Seen {
        Seen {
            made: self.made(case, mailbox.created_at.as_ref(), clock),
            fits: change.is_met_by(mailbox),
            same: known.is_none_or(|known| {
                let differs = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
                !differs(&known.id, &mailbox.id)
            }),
            ending: mailbox.status == Status::Ending,
        }
    }

    pub(super) fn made(&self, case: &Case, created: Option<&Stamp>, clock: &CreationClock) -> Made {
        // Where it is not known when the request left, no creation time decides.
        let Some(sent) = case.sent() else { return Made::Untold };
        let now = http::now();
        drive::made(created, (sent, case.lost().unwrap_or(now), now), self.http.server_clock(), clock)
    }
}

/// Checks that an answer is about the address or the name that was asked for: what another one proves is nothing.
pub(super) fn names<T: PartialEq + Display>(asked: &T, answered: &T) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    let words = format!("the answer is about {answered} and not about {asked}");
    Err(Error::new(Kind::Provider, words).effect(Effect::Unknown))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Checked {
    fn spec(&self) -> &'static Spec {
        self.inner.spec()
    }

    async fn check_account(&self) -> Result<String> {
        self.run(Op::CheckAccount, &"the account", self.inner.check_account()).await
    }

    fn list_mailboxes<'a>(&'a self, domain: Option<&'a DomainName>) -> Listing<'a, Mailbox> {
        let list = self.list_before_creates(domain);
        match domain {
            Some(name) => self.checks_domain(name, list),
            None => list,
        }
    }

    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run(Op::GetMailbox, address, self.read_mailbox(address)).await
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        self.create(new, OnExisting::Fail).await.done()
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        let call = async {
            let domains = batch.windows(2).any(|pair| pair[0].address.domain() != pair[1].address.domain());
            if domains || batch.len() > self.spec().rules.batch_max {
                return Err(Error::new(Kind::Internal, "a batch holds one domain and no more than the provider takes"));
            }
            let mut guarded = Vec::new();
            for new in batch {
                self.allow_new(new, true)?;
                guarded.extend(new.password.as_ref().map(|password| self.http.guard_meanwhile(password)));
            }
            let results = self.inner.create_mailboxes(batch).await?;
            let completed = results.into_iter().zip(batch).map(|(result, new)| {
                let named = result.and_then(|made| names(&new.address, &made.address).map(|()| made));
                named.map_err(|error| self.complete_error(error, Op::CreateMailboxes, &new.address))
            });
            Ok(completed.collect())
        };
        self.run(Op::CreateMailboxes, &"the batch", call).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        self.update(address, change).await.done()
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        self.change_password(address, password).await.done()
    }

    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.switch_mailbox(address, self.inner.suspend_mailbox(address)).await
    }

    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.switch_mailbox(address, self.inner.resume_mailbox(address)).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        self.delete(address).await.done()
    }

    fn cache_listed(&self, mailbox: &Mailbox) {
        self.inner.cache_listed(mailbox);
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.stream(Op::ListDomains, &"the list of domains", || self.inner.list_domains())
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::GetDomain, name, self.read_domain(name)).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        self.add_domain(new, OnExisting::Fail).await.done()
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        self.switch_domain(Op::VerifyDomain, name, self.inner.verify_domain(name)).await
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        self.run(Op::DomainDns, name, self.inner.domain_dns(name)).await
    }

    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        self.switch_domain(Op::SuspendDomain, name, self.inner.suspend_domain(name)).await
    }

    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        self.switch_domain(Op::SuspendDomain, name, self.inner.resume_domain(name)).await
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        self.run_without_look(Op::DeleteDomain, name, self.inner.delete_domain(name)).await
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        self.checks_domain(domain, self.stream(Op::ListAliases, domain, || self.inner.list_aliases(domain)))
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        self.add_alias(new, OnExisting::Fail).await.done()
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        self.remove_alias(source).await.done()
    }

    fn list_credentials(&self) -> Listing<'_, Credential> {
        self.stream(Op::ListCredentials, &"the list of credentials", || self.inner.list_credentials())
    }

    async fn create_credential(&self, new: &NewCredential) -> Result<Credential> {
        self.http.guard(Some(&new.secret));
        self.run_without_look(Op::CreateCredential, &new.name, self.inner.create_credential(new)).await
    }

    async fn delete_credential(&self, id: &str) -> Result<Removal> {
        let call = async {
            if id.trim().is_empty() {
                return Err(Error::new(Kind::Invalid, "the id of a credential is empty"));
            }
            self.inner.delete_credential(id).await
        };
        self.run_without_look(Op::DeleteCredential, &id, call).await
    }

    async fn close(&self) {
        // A run that was stopped still ends its session.
        self.http.resume_sending();
        self.inner.close().await;
    }
}
