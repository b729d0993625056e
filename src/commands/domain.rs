//! `mbx domain create | list | get | verify | dns | suspend | resume | delete`.

use clap::{Args, Subcommand};

use super::password::PasswordArgs;
use super::prompt::confirm;
use super::report::{report, report_removal, without_look};
use super::wait::WaitArgs;
use super::{IfMissing, lists, parse, refuse_unless};
use crate::app::{App, Opened};
use crate::error::Result;
use crate::model::{Address, Bytes, Domain, DomainName, NewDomain};
use crate::output::{Outcome, Row, rows};
use crate::provider::case::OnExisting;
use crate::provider::{Op, Provider};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a domain
    Create(Box<CreateArgs>),
    /// List domains
    List,
    /// Show one domain
    Get(NameArg),
    /// Have the provider check ownership or DNS
    Verify(VerifyArgs),
    /// Show the DNS records that the domain's mail needs
    Dns(NameArg),
    /// Switch a domain off, keeping its mailboxes
    Suspend(NameArg),
    /// Switch a suspended domain on again
    Resume(NameArg),
    /// Delete a domain and everything that the provider deletes with it
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NameArg {
    /// The domain's name
    #[arg(value_parser = parse::domain)]
    name: DomainName,
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
    #[arg(long, value_name = "ADDRESS", value_parser = parse::address)]
    catch_all: Option<Address>,
    /// What to do when the domain already exists
    #[arg(long, value_name = "WHAT", default_value = "fail", value_parser = parse::fail_or_ok())]
    if_exists: OnExisting,
    /// The password of the postmaster mailbox that Qboxmail creates with the domain
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
    /// What to do when the domain does not exist
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(app, *args).await,
        Verb::List => list(app).await,
        Verb::Get(args) => get(app, args).await,
        Verb::Verify(args) => verify(app, args).await,
        Verb::Dns(args) => dns(app, args).await,
        Verb::Suspend(args) => suspend(app, args).await,
        Verb::Resume(args) => resume(app, args).await,
        Verb::Delete(args) => delete(app, args).await,
    }
}

fn row_of(opened: &Opened, domain: &Domain) -> Row {
    rows::domain(domain, &opened.source(), None)
}

/// Returns the row of a domain of which only its name is known.
fn bare_row(opened: &Opened, name: &DomainName) -> Row {
    row_of(opened, &Domain::named(name.clone()))
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, provider) = (&*app, &opened.provider);
    provider.check_op(Op::CreateDomain)?;
    app.note_unverified(opened, [Op::CreateDomain]);
    let spec = provider.spec();
    let takes_settings = spec.rules.domain_settings;
    let CreateArgs { plan, default_quota, max_quota, max_mailboxes, catch_all, .. } = args;
    let has_limits = plan.is_some() || default_quota.is_some() || max_quota.is_some() || max_mailboxes.is_some();
    let given = has_limits || catch_all.is_some() || args.password.is_given();
    refuse_unless(
        takes_settings || !given,
        opened,
        "set more than the name of a domain",
        &format!("{} takes no plan, quotas, limits, catch-all or postmaster password with it", spec.title),
    )?;
    let name = args.name.name;
    let postmaster_password = None;
    let mut new = NewDomain { name, postmaster_password, plan, default_quota, max_quota, max_mailboxes, catch_all };
    let mut password = None;
    if takes_settings {
        let taken = args.password.take(app, &format!("postmaster@{}", new.name), |_| Ok(())).await?;
        new.postmaster_password = Some(taken.secret.clone());
        password = Some(taken);
    }
    let mut settled = provider.add_domain(&new, args.if_exists).await;
    let look = || provider.get_domain(&new.name);
    let waited = args.wait.wait(app, opened, &mut settled, |domain: &Domain| &domain.status, look).await;
    let bare = bare_row(opened, &new.name);
    report(app, &rows::DOMAIN, settled, password.as_ref(), bare, |domain| row_of(opened, &domain))?;
    waited
}

async fn list(app: &mut App) -> Result<()> {
    lists::show(
        app,
        &rows::DOMAIN,
        Op::ListDomains,
        None,
        |opened, _| opened.provider.list_domains(),
        |item, source| rows::domain(&item, source, None),
    )
    .await
}

async fn get(app: &mut App, args: NameArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::GetDomain]);
    let domain = opened.provider.get_domain(&args.name).await?;
    app.out.one(&rows::DOMAIN, rows::domain(&domain, &opened.source(), None))
}

async fn verify(app: &mut App, args: VerifyArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, name) = (&*app, &args.name.name);
    app.note_unverified(opened, [Op::VerifyDomain]);
    let mut settled = without_look(Outcome::Updated, opened.provider.verify_domain(name).await);
    let look = || opened.provider.get_domain(name);
    let waited = args.wait.wait(app, opened, &mut settled, |domain: &Domain| &domain.status, look).await;
    report(app, &rows::DOMAIN, settled, None, bare_row(opened, name), |domain| row_of(opened, &domain))?;
    waited
}

async fn dns(app: &mut App, args: NameArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::DomainDns]);
    let records = opened.provider.domain_dns(&args.name).await?;
    let source = opened.source();
    app.out.all(&rows::DNS, records.iter().map(|record| rows::dns(record, &args.name, &source)).collect()).await
}

async fn suspend(app: &mut App, args: NameArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendDomain]);
    let settled = without_look(Outcome::Updated, opened.provider.suspend_domain(&args.name).await);
    report(app, &rows::DOMAIN, settled, None, bare_row(&opened, &args.name), |domain| row_of(&opened, &domain))
}

async fn resume(app: &mut App, args: NameArg) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::SuspendDomain]);
    let settled = without_look(Outcome::Updated, opened.provider.resume_domain(&args.name).await);
    report(app, &rows::DOMAIN, settled, None, bare_row(&opened, &args.name), |domain| row_of(&opened, &domain))
}

async fn delete(app: &mut App, args: DeleteArgs) -> Result<()> {
    let opened = app.open_one().await?;
    let name = &args.name.name;
    opened.provider.check_op(Op::DeleteDomain)?;
    app.note_unverified(&opened, [Op::DeleteDomain]);
    let title = opened.provider.spec().title;
    confirm(app, &format!("delete {name} with its mailboxes and mail at {title} (profile {})", opened.profile.name))
        .await?;
    let settled = without_look(Outcome::Deleted, opened.provider.delete_domain(name).await);
    report_removal(app, &rows::DOMAIN, settled, args.if_missing, bare_row(&opened, name))
}
