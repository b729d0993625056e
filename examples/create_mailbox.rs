//! The library in thirty lines: opens an account, makes a mailbox, prints it. It runs on a sandbox of its own:
//! `cargo run --example create_mailbox`.

use mbx::adapters::{self, Account};
use mbx::error::Result;
use mbx::model::{NewMailbox, ProviderId};
use mbx::provider::Provider;
use mbx::sandbox::{self, Sandbox};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sandbox = Sandbox::start().await?;
    // With a real account this is the provider's URL, or `adapters::spec(id).base_url`, and a secret of yours.
    let account = Account::new(ProviderId::Emboux, sandbox.base_url(ProviderId::Emboux), sandbox::KEY.into());
    let provider = adapters::open(&account)?;

    let mut new = NewMailbox::at("ada@example.com".parse().expect("a good address"));
    new.password = Some("correct-horse-7".into());
    let mailbox = provider.create_mailbox(&new).await?;

    // A second time it is a conflict, whatever status the provider uses for that.
    let again = provider.create_mailbox(&new).await.expect_err("it is there already");
    show(&format!("{} has the id {:?}; again: {again}", mailbox.address, mailbox.id));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example may print")]
fn show(text: &str) {
    println!("{text}");
}
