//! The one decorator. It refuses what the spec rules out before anything is sent, finds the words for what went wrong,
//! and after a lost answer looks before it speaks.

use std::fmt::Display;

use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::SecretString;

use super::{Listing, Op, Problem, Provider, Spec, Support, alias_op, failed};
use crate::error::{Effect, Error, Kind, Result};
use crate::http::{Http, Moment};
use crate::model::{
    Address, Alias, AliasSource, Credential, DnsRecord, Domain, DomainName, Mailbox, MailboxChange, NewCredential,
    NewDomain, NewMailbox, Removal,
};

/// A provider behind its checks. `adapters::open` returns nothing else.
pub struct Checked {
    inner: Box<dyn Provider>,
    http: Http,
    profile: String,
    allow_unverified: bool,
}

impl Checked {
    /// Puts `inner`, which sends through `http`, behind its checks.
    pub fn new(inner: Box<dyn Provider>, http: Http, profile: &str, allow_unverified: bool) -> Self {
        Checked { inner, http, profile: profile.to_owned(), allow_unverified }
    }

    /// Returns what to say to the user besides the result: what a lost answer turned out to be.
    pub fn take_notes(&self) -> Vec<String> {
        self.http.take_notes()
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
        self.invalid(&new.address, self.spec().rules.problems(new))
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
            error.message = sentence(error.kind, op, spec, subject);
        }
        if error.hint.is_none() {
            error.hint = advice(error.kind, spec, subject);
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
        listing.map(move |item| item.map_err(|error| self.tell(error, op, subject))).boxed()
    }

    /// Makes one mailbox like [`Provider::create_mailbox`], but does not look when the answer is lost: the effect of the
    /// error is then `Unknown`, for a caller that looks for many at once.
    pub async fn create_without_look(&self, new: &NewMailbox) -> Result<Mailbox> {
        self.run(Op::CreateMailbox, &new.address, self.send_new(new)).await
    }

    async fn send_new(&self, new: &NewMailbox) -> Result<Mailbox> {
        self.allow_new(new)?;
        // Forgotten when the answer is there: a run makes a million of them.
        let _guarded = new.password.as_ref().map(|password| self.http.guard_meanwhile(password));
        self.inner.create_mailbox(new).await
    }

    /// Returns whether a mailbox was there before `began`, by the provider's own clock; `None` when that cannot be told.
    pub fn was_before(&self, mailbox: &Mailbox, began: Moment) -> Option<bool> {
        self.http.was_before(mailbox.created_at.as_ref(), began)
    }

    /// Looks whether the mailbox of a create whose answer was lost is there.
    async fn look_for(&self, new: &NewMailbox, error: Error, began: Moment) -> Result<Mailbox> {
        let address = &new.address;
        if self.allow(Op::GetMailbox).is_err() {
            return Err(unsettled(
                error,
                format!("the answer was lost, and whether {address} exists cannot be looked up"),
            ));
        }
        match self.inner.get_mailbox(address).await {
            Ok(found) => match self.http.was_before(found.created_at.as_ref(), began) {
                Some(true) => Err(Error::new(Kind::Conflict, format!("{address} existed before; it was not touched"))),
                settled => {
                    let doubt =
                        if settled.is_none() { "; if it was there before, its password is the old one" } else { "" };
                    self.http.note(format!("the answer to creating {address} was lost; looking found it there{doubt}"));
                    Ok(found)
                }
            },
            Err(look) if look.kind == Kind::NotFound && !self.spec().rules.listing_lags => {
                let mut error = error;
                error.message = format!("{address} was not created: the answer was lost, and looking did not find it");
                error.hint = Some("run the command again".to_owned());
                Err(error.effect(Effect::None))
            }
            Err(look) => {
                let why = if look.kind == Kind::NotFound { "it is not there yet" } else { "looking failed as well" };
                Err(unsettled(error, format!("the answer to creating {address} was lost, and {why}")))
            }
        }
    }
}

/// Returns the error of something that may or may not have happened.
fn unsettled(mut error: Error, message: String) -> Error {
    error.kind = Kind::Unknown;
    error.message = message;
    error.hint = Some("look before repeating: `mbx get` or `mbx list`".to_owned());
    error.effect(Effect::Unknown)
}

fn sentence(kind: Kind, op: Op, spec: &Spec, subject: &dyn Display) -> String {
    let title = spec.title;
    match kind {
        Kind::Auth => format!("{title} refused the credentials"),
        Kind::Denied => format!("the credentials do not allow this at {title}: {}", op.phrase()),
        Kind::NotFound => match op {
            Op::CreateMailbox | Op::CreateMailboxes => format!("the domain of {subject} is not at {title}"),
            _ => format!("{subject} is not at {title}"),
        },
        Kind::Conflict => format!("{subject} already exists at {title}"),
        Kind::Invalid => format!("{title} refused {subject}"),
        Kind::Unsupported => format!("{title} did not offer what is needed to {}", op.phrase()),
        Kind::Limit => match op {
            Op::CreateMailbox | Op::CreateMailboxes => {
                format!("{} has no mailbox left in its plan", domain_of(&subject.to_string()))
            }
            _ => format!("{subject}: a limit of the plan is reached"),
        },
        Kind::RateLimited => format!("{title} asks to slow down, also after waiting"),
        Kind::Network => format!("no answer from {title}"),
        Kind::Provider => format!("{title} did not answer in a way that makes sense"),
        Kind::Unknown => format!("{subject}: the answer was lost"),
        other => format!("{subject}: {}", other.code()),
    }
}

/// Returns the domain of an address, or the whole text when it is none.
fn domain_of(subject: &str) -> &str {
    subject.rsplit_once('@').map_or(subject, |(_, domain)| domain)
}

fn advice(kind: Kind, spec: &Spec, subject: &dyn Display) -> Option<String> {
    Some(match kind {
        Kind::Auth => format!(
            "check the secret of this profile with `mbx config check`; {} calls it {}",
            spec.title, spec.secret_name
        ),
        Kind::Conflict => "`--if-exists ok` takes it as it is".to_owned(),
        Kind::RateLimited => "wait, or set a slower `pace` in the profile".to_owned(),
        Kind::Limit if subject.to_string().contains('@') => {
            let domain = domain_of(&subject.to_string()).to_owned();
            format!("free one (`mbx list -p {} --domain {domain} --sort created_at`) or raise the plan", spec.id)
        }
        Kind::Limit => format!("free one, or raise the plan at {}", spec.title),
        Kind::NotFound => {
            let domain = domain_of(&subject.to_string()).to_owned();
            let id = spec.id;
            format!("`mbx list -p {id} --domain {domain}` and `mbx domain list -p {id}` show what is there")
        }
        _ => return None,
    })
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

    async fn create_mailbox(&self, new: &NewMailbox) -> Result<Mailbox> {
        let call = async {
            self.http.guard(new.password.as_ref());
            let began = Moment::now();
            match self.send_new(new).await {
                Err(error) if error.effect == Effect::Unknown => self.look_for(new, error, began).await,
                result => result,
            }
        };
        self.run(Op::CreateMailbox, &new.address, call).await
    }

    async fn create_mailboxes(&self, batch: &[NewMailbox]) -> Result<Vec<Result<Mailbox>>> {
        let call = async {
            let domains = batch.windows(2).any(|pair| pair[0].address.domain() != pair[1].address.domain());
            if domains || batch.len() > self.spec().rules.batch_max {
                return Err(Error::new(Kind::Internal, "a batch holds one domain and no more than the provider takes"));
            }
            let mut guarded = Vec::new();
            for new in batch {
                self.invalid(&new.address, self.spec().rules.problems(new))?;
                guarded.extend(new.password.as_ref().map(|password| self.http.guard_meanwhile(password)));
            }
            let results = self.inner.create_mailboxes(batch).await?;
            let told = results
                .into_iter()
                .zip(batch)
                .map(|(result, new)| result.map_err(|error| self.tell(error, Op::CreateMailboxes, &new.address)));
            Ok(told.collect())
        };
        self.run(Op::CreateMailboxes, &"the batch", call).await
    }

    async fn update_mailbox(&self, address: &Address, change: &MailboxChange) -> Result<Mailbox> {
        let op = match change {
            MailboxChange { quota: Some(_), .. } => Op::SetQuota,
            MailboxChange { admin: Some(_), .. } => Op::SetAdmin,
            _ => Op::SetNames,
        };
        let call = async {
            self.allow_change(address, change)?;
            match self.inner.update_mailbox(address, change).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_mailbox(address).await {
                    Ok(found) if change.is_met_by(&found) => {
                        self.http
                            .note(format!("the answer to changing {address} was lost; looking found the change made"));
                        Ok(found)
                    }
                    _ => Err(unsettled(
                        error,
                        format!("the answer to changing {address} was lost, and looking did not show the change"),
                    )),
                },
                result => result,
            }
        };
        self.run(op, address, call).await
    }

    async fn set_password(&self, address: &Address, password: &SecretString) -> Result<()> {
        let call = async {
            self.invalid_password(address, password)?;
            self.http.guard(Some(password));
            match self.inner.set_password(address, password).await {
                Err(error) if error.effect == Effect::Unknown => {
                    let message =
                        format!("the answer was lost: the password of {address} may be the old or the new one");
                    let mut error = unsettled(error, message);
                    error.hint = Some("set it again".to_owned());
                    Err(error)
                }
                result => result,
            }
        };
        self.run(Op::SetPassword, address, call).await
    }

    async fn suspend_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run(Op::SuspendMailbox, address, settle(address, self.inner.suspend_mailbox(address))).await
    }

    async fn resume_mailbox(&self, address: &Address) -> Result<Mailbox> {
        self.run(Op::SuspendMailbox, address, settle(address, self.inner.resume_mailbox(address))).await
    }

    async fn delete_mailbox(&self, address: &Address) -> Result<Removal> {
        let call = async {
            match self.inner.delete_mailbox(address).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_mailbox(address).await {
                    Err(look) if look.kind == Kind::NotFound => {
                        self.http.note(format!("the answer to deleting {address} was lost; looking found it gone"));
                        Ok(Removal::Done(None))
                    }
                    _ => Err(unsettled(
                        error,
                        format!("the answer to deleting {address} was lost, and looking did not find it gone"),
                    )),
                },
                result => result,
            }
        };
        self.run(Op::DeleteMailbox, address, call).await
    }

    fn list_domains(&self) -> Listing<'_, Domain> {
        self.stream(Op::ListDomains, &"the list of domains", || self.inner.list_domains())
    }

    async fn get_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::GetDomain, name, self.inner.get_domain(name)).await
    }

    async fn create_domain(&self, new: &NewDomain) -> Result<Domain> {
        self.http.guard(new.postmaster_password.as_ref());
        let call = async {
            match self.inner.create_domain(new).await {
                Err(error) if error.effect == Effect::Unknown => match self.inner.get_domain(&new.name).await {
                    Ok(found) => {
                        self.http.note(format!(
                            "the answer to creating {} was lost; looking found the domain there",
                            new.name
                        ));
                        Ok(found)
                    }
                    Err(_) => Err(unsettled(
                        error,
                        format!("the answer to creating {} was lost, and looking did not find it", new.name),
                    )),
                },
                result => result,
            }
        };
        self.run(Op::CreateDomain, &new.name, call).await
    }

    async fn verify_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::VerifyDomain, name, settle(name, self.inner.verify_domain(name))).await
    }

    async fn domain_dns(&self, name: &DomainName) -> Result<Vec<DnsRecord>> {
        self.run(Op::DomainDns, name, self.inner.domain_dns(name)).await
    }

    async fn suspend_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::SuspendDomain, name, settle(name, self.inner.suspend_domain(name))).await
    }

    async fn resume_domain(&self, name: &DomainName) -> Result<Domain> {
        self.run(Op::SuspendDomain, name, settle(name, self.inner.resume_domain(name))).await
    }

    async fn delete_domain(&self, name: &DomainName) -> Result<Removal> {
        self.run(Op::DeleteDomain, name, settle(name, self.inner.delete_domain(name))).await
    }

    fn list_aliases<'a>(&'a self, domain: &'a DomainName) -> Listing<'a, Alias> {
        self.stream(Op::ListAliases, domain, || self.inner.list_aliases(domain))
    }

    async fn create_alias(&self, new: &Alias) -> Result<Alias> {
        self.run(alias_op(&new.source), &new.source, settle(&new.source, self.inner.create_alias(new))).await
    }

    async fn delete_alias(&self, source: &AliasSource) -> Result<Removal> {
        self.run(Op::DeleteAlias, source, settle(source, self.inner.delete_alias(source))).await
    }

    fn list_credentials(&self) -> Listing<'_, Credential> {
        self.stream(Op::ListCredentials, &"the list of credentials", || self.inner.list_credentials())
    }

    async fn create_credential(&self, new: &NewCredential) -> Result<Credential> {
        self.http.guard(Some(&new.secret));
        self.run(Op::CreateCredential, &new.name, settle(&new.name, self.inner.create_credential(new))).await
    }

    async fn delete_credential(&self, id: &str) -> Result<Removal> {
        self.run(Op::DeleteCredential, &id, settle(&id, self.inner.delete_credential(id))).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Calls what is not looked up again after a lost answer, and says then that it is unknown.
async fn settle<T>(subject: &(dyn Display + Sync), call: impl Future<Output = Result<T>>) -> Result<T> {
    call.await.map_err(|error| match error.effect {
        Effect::Unknown => unsettled(error, format!("{subject}: the request was sent and its answer was lost")),
        Effect::None | Effect::Partial => error,
    })
}
