//! What `mbx list -o jsonl` is compared with: programs that read the same list as it arrives, and do less with it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use mbx::http::Items;
use serde::{Deserialize, Serialize};

use crate::{Result, bare};

/// The mode of the bare streaming reader.
pub(crate) const PRINT: &str = "print";

/// The mode of the reader that only cuts the list into lines.
pub(crate) const CUT: &str = "cut";

/// Reads the list in one of these modes.
pub(crate) async fn read(mode: &str, url: &str) -> Result<()> {
    let next = if mode == CUT { cut } else { print };
    let mut response = bare::client()?.get(url).send().await?;
    let (mut items, mut lines, mut out) = (Items::default(), Vec::new(), io::stdout());
    while let Some(piece) = response.chunk().await? {
        items.push(&piece);
        while next(&mut items, &mut lines)? {
            lines.push(b'\n');
        }
        out.write_all(&lines)?;
        lines.clear();
    }
    Ok(items.end()?)
}

/// An item as it came, without a look at what it is: the least that any reader does.
fn cut(items: &mut Items, lines: &mut Vec<u8>) -> Result<bool> {
    let Some(item) = items.next()? else { return Ok(false) };
    lines.extend_from_slice(item);
    Ok(true)
}

/// What is read.
#[derive(Deserialize)]
struct User {
    id: u64,
    email: String,
    created_at: Option<String>,
}

/// What is written: the line that mbx writes, with its keys and their order.
#[derive(Serialize)]
struct Line<'a> {
    outcome: Option<&'a str>,
    address: &'a str,
    local_part: &'a str,
    domain: &'a str,
    provider: &'a str,
    profile: &'a str,
    id: String,
    status: &'a str,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    admin: Option<bool>,
    quota: Option<u64>,
    aliases: Option<&'a [String]>,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    extra: BTreeMap<&'a str, &'a str>,
    notes: [&'a str; 0],
}

/// A mailbox, read and written by serde_json: nothing is checked, mapped or escaped.
fn print(items: &mut Items, lines: &mut Vec<u8>) -> Result<bool> {
    let Some(user) = items.read::<User>()? else { return Ok(false) };
    let (local_part, domain) = user.email.split_once('@').ok_or("it is no address")?;
    let line = Line {
        outcome: None,
        address: &user.email,
        local_part,
        domain,
        provider: "emboux",
        profile: "env",
        id: user.id.to_string(),
        status: "active",
        first_name: None,
        last_name: None,
        admin: None,
        quota: None,
        aliases: None,
        created_at: user.created_at.as_deref(),
        updated_at: None,
        extra: BTreeMap::new(),
        notes: [],
    };
    serde_json::to_writer(&mut *lines, &line)?;
    Ok(true)
}
