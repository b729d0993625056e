//! `mbx profile list | show`: the accounts that are configured.

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::config::{Origin, Profile, SecretRef};
use crate::error::{Error, Kind, Result};
use crate::output::{Row, rows};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the profiles of the configuration file
    List,
    /// Show one profile, each value with its origin
    Show {
        /// The profile's name; without one, the profile that a command would use
        name: Option<String>,
    },
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => {
            let rows: Vec<Row> = app.config.profile_names().map(|name| line(app, name)).collect();
            if rows.is_empty() {
                app.out.note(&format!("there are no profiles in {}", app.config.path.display()));
            }
            app.out.all(&rows::PROFILE, rows).await?;
            no_mistake(app)
        }
        Verb::Show { name } => {
            app.choice.profiles.extend(name);
            let profiles = app.profiles()?.into_iter().collect::<Result<Vec<_>>>()?;
            app.out.all(&rows::SETTING, profiles.iter().flat_map(settings).collect()).await
        }
    }
}

fn line(app: &App, name: &str) -> Row {
    let profile = app.config.profile(name).ok();
    let profile = profile.as_ref();
    let is_default = profile.is_some_and(|it| it.is_default) || app.config.default_profile() == Some(name);
    let set = |secret: &SecretRef| secret.problem(app.config.env()).unwrap_or_else(|| "(set)".to_owned());
    rows::row([
        ("name", json!(name)),
        ("provider", json!(app.config.provider_of(name))),
        ("default", json!(is_default)),
        ("base_url", json!(profile.and_then(|it| Some(it.base_url.as_ref()?.value.to_string())))),
        ("secret", json!(profile.and_then(|it| Some(set(&it.secret.as_ref()?.value))))),
        ("sandbox", json!(profile.map(|it| it.sandbox.value))),
    ])
}

/// Returns the mistakes of all profiles as one error, after the profiles themselves were shown.
pub(crate) fn no_mistake(app: &App) -> Result<()> {
    let mistakes = app.config.profile_names().filter_map(|name| app.config.profile(name).err());
    let mistakes: Vec<String> = mistakes.map(|error| error.message.clone()).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    let message = format!("{}: {}", app.config.path.display(), mistakes.join("; "));
    Err(Error::new(Kind::Config, message).hint("the other profiles can be used"))
}

/// Returns the values of a profile as rows.
pub(crate) fn settings(profile: &Profile) -> Vec<Row> {
    let line = |(key, value, origin): &(String, String, Origin)| {
        rows::row([
            ("profile", json!(profile.name)),
            ("key", json!(key)),
            ("value", json!(value)),
            ("origin", json!(origin)),
        ])
    };
    profile.values.iter().map(line).collect()
}
