//! `mbx alias create | list | delete`. `@example.com` as source is the catch-all.

use clap::{Args, Subcommand};

use super::report::{report, report_removal};
use super::{IfMissing, at, lists, parse};
use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Alias, AliasSource, DomainName};
use crate::output::{Outcome, Row, rows};
use crate::provider::case::OnExisting;
use crate::provider::{Listing, Op, Provider};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create an alias that delivers to one or more addresses
    Create(CreateArgs),
    /// List the aliases of a domain
    List(ListArgs),
    /// Delete an alias with all its targets
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The alias's address, or `@example.com` for the catch-all
    #[arg(value_parser = parse::source)]
    source: AliasSource,
    /// The addresses that its mail goes to
    #[arg(required = true, value_name = "TARGET", value_parser = parse::address)]
    targets: Vec<Address>,
    /// What to do when the alias already exists: fail, or ok if it has the same targets
    #[arg(long, value_name = "WHAT", default_value = "fail", value_parser = parse::fail_or_ok())]
    if_exists: OnExisting,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The domain
    #[arg(value_parser = parse::domain)]
    domain: DomainName,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The alias's address, or `@example.com` for the catch-all
    #[arg(value_parser = parse::source)]
    source: AliasSource,
    /// What to do when the alias does not exist
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(app, args).await,
        Verb::List(args) => list(app, args).await,
        Verb::Delete(args) => delete(app, args).await,
    }
}

/// Returns the row of an alias of which only source and targets are known.
fn row_of(opened: &Opened, alias: &Alias) -> Row {
    rows::alias(alias, &opened.source(), None)
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let new = Alias::to(args.source, args.targets);
    let opened = &*app.open_one().await?;
    let provider = &opened.provider;
    app.note_unverified(opened, [new.source.op()]);
    let mut settled = provider.add_alias(&new, args.if_exists).await;
    let found = match &settled.result {
        Ok((Outcome::Exists, found)) => Some(found.value.clone()),
        Err(error) if error.kind == Kind::Conflict => provider.find_alias(&new.source).await.ok().flatten(),
        _ => None,
    };
    if let Some(found) = found.filter(|found| !found.has_targets_of(&new)) {
        settled.result = Err(other_targets(opened, &found));
    }
    report(app, &rows::ALIAS, settled, None, row_of(opened, &new), |alias| row_of(opened, &alias))
}

/// Returns the conflict with an alias that delivers elsewhere, whatever `--if-exists` says: it is not the one that was
/// asked for.
fn other_targets(opened: &Opened, found: &Alias) -> Error {
    let Alias { source, targets, .. } = found;
    let (provider, flags) = (&opened.provider, opened.profile.flags());
    let targets: Vec<_> = targets.iter().map(Address::to_string).collect();
    let message = format!("{source} already exists and delivers to {}", targets.join(", "));
    let quoted = source.to_string();
    let hint = match provider.check_op(Op::DeleteAlias) {
        Ok(()) => {
            format!("`mbx alias delete {} {flags}` removes it; then create it again", shell_words::quote(&quoted))
        }
        Err(_) => format!("`mbx alias list {} {flags}` shows the aliases of the domain", source.domain()),
    };
    at(opened, Error::new(Kind::Conflict, message).hint(hint))
}

async fn list(app: &mut App, args: ListArgs) -> Result<()> {
    lists::show(
        app,
        &rows::ALIAS,
        Op::ListAliases,
        Some(&args.domain),
        |opened, domain| match domain {
            Some(domain) => opened.provider.list_aliases(domain),
            None => Listing::once(async { Ok(Vec::new()) }),
        },
        |item, source| rows::alias(&item, source, None),
    )
    .await
}

async fn delete(app: &mut App, args: DeleteArgs) -> Result<()> {
    let opened = app.open_one().await?;
    app.note_unverified(&opened, [Op::DeleteAlias]);
    let settled = opened.provider.remove_alias(&args.source).await;
    let bare = row_of(&opened, &Alias::to(args.source, Vec::new()));
    report_removal(app, &rows::ALIAS, settled, args.if_missing, bare)
}
