//! New passwords for mailboxes of an earlier run: those that a lost machine had made, whose passwords were lost with it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Write;

use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use super::run::{account_mark, refuse_other_account};
use super::{FromArgs, folder, run_named};
use crate::app::App;
use crate::bulk::journal::Line;
use crate::bulk::record::{Lines, Record};
use crate::commands::lists::close;
use crate::commands::prompt::confirm;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Outcome, Stamp};
use crate::provider::{CreationClock, Provider, created_since};

/// How many mailboxes in doubt are shown one by one.
const SHOWN: usize = 50;

/// Writes the addresses that are meant into a file beside the journals, and returns its path; `None` where there are none.
/// The file holds no secret.
pub(super) async fn file(app: &mut App, run: &str, args: &FromArgs) -> Result<Option<String>> {
    let folder = folder(app)?;
    let run = run_named(&folder, run)?;
    let record = Record::read(&folder, &run)?;
    let mut wanted = addresses(Lines::open(&folder, &run)?, &args.only)?;
    let is_since = since(app, &record, &wanted, args.created_since).await?;
    let doubtful: Vec<_> = wanted.iter().filter(|address| !is_since.contains_key(address)).collect();
    let earlier = is_since.values().filter(|is_since| !**is_since).count();
    if earlier > 0 {
        app.out.note(&format!("{earlier} were there before that time and keep their passwords"));
    }
    if !doubtful.is_empty() {
        app.out.note("somebody may already use these mailboxes; their creation times are missing or too inexact:");
        doubtful.iter().take(SHOWN).for_each(|address| app.out.note(&address.to_string()));
        if let Some(more @ 1..) = doubtful.len().checked_sub(SHOWN) {
            app.out.note(&format!("and {more} more"));
        }
        confirm(app, &format!("set the passwords of {} mailboxes that somebody may use", doubtful.len())).await?;
    }
    wanted.retain(|address| is_since.get(address) != Some(&false));
    if wanted.is_empty() {
        app.out.note(&format!("run {run} has no such mailbox; nothing was changed"));
        return Ok(None);
    }
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(["address"]).expect("writing to memory does not fail");
    for address in &wanted {
        rows.write_record([address.to_string()]).expect("writing to memory does not fail");
    }
    let rows = rows.into_inner().expect("writing to memory does not fail");
    let digest: String = Sha256::digest(&rows).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(format!("{run}-{digest}.csv"));
    let failed = |error: std::io::Error| Error::new(Kind::Config, format!("cannot write {}: {error}", path.display()));
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).and_then(|mut file| file.write_all(&rows)).map_err(failed)?;
    Ok(Some(path.to_string_lossy().into_owned()))
}

/// Returns the addresses of the rows whose last outcome is one of these.
fn addresses(mut lines: Lines, only: &[Outcome]) -> Result<Vec<Address>> {
    let mut last: Vec<Option<Address>> = Vec::new();
    while let Some(line) = lines.next().transpose()? {
        if let Line::Done(done) = line {
            let is_wanted = only.contains(&done.outcome);
            *lines.row(&mut last, done.row)? = is_wanted.then(|| Address::lenient(&done.address));
        }
    }
    Ok(last.into_iter().flatten().collect())
}

/// Finds out which of the mailboxes were created since then. Mailboxes whose creation time is missing or too
/// inexact are left out.
async fn since(
    app: &mut App,
    record: &Record,
    wanted: &[Address],
    since: Option<jiff::Timestamp>,
) -> Result<HashMap<Address, bool>> {
    let profile = app.one_profile()?;
    let header = &record.header;
    if (profile.name.as_str(), profile.provider.as_str()) != (header.profile.as_str(), header.provider.as_str()) {
        let message = format!("run {} was made with profile {} at {}", header.run, header.profile, header.provider);
        return Err(Error::new(Kind::Usage, message).hint("name that profile with --profile or --provider"));
    }
    let opened = app.open(profile).await?;
    refuse_other_account(header, &account_mark(&opened, &header.run), false)?;
    let Some(since) = since else { return Ok(HashMap::new()) };
    let wanted: HashSet<_> = wanted.iter().collect();
    let witnesses: HashMap<_, _> = record.created.iter().map(|witness| (&witness.address, witness.after)).collect();
    let domains: BTreeSet<_> = wanted.iter().map(|address| address.domain().clone()).collect();
    let (mut times, mut clock) = (Vec::new(), CreationClock::default());
    for domain in &domains {
        let mut listing = opened.provider.list_mailboxes(Some(domain));
        while let Some(mailbox) = listing.try_next().await? {
            // What the run itself made shows how far the provider's clock is ahead of ours.
            if let Some(after) = witnesses.get(&mailbox.address) {
                clock.learn(mailbox.created_at.as_ref(), *after);
            }
            if wanted.contains(&mailbox.address) {
                times.push((mailbox.address, mailbox.created_at));
            }
        }
    }
    close(&opened).await;
    let compare =
        |(address, time): (Address, Option<Stamp>)| Some((address, created_since(time.as_ref(), since, &clock)?));
    Ok(times.into_iter().filter_map(compare).collect())
}
