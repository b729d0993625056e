//! The requests that a lost answer must not leave in the dark: each says how it is sent and how it is looked for.

use std::fmt::Display;
use std::future::ready;
use std::pin::pin;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use secrecy::SecretString;

use super::case::{Case, OnExisting, Rules, Seen, Task};
use super::checked::names;
use super::drive::{CreationClock, Request, Settled};
use super::{Checked, Done, Op};
use crate::error::{Error, Kind, Result};
use crate::lock::held;
use crate::model::{Address, Alias, AliasSource, Domain, Mailbox, MailboxChange, NewDomain, NewMailbox, Removal};

impl Checked {
    /// Creates a mailbox; an existing one is treated as `on_existing` says.
    pub async fn create(&self, new: &NewMailbox, on_existing: OnExisting) -> Settled<Mailbox> {
        let checked = match on_existing {
            OnExisting::Fail => self.check_new(new),
            // The password is needed only if the mailbox does not exist, and is checked again when it is sent.
            OnExisting::Keep | OnExisting::Update => self.check_new_or_existing(new),
        };
        if let Err(error) = checked {
            return refused(error);
        }
        self.http.guard(new.password.as_ref());
        let case = Case::new(Task::Create, self.case_rules(on_existing, Op::GetMailbox));
        self.drive(case, Create { checked: self, new }).await
    }

    /// Changes a mailbox.
    pub async fn update(&self, address: &Address, change: &MailboxChange) -> Settled<Mailbox> {
        let case = Case::new(Task::Update, self.case_rules(OnExisting::Fail, Op::GetMailbox));
        self.drive(case, Update { checked: self, address, change }).await
    }

    /// Sets the password of a mailbox.
    pub async fn change_password(&self, address: &Address, password: &SecretString) -> Settled<()> {
        self.http.guard(Some(password));
        let case = Case::new(Task::SetPassword, self.case_rules(OnExisting::Fail, Op::GetMailbox));
        self.drive(case, SetPassword { checked: self, address, password }).await
    }

    /// Deletes a mailbox.
    pub async fn delete(&self, address: &Address) -> Settled<Removal> {
        if let Err(error) = self.check_op(Op::DeleteMailbox) {
            return refused(error);
        }
        let case = Case::new(Task::Delete, self.case_rules(OnExisting::Fail, Op::GetMailbox));
        self.drive(case, Delete { checked: self, address, before: Mutex::default() }).await
    }

    /// Creates an alias; one with the same targets that exists is treated as `on_existing` says.
    pub async fn add_alias(&self, new: &Alias, on_existing: OnExisting) -> Settled<Alias> {
        if let Err(error) = self.check_op(new.source.op()) {
            return refused(error);
        }
        let case = Case::new(Task::Create, self.case_rules(on_existing, Op::ListAliases));
        self.drive(case, AddAlias { checked: self, new }).await
    }

    /// Deletes an alias or a catch-all with all its targets.
    pub async fn remove_alias(&self, source: &AliasSource) -> Settled<Removal> {
        if let Err(error) = self.check_op(Op::DeleteAlias) {
            return refused(error);
        }
        let case = Case::new(Task::Delete, self.case_rules(OnExisting::Fail, Op::ListAliases));
        self.drive(case, RemoveAlias { checked: self, source }).await
    }

    /// Adds a domain.
    pub async fn add_domain(&self, new: &NewDomain, on_existing: OnExisting) -> Settled<Domain> {
        if let Err(error) = self.check_op(Op::CreateDomain) {
            return refused(error);
        }
        self.http.guard(new.postmaster_password.as_ref());
        // What a second request for the same domain does is documented nowhere.
        let rules = Rules { refuses_existing: false, ..self.case_rules(on_existing, Op::GetDomain) };
        self.drive(Case::new(Task::Create, rules), AddDomain { checked: self, new }).await
    }

    /// Finds an alias that somebody created by its source, with all its targets: some providers list an alias once for
    /// each.
    pub async fn find_alias(&self, source: &AliasSource) -> Result<Option<Alias>> {
        let all = self
            .inner
            .list_aliases(source.domain())
            .try_filter(|alias| ready(alias.source == *source && !alias.is_automatic()));
        let mut all = pin!(all);
        let mut found: Option<Alias> = None;
        while let Some(alias) = all.try_next().await? {
            match &mut found {
                Some(found) => found.targets.extend(alias.targets),
                None => found = Some(alias),
            }
        }
        Ok(found)
    }
}

fn refused<T>(error: Error) -> Settled<T> {
    Settled { result: Err(error), password: None }
}

/// Returns what a read found; a thing that is not there is no error here.
fn found<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

struct Create<'a> {
    checked: &'a Checked,
    new: &'a NewMailbox,
}

#[async_trait]
impl Request for Create<'_> {
    type Thing = Mailbox;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (&self.new.address, Op::CreateMailbox)
    }

    fn bare(&self) -> Mailbox {
        Mailbox::at(self.new.address.clone())
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Mailbox)>> {
        let Some(mailbox) = found(self.checked.read_mailbox(&self.new.address).await)? else { return Ok(None) };
        let change = match case.on_existing() {
            // One that exists is changed to all that is asked for; a new one lacks only what takes a second request.
            OnExisting::Update => self.new.as_change(),
            _ => self.new.extras(),
        };
        Ok(Some((self.checked.seen(case, &mailbox, &change, None, &CreationClock::default()), mailbox)))
    }

    async fn send(&self, task: Task) -> Result<Done<Mailbox>> {
        match task {
            Task::Create => self.checked.send_new(self.new).await,
            Task::Finish => self.checked.send_extras(self.new).await,
            _ => self.checked.send_change(&self.new.address, &self.new.as_change()).await,
        }
    }
}

struct Update<'a> {
    checked: &'a Checked,
    address: &'a Address,
    change: &'a MailboxChange,
}

#[async_trait]
impl Request for Update<'_> {
    type Thing = Mailbox;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (self.address, self.change.op())
    }

    fn bare(&self) -> Mailbox {
        Mailbox::at(self.address.clone())
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Mailbox)>> {
        let Some(mailbox) = found(self.checked.read_mailbox(self.address).await)? else { return Ok(None) };
        Ok(Some((self.checked.seen(case, &mailbox, self.change, None, &CreationClock::default()), mailbox)))
    }

    async fn send(&self, _: Task) -> Result<Done<Mailbox>> {
        self.checked.send_change(self.address, self.change).await
    }
}

struct SetPassword<'a> {
    checked: &'a Checked,
    address: &'a Address,
    password: &'a SecretString,
}

#[async_trait]
impl Request for SetPassword<'_> {
    type Thing = ();

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (self.address, Op::SetPassword)
    }

    fn bare(&self) {}

    /// No provider shows a password.
    async fn look(&self, _: &Case) -> Result<Option<(Seen, ())>> {
        Ok(None)
    }

    async fn send(&self, _: Task) -> Result<Done<()>> {
        self.checked.send_password(self.address, self.password).await
    }
}

struct Delete<'a> {
    checked: &'a Checked,
    address: &'a Address,
    /// What was there before the request; what is there after it may be another one of the same address.
    before: Mutex<Option<Mailbox>>,
}

#[async_trait]
impl Request for Delete<'_> {
    type Thing = Removal;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (self.address, Op::DeleteMailbox)
    }

    fn bare(&self) -> Removal {
        Removal::Done(None)
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Removal)>> {
        let Some(mailbox) = found(self.checked.read_mailbox(self.address).await)? else { return Ok(None) };
        let mut before = held(&self.before);
        let seen =
            self.checked.seen(case, &mailbox, &MailboxChange::default(), before.as_ref(), &CreationClock::default());
        before.get_or_insert(mailbox);
        let removal = match seen.ending {
            true => Removal::Scheduled { on: None, note: "the provider shows that it will be removed" },
            false => Removal::Done(None),
        };
        Ok(Some((seen, removal)))
    }

    async fn send(&self, _: Task) -> Result<Done<Removal>> {
        self.checked.send_delete(self.address).await
    }
}

struct AddAlias<'a> {
    checked: &'a Checked,
    new: &'a Alias,
}

#[async_trait]
impl Request for AddAlias<'_> {
    type Thing = Alias;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (&self.new.source, self.new.source.op())
    }

    fn bare(&self) -> Alias {
        self.new.clone()
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Alias)>> {
        let Some(alias) = self.checked.find_alias(&self.new.source).await? else { return Ok(None) };
        let made = self.checked.made(case, alias.created_at.as_ref(), &CreationClock::default());
        let seen = Seen { made, fits: true, same: alias.has_targets_of(self.new), ending: false };
        Ok(Some((seen, alias)))
    }

    async fn send(&self, _: Task) -> Result<Done<Alias>> {
        let (checked, new) = (self.checked, self.new);
        checked.run(new.source.op(), &new.source, checked.inner.create_alias(new)).await
    }
}

struct RemoveAlias<'a> {
    checked: &'a Checked,
    source: &'a AliasSource,
}

#[async_trait]
impl Request for RemoveAlias<'_> {
    type Thing = Removal;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (self.source, Op::DeleteAlias)
    }

    fn bare(&self) -> Removal {
        Removal::Done(None)
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Removal)>> {
        let Some(alias) = self.checked.find_alias(self.source).await? else { return Ok(None) };
        let made = self.checked.made(case, alias.created_at.as_ref(), &CreationClock::default());
        Ok(Some((Seen { made, fits: true, same: true, ending: false }, Removal::Done(None))))
    }

    async fn send(&self, _: Task) -> Result<Done<Removal>> {
        let (checked, source) = (self.checked, self.source);
        checked.run(Op::DeleteAlias, source, checked.inner.delete_alias(source)).await
    }
}

struct AddDomain<'a> {
    checked: &'a Checked,
    new: &'a NewDomain,
}

#[async_trait]
impl Request for AddDomain<'_> {
    type Thing = Domain;

    fn subject(&self) -> (&(dyn Display + Sync), Op) {
        (&self.new.name, Op::CreateDomain)
    }

    fn bare(&self) -> Domain {
        Domain::named(self.new.name.clone())
    }

    async fn look(&self, case: &Case) -> Result<Option<(Seen, Domain)>> {
        let Some(domain) = found(self.checked.read_domain(&self.new.name).await)? else { return Ok(None) };
        let made = self.checked.made(case, domain.created_at.as_ref(), &CreationClock::default());
        Ok(Some((Seen { made, fits: true, same: true, ending: false }, domain)))
    }

    async fn send(&self, _: Task) -> Result<Done<Domain>> {
        let (checked, new) = (self.checked, self.new);
        let call = async {
            let made = checked.inner.create_domain(new).await?;
            names(&new.name, &made.name).map(|()| made)
        };
        checked.run(Op::CreateDomain, &new.name, call).await
    }
}
