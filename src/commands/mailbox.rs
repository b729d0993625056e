//! `mbx create | list | get | update | passwd | suspend | resume | delete`: one mailbox, or the list of them.

use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::password::PasswordArgs;
use super::prompt::confirm;
use super::report::{report, report_removal, without_look};
use super::wait::WaitArgs;
use super::{IfMissing, lists, parse, refuse_unless};
use crate::app::{App, Opened};
use crate::error::{Effect, Error, Kind, Result};
use crate::model::{Address, Bytes, DomainName, Mailbox, MailboxChange, NewMailbox};
use crate::output::rows::{self, MailboxRow};
use crate::output::{Outcome, Row};
use crate::provider::case::OnExisting;
use crate::provider::{Checked, Done, Op, PasswordRule, Provider, Settled};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a mailbox
    Create(CreateArgs),
    /// List mailboxes
    List(ListArgs),
    /// Show one mailbox
    Get(AddressArg),
    /// Change names, quota or privilege of a mailbox
    Update(UpdateArgs),
    /// Set the password of a mailbox
    Passwd(PasswdArgs),
    /// Switch a mailbox off, keeping what is in it
    Suspend(AddressArg),
    /// Switch a suspended mailbox on again
    Resume(AddressArg),
    /// Delete a mailbox
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddressArg {
    /// The mailbox's address
    #[arg(value_parser = parse::address)]
    address: Address,
}

#[derive(Debug, Args)]
pub(crate) struct FieldArgs {
    /// The first name of its owner
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// The last name of its owner
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// How much mail it may hold, such as 2G, 500M or unlimited
    #[arg(long, value_name = "SIZE")]
    quota: Option<Bytes>,
    /// Whether its owner may administer the server
    #[arg(long, value_name = "YES", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    admin: Option<bool>,
}

impl FieldArgs {
    fn change(&self) -> MailboxChange {
        let FieldArgs { first_name, last_name, quota, admin } = self;
        MailboxChange { first_name: first_name.clone(), last_name: last_name.clone(), quota: *quota, admin: *admin }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    address: AddressArg,
    #[command(flatten)]
    fields: FieldArgs,
    /// What to do when the mailbox already exists
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_exists: OnExisting,
    /// With --if-exists update: also set the password of a mailbox that already exists
    #[arg(long)]
    set_password: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only the mailboxes of this domain
    #[arg(long, value_name = "NAME", value_parser = parse::domain)]
    domain: Option<DomainName>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    address: AddressArg,
    #[command(flatten)]
    fields: FieldArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    address: AddressArg,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    address: AddressArg,
    /// What to do when the mailbox does not exist
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(app, args).await,
        Verb::List(args) => list(app, args).await,
        Verb::Get(args) => get(app, args).await,
        Verb::Update(args) => update(app, args).await,
        Verb::Passwd(args) => passwd(app, args).await,
        Verb::Suspend(args) => suspend(app, args).await,
        Verb::Resume(args) => resume(app, args).await,
        Verb::Delete(args) => delete(app, args).await,
    }
}

fn row_of(opened: &Opened, mailbox: &Mailbox) -> Row {
    rows::mailbox(mailbox, &opened.source(), None)
}

/// Returns the row of a mailbox of which only its address is known.
fn bare_row(opened: &Opened, address: &Address) -> Row {
    row_of(opened, &Mailbox::at(opened.provider.spec().rules.stored(address)))
}

/// Returns the operations alone, without the fields that ask for them.
fn ops_of(ops: Vec<(&'static str, Op)>) -> impl Iterator<Item = Op> {
    ops.into_iter().map(|(_, op)| op)
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    if args.set_password && args.if_exists != OnExisting::Update {
        return Err(Error::new(Kind::Usage, "--set-password needs --if-exists update")
            .hint("`mbx passwd ADDRESS` sets the password of a mailbox that exists"));
    }
    let opened = &*app.open_one().await?;
    let (app, provider) = (&*app, &opened.provider);
    let rules = &provider.spec().rules;
    if let PasswordRule::Never(why) = rules.password {
        refuse_unless(!args.password.is_given() && !args.set_password, opened, "take a password", why)?;
    }
    let MailboxChange { first_name, last_name, quota, admin } = args.fields.change();
    let address = args.address.address;
    let mut new = NewMailbox { address, first_name, last_name, password: None, quota, admin };
    app.note_unverified(opened, ops_of(new.ops()));
    // A mailbox that exists needs no password. The request looks again by itself, and reports why a look fails.
    let exists = args.if_exists != OnExisting::Fail && {
        provider.check_new_or_existing(&new)?;
        provider.get_mailbox(&new.address).await.is_ok()
    };
    let mut password = None;
    if args.set_password || !exists && (rules.takes_password() || args.password.is_given()) {
        let whose = new.address.clone();
        let check = |secret: &SecretString| {
            new.password = Some(secret.clone());
            provider.check_new(&new)
        };
        password = Some(args.password.take(app, whose.as_str(), check).await?);
    }
    let mut settled = provider.create(&new, args.if_exists).await;
    if let (true, Some(password)) = (args.set_password, &password) {
        settled = set_password_too(provider, &new.address, &password.secret, settled).await;
    }
    let look = || provider.get_mailbox(&new.address);
    let waited = args.wait.wait(app, opened, &mut settled, |mailbox: &Mailbox| &mailbox.status, look).await;
    let mut bare = bare_row(opened, &new.address);
    if let (Some(costs), true) = (rules.costs, app.dry_run) {
        bare.add_note(costs);
    }
    report(app, &rows::MAILBOX, settled, password.as_ref(), bare, |mailbox| row_of(opened, &mailbox))?;
    waited
}

/// Sets the password of a mailbox that existed before it was to be created.
async fn set_password_too(
    provider: &Checked,
    address: &Address,
    secret: &SecretString,
    settled: Settled<Mailbox>,
) -> Settled<Mailbox> {
    let (outcome, mailbox) = match settled.result {
        Ok((outcome @ (Outcome::Exists | Outcome::Unchanged | Outcome::Updated), done)) => (outcome, done),
        result => return Settled { result, ..settled },
    };
    let set = provider.change_password(address, secret).await;
    let result = match set.result {
        Ok((_, done)) => Ok((Outcome::Updated, done.notes.into_iter().fold(mailbox, Done::note))),
        Err(error) if outcome == Outcome::Updated => {
            let words = format!("{address} was changed, but its password was not: {}", error.message);
            let effect = if error.effect == Effect::None { Effect::Partial } else { error.effect };
            Err(error.message(words).effect(effect))
        }
        Err(error) => Err(error),
    };
    Settled { result, password: set.password }
}

async fn list(app: &mut App, args: ListArgs) -> Result<()> {
    lists::show(
        app,
        &rows::MAILBOX,
        Op::ListMailboxes,
        args.domain.as_ref(),
        |opened, domain| opened.provider.list_mailboxes(domain),
        |item, source| MailboxRow { item, source: source.clone(), outcome: None },
    )
    .await
}

async fn get(app: &mut App, args: AddressArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::GetMailbox]);
    let mailbox = opened.provider.get_mailbox(&args.address).await?;
    app.out.one(&rows::MAILBOX, rows::mailbox(&mailbox, &opened.source(), None))
}

async fn update(app: &mut App, args: UpdateArgs) -> Result<()> {
    let change = args.fields.change();
    if change.is_empty() {
        return Err(
            Error::new(Kind::Usage, "nothing to change").hint("give --first-name, --last-name, --quota or --admin")
        );
    }
    let opened = &*app.open_one().await?;
    let address = &args.address.address;
    app.note_unverified(opened, ops_of(change.ops()));
    let settled = opened.provider.update(address, &change).await;
    report(app, &rows::MAILBOX, settled, None, bare_row(opened, address), |mailbox| row_of(opened, &mailbox))
}

async fn passwd(app: &mut App, args: PasswdArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, provider, address) = (&*app, &opened.provider, &args.address.address);
    provider.check_op(Op::SetPassword)?;
    app.note_unverified(opened, [Op::SetPassword]);
    let check = |secret: &SecretString| provider.check_password(address, secret);
    let password = args.password.take(app, address.as_str(), check).await?;
    let settled = provider.change_password(address, &password.secret).await;
    let bare = bare_row(opened, address);
    report(app, &rows::MAILBOX, settled, Some(&password), bare.clone(), |()| bare)
}

async fn suspend(app: &mut App, args: AddressArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendMailbox]);
    let settled = without_look(Outcome::Updated, opened.provider.suspend_mailbox(&args.address).await);
    report(app, &rows::MAILBOX, settled, None, bare_row(&opened, &args.address), |mailbox| row_of(&opened, &mailbox))
}

async fn resume(app: &mut App, args: AddressArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendMailbox]);
    let settled = without_look(Outcome::Updated, opened.provider.resume_mailbox(&args.address).await);
    report(app, &rows::MAILBOX, settled, None, bare_row(&opened, &args.address), |mailbox| row_of(&opened, &mailbox))
}

async fn delete(app: &mut App, args: DeleteArgs) -> Result<()> {
    let opened = app.open_one().await?;
    let address = &args.address.address;
    opened.provider.check_op(Op::DeleteMailbox)?;
    app.note_unverified(&opened, [Op::DeleteMailbox]);
    confirm(app, &format!("delete {address} at {} (profile {})", opened.provider.spec().title, opened.profile.name))
        .await?;
    let settled = opened.provider.delete(address).await;
    report_removal(app, &rows::MAILBOX, settled, args.if_missing, bare_row(&opened, address))
}
