//! `mbx alias create | list | delete`. `@example.com` as source is the catch-all.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use super::lists::{self, end};
use super::mailbox::{parse_address, parse_domain};
use super::{IfExists, IfMissing, planned, show_removal, with_outcome};
use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::model::{Alias, AliasSource};
use crate::output::{Outcome, Row, rows};
use crate::provider::{Listing, Op, Provider};
use futures_util::TryStreamExt;

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
    source: String,
    /// Where its mail goes
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// What to do when it exists already: fail, or ok when it has the same targets
    #[arg(long, value_name = "WHAT", default_value = "fail", value_parser = if_exists())]
    if_exists: IfExists,
}

/// An alias is its source and its targets; there is nothing else to update.
fn if_exists() -> impl TypedValueParser<Value = IfExists> {
    PossibleValuesParser::new(["fail", "ok"]).try_map(|what| IfExists::from_str(&what, false))
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The domain
    domain: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The alias's address, or `@example.com` for the catch-all
    source: String,
    /// What to do when it is not there
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

fn parse_source(text: &str) -> Result<AliasSource> {
    text.parse().map_err(|why| Error::new(Kind::Invalid, format!("{text:?} is no alias address: {why}")))
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    let source = match &verb {
        Verb::List(args) => {
            let domain = parse_domain(&args.domain)?;
            return lists::show(
                app,
                &rows::ALIAS,
                Op::ListAliases,
                Some(&domain),
                |opened, domain| match domain {
                    Some(domain) => opened.provider.list_aliases(domain),
                    None => Listing::once(async { Ok(Vec::new()) }),
                },
                |item, source| rows::alias(&item, source, None),
            )
            .await;
        }
        Verb::Create(args) => &args.source,
        Verb::Delete(args) => &args.source,
    };
    let source = parse_source(source)?;
    match verb {
        Verb::Create(args) => {
            let targets = args.targets.iter().map(|target| parse_address(target)).collect::<Result<Vec<_>>>()?;
            let opened = app.open_one().await?;
            let result = create(app, &opened, Alias::to(source, targets), args.if_exists).await;
            end(app, &opened, Op::CreateAlias, result).await
        }
        Verb::Delete(args) => {
            let opened = app.open_one().await?;
            let removal = opened.provider.delete_alias(&source).await;
            let result = show_removal(
                app,
                &rows::ALIAS,
                removal,
                args.if_missing,
                bare_row(&opened, &Alias::to(source, Vec::new())),
            );
            end(app, &opened, Op::DeleteAlias, result).await
        }
        Verb::List(_) => unreachable!("handled above"),
    }
}

fn bare_row(opened: &Opened, alias: &Alias) -> impl Fn(Outcome) -> Row {
    with_outcome(rows::alias(alias, &opened.source(), Some(Outcome::Planned)))
}

async fn create(app: &App, opened: &Opened, new: Alias, if_exists: IfExists) -> Result<()> {
    let result = opened.provider.create_alias(&new).await;
    let (made, outcome) = match result {
        Err(error) if error.kind == Kind::Conflict && if_exists == IfExists::Ok => {
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
