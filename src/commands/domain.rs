//! `mbx domain create | list | get | verify | dns | suspend | resume | delete`.

use clap::{Args, Subcommand};

use super::lists::{self, end};
use super::mailbox::{parse_address, parse_domain};
use super::password::PasswordArgs;
use super::prompt::confirm;
use super::wait::WaitArgs;
use super::{IfExists, IfMissing, planned, show_change, show_removal, with_outcome};
use crate::app::{App, Opened};
use crate::error::{Kind, Result};
use crate::model::{Bytes, Domain, DomainName, NewDomain};
use crate::output::{Outcome, Row, rows};
use crate::provider::{Done, Op, Provider};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a domain
    Create(CreateArgs),
    /// List domains
    List,
    /// Show one domain
    Get(NameArg),
    /// Have the provider check ownership or DNS
    Verify(VerifyArgs),
    /// Show the DNS records the domain's mail needs
    Dns(NameArg),
    /// Switch a domain off, keeping its mailboxes
    Suspend(NameArg),
    /// Switch a suspended domain on again
    Resume(NameArg),
    /// Delete a domain with all that the provider deletes with it
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NameArg {
    /// The domain's name
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    name: NameArg,
    /// The plan (Qboxmail: basic, professional or enterprise)
    #[arg(long)]
    plan: Option<String>,
    /// The quota that new mailboxes get (Qboxmail)
    #[arg(long, value_name = "SIZE")]
    default_quota: Option<Bytes>,
    /// The largest quota a mailbox may get (Qboxmail)
    #[arg(long, value_name = "SIZE")]
    max_quota: Option<Bytes>,
    /// How many mailboxes it may have (Qboxmail)
    #[arg(long, value_name = "N")]
    max_mailboxes: Option<u32>,
    /// Where mail for unknown local parts goes (Qboxmail)
    #[arg(long, value_name = "ADDRESS")]
    catch_all: Option<String>,
    /// What to do when it exists already
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_exists: IfExists,
    /// The postmaster mailbox that Qboxmail makes with the domain needs a password
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    name: NameArg,
    /// What to do when it is not there
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    let name = match &verb {
        Verb::List => {
            return lists::show(
                app,
                &rows::DOMAIN,
                Op::ListDomains,
                None,
                |opened, _| opened.provider.list_domains(),
                |item, source| rows::domain(&item, source, None),
            )
            .await;
        }
        Verb::Create(args) => &args.name,
        Verb::Verify(args) => &args.name,
        Verb::Delete(args) => &args.name,
        Verb::Get(name) | Verb::Dns(name) | Verb::Suspend(name) | Verb::Resume(name) => name,
    };
    let name = parse_domain(&name.name)?;
    let opened = app.open_one().await?;
    let (op, result) = match verb {
        Verb::Create(args) => (Op::CreateDomain, create(app, &opened, name, args).await),
        Verb::Get(_) => (Op::GetDomain, get(app, &opened, &name).await),
        Verb::Verify(args) => (Op::VerifyDomain, verify(app, &opened, &name, args).await),
        Verb::Dns(_) => (Op::DomainDns, dns(app, &opened, &name).await),
        Verb::Suspend(_) => (Op::SuspendDomain, switch(app, &opened, &name, false).await),
        Verb::Resume(_) => (Op::SuspendDomain, switch(app, &opened, &name, true).await),
        Verb::Delete(args) => (Op::DeleteDomain, delete(app, &opened, &name, args).await),
        Verb::List => unreachable!("handled above"),
    };
    end(app, &opened, op, result).await
}

fn row_of(opened: &Opened, domain: &Domain, outcome: Outcome) -> Row {
    rows::domain(domain, &opened.source(), Some(outcome))
}

fn bare_row(opened: &Opened, name: &DomainName) -> impl Fn(Outcome) -> Row {
    with_outcome(row_of(opened, &Domain::named(name.clone()), Outcome::Planned))
}

async fn create(app: &App, opened: &Opened, name: DomainName, args: CreateArgs) -> Result<()> {
    opened.provider.check_op(Op::CreateDomain)?;
    let spec = opened.provider.spec();
    let takes_settings = spec.rules.domain_settings;
    let CreateArgs { plan, default_quota, max_quota, max_mailboxes, .. } = args;
    let has_limits = plan.is_some() || default_quota.is_some() || max_quota.is_some() || max_mailboxes.is_some();
    let given = has_limits || args.catch_all.is_some() || args.password.is_given();
    super::refuse_unless(
        takes_settings || !given,
        opened,
        "set more than the name of a domain",
        &format!("{} takes no plan, quotas, limits, catch-all or postmaster password with it", spec.title),
    )?;
    let catch_all = args.catch_all.as_deref().map(parse_address).transpose()?;
    let whose = format!("postmaster@{name}");
    let secret = args.password.get(app, takes_settings.then_some(whose.as_str())).await?;
    let new = NewDomain {
        name,
        postmaster_password: secret.clone(),
        plan,
        default_quota,
        max_quota,
        max_mailboxes,
        catch_all,
    };
    let password = match secret {
        Some(secret) => Some(args.password.deliver(app, secret).await?),
        None => None,
    };
    let result = opened.provider.create_domain(&new).await;
    if let Some(password) = &password {
        password.settle(&result);
    }
    let (made, outcome) = match result {
        Err(error) if error.kind == Kind::Conflict && args.if_exists != IfExists::Fail => {
            (opened.provider.get_domain(&new.name).await?, Outcome::Exists)
        }
        result => match planned(app, &rows::DOMAIN, result, bare_row(opened, &new.name))? {
            Some(made) => (made.value, Outcome::Created),
            None => return Ok(()),
        },
    };
    let look = || opened.provider.get_domain(&new.name);
    let (made, waited) = args.wait.wait(app, opened, made, |domain: &Domain| &domain.status, look).await;
    let mut row = row_of(opened, &made, outcome);
    if let (Some(password), Outcome::Created) = (&password, outcome) {
        password.show_in(&mut row);
    }
    app.out.one(&rows::DOMAIN, row)?;
    waited
}

async fn get(app: &App, opened: &Opened, name: &DomainName) -> Result<()> {
    let domain = opened.provider.get_domain(name).await?;
    app.out.one(&rows::DOMAIN, rows::domain(&domain, &opened.source(), None))
}

async fn verify(app: &App, opened: &Opened, name: &DomainName, args: VerifyArgs) -> Result<()> {
    let result = opened.provider.verify_domain(name).await;
    let Some(domain) = planned(app, &rows::DOMAIN, result, bare_row(opened, name))? else { return Ok(()) };
    let look = || opened.provider.get_domain(name);
    let (domain, waited) = args.wait.wait(app, opened, domain, |domain: &Domain| &domain.status, look).await;
    app.out.one(&rows::DOMAIN, row_of(opened, &domain, Outcome::Updated))?;
    waited
}

async fn dns(app: &App, opened: &Opened, name: &DomainName) -> Result<()> {
    let records = opened.provider.domain_dns(name).await?;
    let source = opened.source();
    app.out.all(&rows::DNS, records.iter().map(|record| rows::dns(record, name, &source)).collect()).await
}

async fn switch(app: &App, opened: &Opened, name: &DomainName, on: bool) -> Result<()> {
    let result =
        if on { opened.provider.resume_domain(name).await } else { opened.provider.suspend_domain(name).await };
    show_change(app, &rows::DOMAIN, result, bare_row(opened, name), |domain| row_of(opened, domain, Outcome::Updated))
}

async fn delete(app: &App, opened: &Opened, name: &DomainName, args: DeleteArgs) -> Result<()> {
    opened.provider.check_op(Op::DeleteDomain)?;
    let title = opened.provider.spec().title;
    confirm(app, &format!("delete {name} with its mailboxes and mail at {title} (profile {})", opened.profile.name))
        .await?;
    let result = opened.provider.delete_domain(name).await;
    show_removal(app, &rows::DOMAIN, result.map(Done::from), args.if_missing, bare_row(opened, name))
}
