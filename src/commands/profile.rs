//! `mbx profile list | show`: the accounts that are configured.

use clap::Subcommand;
use serde_json::json;

use crate::app::App;
use crate::config::{Origin, Profile};
use crate::error::Result;
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
            let names: Vec<String> = app.config.profile_names().map(str::to_owned).collect();
            let rows =
                names.iter().map(|name| Ok(line(app, &app.config.profile(name)?))).collect::<Result<Vec<_>>>()?;
            if rows.is_empty() {
                app.out.note(&format!("there are no profiles in {}", app.config.path.display()));
            }
            app.out.all(&rows::PROFILE, rows).await
        }
        Verb::Show { name } => {
            app.choice.profiles.extend(name);
            let lines = app.profiles()?.iter().flat_map(settings).collect();
            app.out.all(&rows::SETTING, lines).await
        }
    }
}

fn line(app: &App, profile: &Profile) -> Row {
    let is_default = profile.is_default || app.config.default_profile() == Some(profile.name.as_str());
    rows::row([
        ("name", json!(profile.name)),
        ("provider", json!(profile.provider)),
        ("default", json!(is_default)),
        ("base_url", json!(profile.base_url.as_ref().map(|url| &url.value))),
        ("secret", json!(profile.secret.as_ref().map(|_| "(set)"))),
        ("sandbox", json!(profile.sandbox.value)),
    ])
}

/// Returns the values of a profile as rows.
pub(crate) fn settings(profile: &Profile) -> Vec<Row> {
    let line = |(key, value, origin): (String, String, Origin)| {
        rows::row([
            ("profile", json!(profile.name)),
            ("key", json!(key)),
            ("value", json!(value)),
            ("origin", json!(origin)),
        ])
    };
    profile.values().into_iter().map(line).collect()
}
