//! `mbx config path | show | check`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::lists::close;
use super::profile::{no_mistake, settings};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::output::{Row, rows};
use crate::provider::Provider;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show where the configuration file is
    Path,
    /// Show every value with its origin; secrets as (set)
    Show,
    /// Check the file, read every secret, and ask each provider whether it accepts it
    Check {
        /// Do not ask the providers
        #[arg(long)]
        offline: bool,
    },
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::Path => {
            let path = json!(app.config.path.display().to_string());
            app.out.one(&rows::PATH, rows::row([("path", path), ("exists", json!(app.config.exists))]))
        }
        Verb::Show => {
            let line = |key: &str, value: Value, origin: Value| {
                rows::row([("profile", Value::Null), ("key", json!(key)), ("value", value), ("origin", origin)])
            };
            let default = app.config.default_profile();
            let mut lines: Vec<Row> = vec![line("default_profile", json!(default), json!(default.map(|_| "file")))];
            lines.extend(app.general.iter().map(|(key, it)| line(key, json!(it.value), json!(it.origin))));
            lines.extend(
                app.config.profile_names().flat_map(|name| app.config.profile(name)).flat_map(|p| settings(&p)),
            );
            for profile in app.config.of_environment()? {
                lines.extend(settings(&profile));
            }
            app.out.all(&rows::SETTING, lines).await?;
            no_mistake(app)
        }
        Verb::Check { offline } => check(app, offline).await,
    }
}

async fn check(app: &mut App, offline: bool) -> Result<()> {
    // Nothing chosen means everything that is configured.
    let nothing_chosen = app.choice.profiles.is_empty() && app.choice.provider.is_none();
    app.choice.all |= nothing_chosen && app.config.profile_names().next().is_some();
    let profiles = app.profiles()?;
    let (mut lines, mut failures) = (Vec::new(), Vec::new());
    for profile in profiles {
        let (name, provider) = match &profile {
            Ok(profile) => (Some(profile.name.clone()), Some(profile.provider)),
            Err(error) => (error.profile.clone(), error.provider),
        };
        let opened = match profile {
            Ok(profile) => app.open(profile).await,
            Err(error) => Err(error),
        };
        let account = match opened {
            Ok(_) if offline => Ok(None),
            Ok(opened) => {
                let account = opened.provider.check_account().await.map(Some);
                close(&opened).await;
                account
            }
            Err(error) => Err(error),
        };
        let (result, account) = match account {
            Ok(Some(account)) => ("ok".to_owned(), Some(account)),
            Ok(None) => ("ok so far: the provider was not asked".to_owned(), None),
            Err(error) => {
                let words = error.message.clone();
                failures.push(error);
                (words, None)
            }
        };
        lines.push(rows::row([
            ("profile", json!(name)),
            ("provider", json!(provider)),
            ("result", json!(result)),
            ("account", json!(account)),
        ]));
    }
    let count = lines.len();
    app.out.all(&rows::CHECK, lines).await?;
    match (failures.pop(), count) {
        (None, _) => Ok(()),
        (Some(only), 1) => Err(only),
        (Some(_), _) => {
            Err(Error::new(Kind::Partial, format!("{} of {count} profiles do not work", failures.len() + 1)))
        }
    }
}
