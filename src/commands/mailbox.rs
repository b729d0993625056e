//! `mbx create | list | get | update | passwd | suspend | resume | delete`: one mailbox, or the list of them.

use clap::{Args, Subcommand};

use super::password::PasswordArgs;
use super::prompt::confirm;
use super::wait::WaitArgs;
use super::{IfMissing, lists, parse, planned, refuse_unless, show_change, show_removal, with_outcome};
use crate::app::{App, Opened};
use crate::error::{Effect, Error, Kind, Result};
use crate::model::{Address, Bytes, DomainName, Mailbox, MailboxChange, NewMailbox};
use crate::output::rows::{self, MailboxRow};
use crate::output::{Outcome, Row};
use crate::provider::case::OnExisting;
use crate::provider::{Op, PasswordRule, Provider};

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
    /// How much it may hold, such as 2G, 500M or unlimited
    #[arg(long, value_name = "SIZE")]
    quota: Option<Bytes>,
    /// Whether it may administer the server
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
    /// What to do when it exists already
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_exists: OnExisting,
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
    /// What to do when it is not there
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

/// Returns the row of a mailbox.
fn row_of(opened: &Opened, mailbox: &Mailbox, outcome: Outcome) -> Row {
    rows::mailbox(mailbox, &opened.source(), Some(outcome))
}

/// Returns the row of a mailbox of which nothing but the address is known.
fn bare_row(opened: &Opened, address: &Address) -> impl Fn(Outcome) -> Row {
    with_outcome(row_of(opened, &Mailbox::at(address.clone()), Outcome::Planned))
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let app = &*app;
    let rules = &opened.provider.spec().rules;
    if let PasswordRule::Never(why) = rules.password {
        refuse_unless(!args.password.is_given(), opened, "take a password", why)?;
    }
    let MailboxChange { first_name, last_name, quota, admin } = args.fields.change();
    let address = args.address.address;
    let mut new = NewMailbox { address, first_name, last_name, password: None, quota, admin };
    app.note_unverified(opened, new.ops().into_iter().map(|(_, op)| op));
    let needs_one = matches!(rules.password, PasswordRule::Required { .. });
    let whose = new.address.to_string();
    let secret = args.password.get(app, needs_one.then_some(whose.as_str())).await?;
    new.password.clone_from(&secret);
    // Everything that can be refused here is refused before a password is written anywhere.
    opened.provider.check_new(&new)?;
    if let (Some(costs), true) = (rules.costs, app.dry_run) {
        app.out.note(costs);
    }
    let password = match secret {
        Some(secret) => Some(args.password.deliver(app, secret).await?),
        None => None,
    };
    let result = opened.provider.create_mailbox(&new).await;
    if let Some(password) = &password {
        password.settle(&result);
    }
    let bare = bare_row(opened, &new.address);
    let (made, outcome) = match result {
        Err(error) if error.kind == Kind::Conflict && args.if_exists == OnExisting::Keep => {
            (opened.provider.get_mailbox(&new.address).await?, Outcome::Exists)
        }
        Err(error) if error.kind == Kind::Conflict && args.if_exists == OnExisting::Update => {
            return adopt(app, opened, &new, &args.password).await;
        }
        result => match planned(app, &rows::MAILBOX, result, bare)? {
            Some(made) => (made.value, Outcome::Created),
            None => return Ok(()),
        },
    };
    let look = || opened.provider.get_mailbox(&new.address);
    let (made, waited) = args.wait.wait(app, opened, made, |mailbox: &Mailbox| &mailbox.status, look).await;
    let mut row = row_of(opened, &made, outcome);
    if let (Some(password), Outcome::Created) = (&password, outcome) {
        password.show_in(&mut row);
    }
    app.out.one(&rows::MAILBOX, row)?;
    waited
}

/// Changes a mailbox that exists to what a create asked for.
async fn adopt(app: &App, opened: &Opened, new: &NewMailbox, args: &PasswordArgs) -> Result<()> {
    let existing = opened.provider.get_mailbox(&new.address).await?;
    let change = new.as_change();
    let mut outcome = Outcome::Unchanged;
    let mut mailbox = existing;
    if !change.is_empty() && !change.is_met_by(&mailbox) {
        mailbox = opened.provider.update_mailbox(&new.address, &change).await?.value;
        outcome = Outcome::Updated;
    }
    let mut password = None;
    if let Some(secret) = &new.password {
        let delivered = args.deliver(app, secret.clone()).await?;
        let set = opened.provider.set_password(&new.address, &delivered.secret).await;
        delivered.settle(&set);
        set.map_err(|mut error| {
            if outcome == Outcome::Updated {
                error.message = format!("{} was changed, but its password was not: {}", new.address, error.message);
                error.effect = Effect::Partial;
            }
            error
        })?;
        outcome = Outcome::Updated;
        password = Some(delivered);
    }
    let mut row = row_of(opened, &mailbox, outcome);
    if let Some(password) = &password {
        password.show_in(&mut row);
    }
    app.out.one(&rows::MAILBOX, row)
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
    app.note_unverified(opened, change.ops().into_iter().map(|(_, op)| op));
    let result = opened.provider.update_mailbox(address, &change).await;
    show_change(app, &rows::MAILBOX, result, bare_row(opened, address), |mailbox| {
        row_of(opened, mailbox, Outcome::Updated)
    })
}

async fn passwd(app: &mut App, args: PasswdArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, address) = (&*app, &args.address.address);
    app.note_unverified(opened, [Op::SetPassword]);
    opened.provider.check_op(Op::SetPassword)?;
    let secret = args.password.get(app, Some(&address.to_string())).await?.expect("a password was asked for");
    opened.provider.check_password(address, &secret)?;
    let password = args.password.deliver(app, secret).await?;
    let result = opened.provider.set_password(address, &password.secret).await;
    password.settle(&result);
    let bare = bare_row(opened, address);
    let mut row = bare(Outcome::Updated);
    if planned(app, &rows::MAILBOX, result, bare)?.is_none() {
        return Ok(());
    }
    password.show_in(&mut row);
    app.out.one(&rows::MAILBOX, row)
}

async fn suspend(app: &mut App, args: AddressArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendMailbox]);
    let result = opened.provider.suspend_mailbox(&args.address).await;
    show_change(app, &rows::MAILBOX, result, bare_row(&opened, &args.address), |mailbox| {
        row_of(&opened, mailbox, Outcome::Updated)
    })
}

async fn resume(app: &mut App, args: AddressArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendMailbox]);
    let result = opened.provider.resume_mailbox(&args.address).await;
    show_change(app, &rows::MAILBOX, result, bare_row(&opened, &args.address), |mailbox| {
        row_of(&opened, mailbox, Outcome::Updated)
    })
}

async fn delete(app: &mut App, args: DeleteArgs) -> Result<()> {
    let opened = app.open_one().await?;
    let address = &args.address.address;
    opened.provider.check_op(Op::DeleteMailbox)?;
    app.note_unverified(&opened, [Op::DeleteMailbox]);
    confirm(app, &format!("delete {address} at {} (profile {})", opened.provider.spec().title, opened.profile.name))
        .await?;
    let result = opened.provider.delete_mailbox(address).await;
    show_removal(app, &rows::MAILBOX, result, args.if_missing, bare_row(&opened, address))
}
