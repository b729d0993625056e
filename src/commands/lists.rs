//! Lists over one profile, as they arrive, or over several, all read at once and shown in the order of the profiles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{TryStreamExt, future};

use crate::app::{App, Opened};
use crate::error::{Error, Kind, Result};
use crate::model::DomainName;
use crate::output::{Record, Shape, Source};
use crate::provider::{Listing, Op, Provider};

/// Lists what `read` finds in each chosen profile, in one domain if one is given.
pub(crate) async fn show<T: Send + 'static, R: Record + Send + 'static>(
    app: &mut App,
    shape: &Shape,
    op: Op,
    domain: Option<&DomainName>,
    read: impl for<'a> Fn(&'a Opened, Option<&'a DomainName>) -> Listing<'a, T>,
    row: impl Fn(T, &Arc<Source>) -> R + Send + Sync,
) -> Result<()> {
    let mut profiles = app.profiles()?;
    let count = profiles.len();
    if count == 1 {
        let opened = app.open(profiles.remove(0)?).await?;
        let source = Arc::new(opened.source());
        app.note_unverified(&opened, [op]);
        let is_empty = AtomicBool::new(true);
        let list = read(&opened, domain).map_ok(|item| {
            is_empty.store(false, Ordering::Relaxed);
            row(item, &source)
        });
        let shown = app.out.list(shape, list).await;
        close(&opened).await;
        if shown.is_ok() && is_empty.into_inner() {
            note_empty(app, &opened, domain);
        }
        return shown;
    }
    let mut opened = Vec::new();
    let mut failures = Vec::new();
    for profile in profiles {
        let profile = match profile {
            Ok(profile) => app.open(profile).await,
            Err(error) => Err(error),
        };
        match profile {
            Ok(profile) => opened.push(profile),
            Err(error) => failures.push(error),
        }
    }
    let progress = app.out.progress("listing", None);
    let count_one = |_: &T| progress.advance(1);
    let lists = opened.iter().map(|profile| read(profile, domain).inspect_ok(count_one).try_collect::<Vec<T>>());
    let lists = future::join_all(lists).await;
    drop(progress);
    let mut rows = Vec::new();
    for (profile, list) in opened.iter().zip(lists) {
        match list {
            Ok(list) => {
                if list.is_empty() {
                    note_empty(app, profile, domain);
                }
                let source = Arc::new(profile.source());
                rows.extend(list.into_iter().map(|item| row(item, &source)));
            }
            Err(error) => failures.push(error),
        }
        close(profile).await;
    }
    let shown = app.out.all(shape, rows).await;
    if failures.is_empty() || shown.is_err() {
        return shown;
    }
    let words: Vec<_> = failures.iter().map(Error::to_string).collect();
    Err(Error::new(
        Kind::Partial,
        format!("{} of {count} profiles could not be read: {}", failures.len(), words.join("; ")),
    )
    .hint("the list is complete for the others"))
}

/// Says what an empty list of a domain leaves open, where it does not prove that the domain is there.
fn note_empty(app: &App, opened: &Opened, domain: Option<&DomainName>) {
    if let (Some(domain), Some(why)) = (domain, opened.provider.empty_domain_note()) {
        app.out.note_for_people(&format!("nothing of {domain} is at {}: {why}", opened.provider.spec().title));
    }
}

/// Closes what the profile's provider opened.
pub(crate) async fn close(opened: &Opened) {
    opened.provider.close().await;
}
