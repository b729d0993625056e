//! `mbx provider list | show`: the capability matrix, read from the code that refuses by it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::adapters;
use crate::app::App;
use crate::config::variable;
use crate::error::{Error, Kind, Result};
use crate::global::{provider_help, provider_kind};
use crate::model::Bytes;
use crate::output::{Row, rows};
use crate::provider::{AuthScheme, NameRule, Op, PasswordRule, ProviderId, QuotaRule, Spec};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show what each provider can do
    List,
    /// Show what one provider can do, what it needs, and why the rest is not possible
    Show {
        #[arg(help = provider_help(), hide_possible_values = true, value_parser = provider_kind())]
        name: Option<ProviderId>,
    },
}

pub(crate) async fn run(app: &mut App, verb: Verb) -> Result<()> {
    match verb {
        Verb::List => app.out.all(&rows::MATRIX, matrix()).await,
        Verb::Show { name } => {
            let provider = name.or(app.choice.provider).ok_or_else(|| {
                Error::new(Kind::Usage, "which provider?").hint("`mbx provider show emboux`, for example")
            })?;
            app.out.all(&rows::ABOUT, about(adapters::spec(provider))).await
        }
    }
}

/// Returns a row for each operation: its name, then a word for each provider.
pub(crate) fn matrix() -> Vec<Row> {
    Op::ALL
        .into_iter()
        .map(|op| {
            let words = ProviderId::ALL.map(|id| (id.as_str(), json!((adapters::spec(id).support)(op).word())));
            rows::row([("operation", json!(op.name()))].into_iter().chain(words))
        })
        .collect()
}

fn about(spec: &Spec) -> Vec<Row> {
    let line = |topic: &str, value: Value, note: Option<&str>| {
        rows::row([("topic", json!(topic)), ("value", value), ("note", json!(note))])
    };
    let mut lines = vec![
        line("provider", json!(spec.title), None),
        line("base_url", json!(spec.base_url.ok()), spec.base_url.err()),
        line("secret", json!(variable(spec.id, spec.secret_name)), Some("or `secret` in a profile")),
    ];
    if spec.auth == AuthScheme::Basic {
        lines.push(line("user", json!(variable(spec.id, "user")), Some("or `user` in a profile")));
    }
    for setting in spec.settings {
        let word = if setting.required { "required" } else { "optional" };
        lines.push(line(setting.key, json!(word), Some(setting.help)));
    }
    let rules = &spec.rules;
    lines.push(match rules.password {
        PasswordRule::Never(why) => line("password", json!("none"), Some(why)),
        PasswordRule::Required { min, max_bytes, letter_and_digit } => {
            let note = letter_and_digit.then_some("at least one letter and one digit");
            let words = if min > 1 { format!("at least {min} characters") } else { "required".to_owned() };
            let words = max_bytes.map_or(words.clone(), |max| format!("{words}, at most {max} bytes"));
            line("password", json!(words), note)
        }
    });
    lines.push(match rules.names {
        NameRule::Both => line("names", json!("first and last name are required"), None),
        NameRule::First => line("names", json!("the first name is required"), None),
        NameRule::Optional => line("names", json!("optional"), None),
        NameRule::Never(why) => line("names", json!("none"), Some(why)),
    });
    lines.push(match rules.quota {
        QuotaRule::Never(why) => line("quota", json!("none"), Some(why)),
        QuotaRule::Multiple { of, unlimited, max: _ } => {
            let note = unlimited.then_some("or unlimited");
            line("quota", json!(format!("multiples of {}", Bytes(of))), note)
        }
        QuotaRule::OneOf(sizes) => {
            let sizes: Vec<_> = sizes.iter().map(|&size| Bytes(size).to_string()).collect();
            line("quota", json!(format!("one of {}", sizes.join(", "))), None)
        }
    });
    if let Some(costs) = rules.costs {
        lines.push(line("costs", json!("yes"), Some(costs)));
    }
    lines.extend(Op::ALL.into_iter().map(|op| {
        let support = (spec.support)(op);
        line(op.name(), json!(support.word()), support.reason())
    }));
    lines
}
