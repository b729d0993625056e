//! `mbx credential create | list | delete`: logins that open every mailbox of a domain, workspace or account.

use clap::{Args, Subcommand};

use super::password::PasswordArgs;
use super::prompt::confirm;
use super::report::{report, report_removal, without_look};
use super::{IfMissing, lists, parse};
use crate::app::{App, Opened};
use crate::error::Result;
use crate::model::{Credential, DomainName, Extra, NewCredential};
use crate::output::{Outcome, Row, rows};
use crate::provider::{Op, Provider};

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
    /// A name for the credential
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
    /// What to do when the credential does not exist
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

/// Returns the row of a credential of which only its name or its id is known.
fn bare_row(opened: &Opened, name: &str, id: Option<&str>) -> Row {
    let credential = Credential {
        name: name.to_owned(),
        id: id.map(str::to_owned),
        scope: None,
        scope_id: None,
        created_at: None,
        updated_at: None,
        extra: Extra::new(),
    };
    rows::credential(&credential, &opened.source(), None)
}

async fn create(app: &mut App, args: CreateArgs) -> Result<()> {
    let opened = &*app.open_one().await?;
    let (app, provider, domain) = (&*app, &opened.provider, args.domain);
    provider.check_op(Op::CreateCredential)?;
    app.note_unverified(opened, [Op::CreateCredential]);
    let opens = domain.as_ref().map_or("the whole workspace or account".to_owned(), ToString::to_string);
    let password = args.password.take(app, &args.name, |_| Ok(())).await?;
    let new = NewCredential { name: args.name, domain, secret: password.secret.clone() };
    let mut settled = without_look(Outcome::Created, provider.create_credential(&new).await);
    settled.result = settled
        .result
        .map(|(outcome, done)| (outcome, done.note(format!("this password opens every mailbox of {opens}"))));
    let bare = bare_row(opened, &new.name, None);
    report(app, &rows::CREDENTIAL, settled, Some(&password), bare, |credential| {
        rows::credential(&credential, &opened.source(), None)
    })
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
    let settled = without_look(Outcome::Deleted, opened.provider.delete_credential(&args.id).await);
    let bare = bare_row(&opened, "", Some(&args.id));
    report_removal(app, &rows::CREDENTIAL, settled, args.if_missing, bare)
}
