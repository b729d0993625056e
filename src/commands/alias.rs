//! `mbx alias create | list | delete`. `@example.com` as source is the catch-all.

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::{IfMissing, lists, parse, planned, show_removal, with_outcome};
use crate::app::{App, Opened};
use crate::error::{Kind, Result};
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
    /// Where its mail goes
    #[arg(required = true, value_name = "TARGET", value_parser = parse::address)]
    targets: Vec<Address>,
    /// What to do when it exists already: fail, or ok when it has the same targets
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
    /// What to do when it is not there
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

fn bare_row(opened: &Opened, alias: &Alias) -> impl Fn(Outcome) -> Row {
    with_outcome(rows::alias(alias, &opened.source(), Some(Outcome::Planned)))
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let new = Alias::to(args.source, args.targets);
    let opened = &*app.open_one().await?;
    app.note_unverified(opened, [new.source.op()]);
    let result = opened.provider.create_alias(&new).await;
    let (made, outcome) = match result {
        Err(error) if error.kind == Kind::Conflict && args.if_exists == OnExisting::Keep => {
            let all: Vec<Alias> = opened.provider.list_aliases(new.source.domain()).try_collect().await?;
            let same = |alias: &Alias| {
                alias.source == new.source
                    && alias.targets.len() == new.targets.len()
                    && new.targets.iter().all(|target| alias.targets.contains(target))
            };
            // An alias that delivers elsewhere is not the one that was asked for.
            (all.into_iter().find(same).ok_or(error)?, Outcome::Exists)
        }
        result => match planned(app, &rows::ALIAS, result, bare_row(opened, &new))? {
            Some(made) => (made.value, Outcome::Created),
            None => return Ok(()),
        },
    };
    app.out.one(&rows::ALIAS, rows::alias(&made, &opened.source(), Some(outcome)))
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
    let result = opened.provider.delete_alias(&args.source).await;
    let bare = Alias::to(args.source, Vec::new());
    show_removal(app, &rows::ALIAS, result, args.if_missing, bare_row(&opened, &bare))
}
