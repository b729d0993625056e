//! The one decorator. It refuses what the spec rules out before anything is sent, finds the words for what went wrong,
//! and after a lost answer looks before it speaks.

mod words;

use std::fmt::Display;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{Done, Listing, NameRule, Op, PasswordRule, Problem, Provider, Spec, Support, failed};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Http, Made, Moment};
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewCredential,
    NewDomain, NewMailbox, Removal, Stamp,
};

/// A provider behind its checks. `adapters::open` returns nothing else.
pub struct Checked {
    inner: Box<dyn Provider>,
    http: Http,
    profile: String,
    flags: String,
    allow_unverified: bool,
}

impl Checked {
    /// Puts `inner`, which sends through `http`, behind its checks. Hints end with `flags`, which choose this profile.
    pub fn new(inner: Box<dyn Provider>, http: Http, profile: &str, flags: &str, allow_unverified: bool) -> Self {
        Checked { inner, http, profile: profile.to_owned(), flags: flags.to_owned(), allow_unverified }
    }

    /// Returns what to say to the user besides the result: what a lost answer turned out to be.
    pub fn take_notes(&self) -> Vec<String> {
        self.http.take_notes()
    }

    /// Sends nothing more; what is under way goes on.
    pub fn stop(&self) {
        self.http.stop();
    }

    /// Says whether something that failed may be sent again, and takes it from the repeats that are left to this run;
    /// false when there is none.
    pub fn may_repeat(&self) -> bool {
        self.http.may_repeat()
    }

    /// Says before anything is prepared whether an operation would be refused.
    pub fn check_op(&self, op: Op) -> Result<()> {
        self.allow(op).map_err(|error| self.tell(error, op, &""))
    }

    /// Says whether a new mailbox would be refused, before its password is taken anywhere.
    pub fn check_new(&self, new: &NewMailbox) -> Result<()> {
        self.allow_new(new).map_err(|error| self.tell(error, Op::CreateMailbox, &new.address))
    }

    /// Says whether a password would be refused, before it is taken anywhere.
    pub fn check_password(&self, address: &Address, password: &SecretString) -> Result<()> {
        self.invalid_password(address, password).map_err(|error| self.tell(error, Op::SetPassword, address))
    }

    fn allow_new(&self, new: &NewMailbox) -> Result<()> {
        self.allow(Op::CreateMailbox)?;
        if new.quota.is_some() {
            self.allow(Op::SetQuota)?;
        }
        if new.admin == Some(true) {
            self.allow(Op::SetAdmin)?;
        }
        // What a provider cannot store at all is another refusal than a value that it would not take.
        let rules = &self.spec().rules;
        if let (NameRule::Never(why), true) = (rules.names, new.first_name.is_some() || new.last_name.is_some()) {
            return Err(Error::unsupported("store a name", why));
        }
        if let (PasswordRule::Never(why), true) = (rules.password, new.password.is_some()) {
            return Err(Error::unsupported("take a password", why));
        }
        self.invalid(&new.address, rules.problems(new))
    }

    fn allow(&self, op: Op) -> Result<()> {
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
        let problem = self.spec().rules.password_problem(password).map(|why| Problem { field: "password", why });
        self.invalid(address, problem.into_iter().collect())
    }

    fn allow_change(&self, address: &Address, change: &MailboxChange) -> Result<()> {
        let asked = [
            (Op::SetNames, change.first_name.is_some() || change.last_name.is_some()),
            (Op::SetQuota, change.quota.is_some()),
            (Op::SetAdmin, change.admin.is_some()),
        ];
        for (op, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            self.allow(op)?;
        }
        self.invalid(address, self.spec().rules.change_problems(change))
    }

    /// Names the provider and profile, and finds the words where only the sender has spoken.
    fn tell(&self, mut error: Error, op: Op, subject: &dyn Display) -> Error {
        let spec = self.spec();
        let unverified = matches!((spec.support)(op), Support::Unverified(_));
        if unverified && matches!(error.http_status, Some(404 | 405 | 501)) && error.message.is_empty() {
            error.kind = Kind::Unsupported;
            error.message = format!("cannot {}: not available on this account or API version", op.phrase());
        }
        if error.message.is_empty() {
            error.message = words::sentence(error.kind, op, spec, subject);
        }
        if error.hint.is_none() {
            error.hint = self.advice(error.kind, op, &subject.to_string());
        }
        error.provider = Some(spec.id);
        error.profile = Some(self.profile.clone());
        error
    }

    async fn run<T>(&self, op: Op, subject: &(dyn Display + Sync), call: impl Future<Output = Result<T>>) -> Result<T> {
        let result = match self.allow(op) {
            Ok(()) => call.await,
            Err(refusal) => Err(refusal),
        };
        result.map_err(|error| self.tell(error, op, subject))
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
        listing.map_err(move |error| self.tell(error, op, subject))
    }

    /// Runs what is not looked up after a lost answer, and says then that its outcome is unknown.
    async fn run_blind<T>(
        &self,
        op: Op,
        subject: &(dyn Display + Sync),
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let settled = async {
            call.await.map_err(|error| match error.effect {
                Effect::Unknown => {
                    let message = format!("{subject}: the request was sent and its answer was lost");
                    self.unsettled(error, op, subject, message)
                }
                Effect::None | Effect::Partial => error,
            })
        };
        self.run(op, subject, settled).await
    }

    /// Makes one mailbox like [`Provider::create_mailbox`], but does not look when the answer is lost: the effect of the
    /// error is then `Unknown`, for a caller that looks for many at once.
    pub async fn create_without_look(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        self.run(Op::CreateMailbox, &new.address, self.send_new(new)).await
    }

    async fn send_new(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        self.allow_new(new)?;
        // Forgotten when the answer is there: a run makes a million of them.
        let _guarded = new.password.as_ref().map(|password| self.http.guard_meanwhile(password));
        self.inner.create_mailbox(new).await
    }

    /// Changes a mailbox like [`Provider::update_mailbox`], without a look when the answer is lost.
    pub async fn update_without_look(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        self.run(change.op(), address, self.send_change(address, change)).await
    }

    /// Sets a password like [`Provider::set_password`]; the effect of the error is `Unknown` when the answer is lost.
    pub async fn set_password_without_look(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let call = async {
            self.invalid_password(address, password)?;
            let _guarded = self.http.guard_meanwhile(password);
            self.inner.set_password(address, password).await
        };
        self.run(Op::SetPassword, address, call).await
    }

    /// Removes a mailbox like [`Provider::delete_mailbox`], without a look when the answer is lost.
    pub async fn delete_without_look(&self, address: &Address) -> Result<Done<Removal>> {
        self.run(Op::DeleteMailbox, address, self.inner.delete_mailbox(address)).await
    }

    async fn send_change(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        self.allow_change(address, change)?;
        self.inner.update_mailbox(address, change).await
    }

    /// Returns whether a mailbox was made before `began`, by the provider's own clock.
    pub fn made(&self, mailbox: &Mailbox, began: Moment) -> Made {
        self.http.made(mailbox.created_at.as_ref(), began)
    }

    /// Looks whether the mailbox of a create whose answer was lost is there.
    async fn look_for(&self, new: &NewMailbox, error: Error, began: Moment) -> Result<Mailbox> {
        let (op, address) = (Op::CreateMailbox, &new.address);
        let lost = format!("the answer to creating {address} was lost");
        if self.allow(Op::GetMailbox).is_err() {
            return Err(self.unsettled(
                error,
                op,
                address,
                format!("{lost}, and whether it exists cannot be looked up"),
            ));
        }
        match self.inner.get_mailbox(address).await {
            Ok(found) => {
                self.is_ours(address, found.created_at.as_ref(), began, new.password.is_some())?;
                // Where the quota takes a second request, that was never sent.
                if new.extras().is_met_by(&found) {
                    return Ok(found);
                }
                let message = format!("{lost}; looking found it there, but not with the quota or privilege asked for");
                let mut error = self.unsettled(error, op, address, message);
                error.hint = self.update_hint(new).or(error.hint.take());
                Err(error.effect(Effect::Partial))
            }
            Err(look) if look.kind == Kind::NotFound && !self.spec().rules.listing_lags => {
                let mut error = error;
                error.message = format!("{address} was not created: the answer was lost, and looking did not find it");
                error.hint = Some("run the command again".to_owned());
                Err(error.effect(Effect::None))
            }
            Err(look) => {
                let why = if look.kind == Kind::NotFound { "it is not there yet" } else { "looking failed as well" };
                Err(self.unsettled(error, op, address, format!("{lost}, and {why}")))
            }
        }
    }

    /// Tells of something that was found after the answer to its creation was lost; a conflict if it is an older one.
    fn is_ours(&self, subject: &dyn Display, created: Option<&Stamp>, began: Moment, has_password: bool) -> Result<()> {
        let doubt = match self.http.made(created, began) {
            Made::Before => {
                return Err(Error::new(Kind::Conflict, format!("{subject} existed before; it was not touched")));
            }
            Made::Since => "",
            Made::About | Made::Untold if has_password => "; if it was there before, its password is the old one",
            Made::About | Made::Untold => "; it may have been there before",
        };
        self.http.note(format!("the answer to creating {subject} was lost; looking found it there{doubt}"));
        Ok(())
    }

    /// Returns the error of something that may or may not have happened.
    fn unsettled(&self, mut error: Error, op: Op, subject: &dyn Display, message: String) -> Error {
        error.kind = Kind::Unknown;
        error.message = message;
        error.hint = Some(match self.ways_to_look(op, &subject.to_string()).into_iter().next() {
            Some(way) => format!("look before repeating: {way}"),
            None => format!("look at {} before repeating", self.spec().title),
        });
        error.effect(Effect::Unknown)
    }
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
        let subject: &'a (dyn Display + Sync) = match domain {
            Some(name) => name,
            None => &"the list of mailboxes",
        };
        self.stream(Op::ListMailboxes, subject, || self.inner.list_mailboxes(domain))
    }

    async fn get_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run(Op::GetMailbox, address, self.inner.get_mailbox(address)).await
    }

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Done<Mailbox>> {
        let call = async {
            self.http.guard(new.password.as_ref());
            let began = Moment::now();
            match self.send_new(new).await {
                Err(error) if error.effect == Effect::Unknown => self.look_for(new, error, began).await.map(Done::from),
                Err(mut error) if error.effect == Effect::Partial && error.hint.is_none() => {
                    error.hint = self.update_hint(new);
                    Err(error)
                }
                result => result,
            }
        };
        self.run(Op::CreateMailbox, &new.address, call).await
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Done<Mailbox>>>> {
        let call = async {
            let domains = batch.windows(2).any(|pair| pair[0].address.domain() != pair[1].address.domain());
            if domains || batch.len() > self.spec().rules.batch_max {
                return Err(Error::new(Kind::Internal, "a batch holds one domain and no more than the provider takes"));
            }
            let mut guarded = Vec::new();
            for new in batch {
                self.allow_new(new)?;
                guarded.extend(new.password.as_ref().map(|password| self.http.guard_meanwhile(password)));
            }
            let results = self.inner.create_mailboxes(batch).await?;
            let told = results
                .into_iter()
                .zip(batch)
                .map(|(result, new)| result.map_err(|error| self.tell(error, Op::CreateMailboxes, &new.address)));
            Ok(told.collect())
        };
        self.run_blind(Op::CreateMailboxes, &"the batch", call).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Done<Mailbox>> {
        let op = change.op();
        let call = async {
            match self.send_change(address, change).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_mailbox(address).await {
                    Ok(found) if change.is_met_by(&found) => {
                        self.http
                            .note(format!("the answer to changing {address} was lost; looking found the change made"));
                        Ok(found.into())
                    }
                    _ => {
                        let message =
                            format!("the answer to changing {address} was lost, and looking did not show the change");
                        Err(self.unsettled(error, op, address, message))
                    }
                },
                result => result,
            }
        };
        self.run(op, address, call).await
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<Done<()>> {
        let call = async {
            self.invalid_password(address, password)?;
            self.http.guard(Some(password));
            match self.inner.set_password(address, password).await {
                Err(error) if error.effect == Effect::Unknown => {
                    let message =
                        format!("the answer was lost: the password of {address} may be the old or the new one");
                    Err(self.unsettled(error, Op::SetPassword, address, message).hint("set it again"))
                }
                result => result,
            }
        };
        self.run(Op::SetPassword, address, call).await
    }

    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run_blind(Op::SuspendMailbox, address, self.inner.suspend_mailbox(address)).await
    }

    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run_blind(Op::SuspendMailbox, address, self.inner.resume_mailbox(address)).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Done<Removal>> {
        let call = async {
            match self.inner.delete_mailbox(address).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_mailbox(address).await {
                    Err(look) if look.kind == Kind::NotFound => {
                        self.http.note(format!("the answer to deleting {address} was lost; looking found it gone"));
                        Ok(Removal::Done(None).into())
                    }
                    _ => {
                        let message =
                            format!("the answer to deleting {address} was lost, and looking did not find it gone");
                        Err(self.unsettled(error, Op::DeleteMailbox, address, message))
                    }
                },
                result => result,
            }
        };
        self.run(Op::DeleteMailbox, address, call).await
    }

    fn cache_listed(&self, mailbox: &Mailbox) {
        self.inner.cache_listed(mailbox);
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.stream(Op::ListDomains, &"the list of domains", || self.inner.list_domains())
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::GetDomain, name, self.inner.get_domain(name)).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Done<Domain>> {
        self.http.guard(new.postmaster_password.as_ref());
        let (op, name) = (Op::CreateDomain, &new.name);
        let call = async {
            let began = Moment::now();
            match self.inner.create_domain(new).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_domain(name).await {
                    Ok(found) => {
                        let has_password = new.postmaster_password.is_some();
                        self.is_ours(name, found.created_at.as_ref(), began, has_password).map(|()| found.into())
                    }
                    Err(_) => {
                        let message = format!("the answer to creating {name} was lost, and looking did not find it");
                        Err(self.unsettled(error, op, name, message))
                    }
                },
                result => result,
            }
        };
        self.run(op, name, call).await
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run_blind(Op::VerifyDomain, name, self.inner.verify_domain(name)).await
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        self.run(Op::DomainDns, name, self.inner.domain_dns(name)).await
    }

    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run_blind(Op::SuspendDomain, name, self.inner.suspend_domain(name)).await
    }

    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run_blind(Op::SuspendDomain, name, self.inner.resume_domain(name)).await
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        self.run_blind(Op::DeleteDomain, name, self.inner.delete_domain(name)).await
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        self.stream(Op::ListAliases, domain, || self.inner.list_aliases(domain))
    }

    async fn create_alias(&self, new: &Alias) -> Result<Done<Alias>> {
        self.run_blind(new.source.op(), &new.source, self.inner.create_alias(new)).await
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Done<Removal>> {
        self.run_blind(Op::DeleteAlias, source, self.inner.delete_alias(source)).await
    }

    fn list_credentials(&self) -> Listing<'_, Credential> {
        self.stream(Op::ListCredentials, &"the list of credentials", || self.inner.list_credentials())
    }

    async fn create_credential(&self, new: &NewCredential) -> Result<Credential> {
        self.http.guard(Some(&new.secret));
        self.run_blind(Op::CreateCredential, &new.name, self.inner.create_credential(new)).await
    }

    async fn delete_credential(&self, id: &str) -> Result<Removal> {
        let call = async {
            if id.trim().is_empty() {
                return Err(Error::new(Kind::Invalid, "the id of a credential is empty"));
            }
            self.inner.delete_credential(id).await
        };
        self.run_blind(Op::DeleteCredential, &id, call).await
    }

    async fn close(&self) {
        // A run that was stopped still ends its session.
        self.http.go_on();
        self.inner.close().await;
    }
}
