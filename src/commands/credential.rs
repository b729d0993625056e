//! `mbx credential create | list | delete`: logins that open every mailbox of a domain, workspace or account.

use clap::{Args, Subcommand};

use super::password::PasswordArgs;
use super::prompt::confirm;
use super::{IfMissing, lists, parse, planned, show_removal, with_outcome};
use crate::app::{App, Opened};
use crate::error::Result;
use crate::model::{Credential, DomainName, Extra, NewCredential};
use crate::output::{Outcome, Row, rows};
use crate::provider::{Done, Op, Provider};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a login that opens every mailbox of a domain, or of the whole workspace or account
    Create(CreateArgs),
    /// List credentials; their secrets cannot be read again
    List,
    /// Delete a credential by its id
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// A name for it
    name: String,
    /// The domain it opens; without one, the workspace or account of the profile
    #[arg(long, value_name = "NAME", value_parser = parse::domain)]
    domain: Option<DomainName>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Its id, as `mbx credential list` shows it
    id: String,
    /// What to do when it is not there
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    if_missing: IfMissing,
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Create(args) => create(app, args).await,
        Verb::List => list(app).await,
        Verb::Delete(args) => delete(app, args).await,
    }
}

fn bare_row(opened: &Opened, name: &str, id: Option<&str>) -> impl Fn(Outcome) -> Row {
    let credential = Credential {
        name: name.to_owned(),
        id: id.map(str::to_owned),
        scope: None,
        scope_id: None,
        created_at: None,
        updated_at: None,
        extra: Extra::new(),
    };
    with_outcome(rows::credential(&credential, &opened.source(), Some(Outcome::Planned)))
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, domain) = (&*app, args.domain);
    opened.provider.check_op(Op::CreateCredential)?;
    app.note_unverified(opened, [Op::CreateCredential]);
    let opens = domain.as_ref().map_or("the whole workspace or account".to_owned(), ToString::to_string);
    let secret = args.password.get(app, Some(&args.name)).await?.expect("a password was asked for");
    let password = args.password.deliver(app, secret.clone()).await?;
    let result = opened.provider.create_credential(&NewCredential { name: args.name.clone(), domain, secret }).await;
    password.settle(&result);
    let Some(made) = planned(app, &rows::CREDENTIAL, result, bare_row(opened, &args.name, None))? else {
        return Ok(());
    };
    app.out.note(&format!("this password opens every mailbox of {opens}"));
    let mut row = rows::credential(&made, &opened.source(), Some(Outcome::Created));
    password.show_in(&mut row);
    app.out.one(&rows::CREDENTIAL, row)
}

async fn list(app: &mut App) -> Result<()> {
    lists::show(
        app,
        &rows::CREDENTIAL,
        Op::ListCredentials,
        None,
        |opened, _| opened.provider.list_credentials(),
        |item, source| rows::credential(&item, source, None),
    )
    .await
}

async fn delete(app: &mut App, args: DeleteArgs) -> Result<()> {
    let opened = app.open_one().await?;
    opened.provider.check_op(Op::DeleteCredential)?;
    app.note_unverified(&opened, [Op::DeleteCredential]);
    confirm(app, &format!("delete credential {} at {}", args.id, opened.provider.spec().title)).await?;
    let result = opened.provider.delete_credential(&args.id).await;
    let bare = bare_row(&opened, "", Some(&args.id));
    show_removal(app, &rows::CREDENTIAL, result.map(Done::from), args.if_missing, bare)
}
