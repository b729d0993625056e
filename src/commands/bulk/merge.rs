//! The shards of one file, put together from the journals of the machines that worked on them.

use std::path::PathBuf;

use crate::bulk::Summary;
use crate::bulk::input::Shard;
use crate::bulk::journal::{Header, path_of};
use crate::bulk::record::{self, Record};
use crate::error::{Error, Kind, Result};
use crate::model::Outcome;

/// The run of one shard.
pub(super) struct Part {
    /// The folder of its journal.
    pub(super) folder: PathBuf,
    pub(super) record: Record,
}

impl Part {
    fn shard(&self) -> Shard {
        self.record.header.options.select.shard.unwrap_or(Shard { index: 0, of: 1 })
    }

    fn path(&self) -> String {
        path_of(&self.folder, &self.record.header.run).display().to_string()
    }
}

/// What all shards together came to.
pub(super) struct Total {
    pub(super) header: Header,
    pub(super) summary: Summary,
    pub(super) unknown: u32,
    pub(super) rows: u32,
}

/// Reads the runs whose names begin with `prefix`. A folder is the state folder of a machine (`XDG_STATE_HOME`), or the
/// folder of the runs in it.
pub(super) fn find(folders: &[PathBuf], prefix: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for folder in folders {
        let within = [folder.join("mbx/runs"), folder.join("runs"), folder.clone()];
        let folder = within.iter().find(|folder| record::runs(folder).is_ok_and(|runs| !runs.is_empty()));
        let Some(folder) = folder else {
            return Err(Error::new(Kind::NotFound, format!("there is no run in {}", within[2].display()))
                .hint("name the state folders of the machines: what XDG_STATE_HOME was there, or ~/.local/state"));
        };
        for run in record::runs(folder)?.iter().filter(|run| run.starts_with(prefix)) {
            parts.push(Part { folder: folder.clone(), record: Record::read(folder, run)? });
        }
    }
    if parts.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("there is no run whose name begins with {prefix}")));
    }
    parts.sort_by_key(|part| part.shard().index);
    Ok(parts)
}

/// Adds up the shards. They must be the shards of one file, each once, and finished. The error names everything that is
/// wrong.
pub(super) fn total(parts: &[Part]) -> Result<Total> {
    let first = &parts[0];
    let of = first.shard().of;
    let mut problems = Vec::new();
    for part in &parts[1..] {
        if let Some(why) = differs(&first.record.header, &part.record.header) {
            problems.push(format!("{} and {} {why}", first.path(), part.path()));
        }
    }
    for index in 0..of {
        let paths: Vec<_> = parts.iter().filter(|part| part.shard().index == index).map(Part::path).collect();
        match &paths[..] {
            [] => problems.push(format!("shard {index}/{of} is missing")),
            [_] => {}
            several => problems.push(format!("shard {index}/{of} is there more than once: {}", several.join(", "))),
        }
    }
    for part in parts.iter().filter(|part| !part.record.is_finished()) {
        problems.push(format!("{} is not finished, {} rows are left", part.path(), part.record.left()));
    }
    if !problems.is_empty() {
        return Err(Error::new(Kind::Refused, format!("these runs make no whole: {}", problems.join("; "))).hint(
            "name the folders of one file's shards, each once, and before --merge what the names of their runs begin \
                 with; `mbx bulk resume RUN` finishes a run on its machine",
        ));
    }
    let mut total = Total { header: first.record.header.clone(), summary: Summary::default(), unknown: 0, rows: 0 };
    for part in parts {
        part.record.summary().all().for_each(|(outcome, rows)| total.summary.add(outcome, rows));
        total.unknown += part.record.unknown();
        total.rows += part.record.header.rows;
    }
    if total.unknown > 0 {
        total.summary.add(Outcome::Unknown, total.unknown);
    }
    Ok(total)
}

/// Says in what two runs are not shards of the same work.
fn differs(one: &Header, other: &Header) -> Option<&'static str> {
    let shards = |header: &Header| header.options.select.shard.map(|shard| shard.of);
    let rows = |header: &Header| {
        let select = &header.options.select;
        (select.matching.clone(), select.skip, select.limit, header.options.map.clone())
    };
    if one.digest != other.digest {
        Some("worked on different files: the file was edited in between")
    } else if (one.verb, &one.provider) != (other.verb, &other.provider) {
        Some("did different things")
    } else if one.account.base_url != other.account.base_url || one.options.sandbox != other.options.sandbox {
        Some("worked at different hosts")
    } else if shards(one) != shards(other) {
        Some("are shards of different numbers")
    } else if rows(one) != rows(other) {
        Some("selected different rows")
    } else {
        None
    }
}
