//! What holds whatever comes from outside. The fuzz targets try it with bytes of their making, the tests with the seeds
//! in `fuzz/seeds`.

#![allow(unreachable_pub, reason = "the fuzz targets are another crate")]

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use futures_util::TryStreamExt;
use mbx::adapters::{self, Account};
use mbx::bulk::input::{COLUMNS, Input, Row, Select, Shard};
use mbx::bulk::journal::{AccountMark, Done, FORMAT, Header, Journal, Line, Listed, RunOptions};
use mbx::bulk::record::{Lines, Record};
use mbx::bulk::{OnExisting, Verb};
use mbx::error::Result;
use mbx::http::{Listing, Redactor};
use mbx::model::{
    Address, Alias, AliasSource, Bytes, Domain, DomainName, Mailbox, MailboxChange, NewCredential, NewDomain,
    NewMailbox, Outcome, PASSWORD_MAX, PasswordState,
};
use mbx::provider::{Pace, Provider, ProviderId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// An address that is accepted parses again to itself, is plain ASCII that cannot bend a URL, and is found by what a
/// provider lists. What a provider lists is read without a panic.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = Address::parse(text) {
        let shown = address.to_string();
        assert_eq!(Address::parse(&shown).as_ref().map(Address::as_str), Ok(shown.as_str()));
        assert!(
            shown.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\\?#%\"<>()[],;:".contains(&byte)),
            "{shown:?}"
        );
        assert!(shown.len() <= 254 && address.local_part().len() <= 64, "{shown}");
        assert_eq!(format!("{}@{}", address.local_part(), address.domain()), shown);
        assert_eq!(Address::lenient(text), address);
        assert_eq!(Address::lenient(&address.lower()), address);
    }
    if let Ok(domain) = DomainName::parse(text) {
        assert_eq!(DomainName::parse(domain.as_str()).as_ref(), Ok(&domain));
        assert_eq!(DomainName::lenient(text), domain);
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        assert!(domain.as_str().bytes().all(is_name) && domain.as_str().contains('.'), "{domain}");
    }
    if let Ok(source) = text.parse::<AliasSource>() {
        assert_eq!(source.to_string().parse().as_ref(), Ok(&source));
        assert_eq!(AliasSource::lenient(text), source);
    }
    let listed = Address::lenient(text);
    assert_eq!(Address::lenient(listed.as_str()), listed);
    assert!(listed.as_str().starts_with(listed.local_part()));
    let _ = (AliasSource::lenient(text).local_part(), listed.lower());
}

/// The rows of a file come in the order of their lines; each has a valid address and no control character; a second
/// reading and the readings of all shards find the same rows.
pub fn rows(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, data).expect("it is written");
    let open =
        |select| Input::open(&file.path().to_string_lossy(), &COLUMNS, Vec::new(), select).expect("it is a file");
    let mut input = open(Select::default());
    let Ok(survey) = input.survey(|_| Vec::new()) else { return };
    let (mut before, mut good) = (0, Vec::new());
    let mut count = 0;
    for row in input.rows().expect("it was read before") {
        count += 1;
        let Ok(row) = row.expect("it was read before") else { continue };
        check_row(&row);
        assert!(row.line > before, "line {} comes after line {before}", row.line);
        before = row.line;
        good.push(shown(&row));
    }
    let last = 1 + data.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() as u64;
    assert!(before <= last);
    assert!(survey.troubles.iter().all(|trouble| (1..=last).contains(&trouble.line)), "{:?}", survey.troubles);
    assert!(survey.troubles.is_sorted_by_key(|trouble| trouble.line));
    assert!(survey.rows == count && survey.domains <= good.len());
    let shards = [0, 1].map(|index| Select { shard: Some(Shard { index, of: 2 }), ..Select::default() });
    let mut parts: Vec<_> = shards
        .into_iter()
        .flat_map(|shard| open(shard).rows().expect("it was read before"))
        .filter_map(|row| Some(shown(&row.expect("it was read before").ok()?)))
        .collect();
    parts.sort();
    good.sort();
    assert_eq!(parts, good);
}

fn check_row(row: &Row) {
    let new = &row.new;
    assert_eq!(Address::parse(new.address.as_str()).as_ref(), Ok(&new.address));
    let names = [&new.first_name, &new.last_name].into_iter().flatten().map(String::as_str);
    let password = new.password.as_ref().map(secrecy::ExposeSecret::expose_secret);
    assert!(names.chain(password).all(|text| !text.is_empty() && !text.contains(char::is_control)), "{row:?}");
    assert!(password.is_none_or(|password| password.len() <= PASSWORD_MAX));
}

fn shown(row: &Row) -> String {
    let password = row.new.password.as_ref().map(secrecy::ExposeSecret::expose_secret);
    format!("{} {:?} {password:?}", row.line, row.new)
}

/// A journal reads the same twice and after it was opened for a resumed run, and keeps no more rows than it may have.
/// One that mbx has written is readable wherever it is cut after its first line. Data that begins with `{` is a journal;
/// other data says what a run did, and where its journal is cut.
pub fn journal(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl");
    if data.starts_with(b"{") {
        fs::write(&path, data).expect("it is written");
        check_journal(folder.path());
        return;
    }
    let Some((&[cut, low], events)) = data.split_first_chunk() else { return };
    let (head, lines) = written(events);
    let whole = [head.as_slice(), &lines].concat();
    let cut = usize::from(u16::from_be_bytes([cut, low])) % (lines.len() + 1);
    fs::write(&path, &whole[..head.len() + cut]).expect("it is written");
    assert!(check_journal(folder.path()), "a journal that was cut is readable");
}

/// Returns whether the journal can be read.
fn check_journal(folder: &Path) -> bool {
    let read = || Record::read(folder, "run").map_err(|error| error.message.clone());
    let first = read();
    assert_same(&first, &read());
    let settled = Record::settled(folder, "run", Done::is_final);
    let Ok(record) = &first else { return false };
    let rows = record.header.rows;
    assert!(record.states().len() <= rows as usize && record.created.len() <= 64);
    let summary = record.summary();
    let done: u32 = summary.all().map(|(_, count)| count).sum();
    assert_eq!(summary.left + done, rows);
    assert!(settled.expect("it was read before").len() <= rows as usize);
    let lines =
        || Lines::open(folder, "run").expect("it was read before").map(|line| line.expect("it was read before"));
    let before: Vec<Line> = lines().collect();
    drop(Journal::reopen(folder, "run").expect("it can be resumed"));
    assert_same(&first, &read());
    assert_eq!(lines().collect::<Vec<_>>(), before);
    true
}

fn assert_same(left: &impl Debug, right: &impl Debug) {
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

/// Returns a journal as mbx writes it: its first line and the others. Each pair of bytes is an event of a row.
fn written(events: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let at: jiff::Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    let header = Header {
        format: FORMAT,
        run: "run".to_owned(),
        boot: None,
        started: at,
        verb: Verb::Create,
        provider: "emboux".to_owned(),
        profile: "p".to_owned(),
        account: AccountMark::default(),
        file: None,
        digest: String::new(),
        rows: 16,
        options: RunOptions { on_existing: OnExisting::Keep, ..RunOptions::default() },
    };
    let outcomes = [Outcome::Created, Outcome::Exists, Outcome::Failed, Outcome::Unknown];
    let lines = events.chunks_exact(2).map(|event| {
        let (row, line) = (u32::from(event[1] % 16), u64::from(event[1] % 16) + 2);
        let address = format!("u{row}@example.com");
        match event[0] % 12 {
            0 => Line::Intent { intent: row, line, address, listed: Listed::No },
            1 => Line::Intent { intent: row, line, address, listed: Listed::Yes },
            2 => Line::Sent { sent: vec![row], at },
            3 => Line::Sent { sent: vec![row, (row + 1) % 16], at },
            4 => Line::Unsent { unsent: vec![row] },
            5 => Line::Resumed { resumed: at, boot: Some("another".to_owned()) },
            6 => Line::Retry { retry: at },
            7 => Line::Ended { ended: at },
            other => Line::Done(Done {
                row,
                line,
                address,
                outcome: outcomes[usize::from(other - 8)],
                id: Some("\"\n\u{fffd}".to_owned()),
                error: None,
                message: None,
                touched: event[1] & 16 != 0,
                password_state: (event[1] & 32 != 0).then_some(PasswordState::Accepted),
                settles_at: None,
                notes: Vec::new(),
            }),
        }
    });
    let text = |line: &dyn Fn() -> serde_json::Result<Vec<u8>>| [line().expect("it is JSON"), b"\n".to_vec()].concat();
    (text(&|| serde_json::to_vec(&header)), lines.flat_map(|line| text(&|| serde_json::to_vec(&line))).collect())
}

/// A secret does not show in any spelling, whatever stands around it. The data is two bytes that choose two spellings,
/// one after the other, and three lines: the secret, what comes before it and what comes after it.
pub fn redact(data: &[u8]) {
    let Some((&[first, second], text)) = data.split_first_chunk() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let mut lines = text.splitn(3, '\n');
    let [secret, before, after] = [(); 3].map(|()| lines.next().unwrap_or_default());
    // Shorter secrets are not masked in every spelling, nor are those that consist of what a view leaves out or unpacks.
    let start = secret.split(['\\', '%', '&']).next().unwrap_or_default();
    let is_long = start.chars().filter(|c| c.is_alphanumeric()).count() >= 8;
    // The mask and what stands beside it may look like a secret with brackets.
    if !is_long || secret.contains(['(', ')']) || OWN_WORDS.iter().any(|words| words.contains(secret)) {
        return;
    }
    let redactor = Redactor::default();
    redactor.learn(&secret.into());
    let once = spelled(first, secret);
    // What is in base64 may be escaped after that; what is escaped is not looked for in base64.
    let twice = spelled(second % ESCAPES, &once);
    for spelling in [once, twice] {
        if [before, after].iter().any(|text| text.contains(&spelling) || text.contains(secret)) {
            return;
        }
        let text = format!("{before} {spelling} {after}");
        let json = serde_json::json!({ "message": text }).to_string();
        let shown = [
            redactor.scrub(&text),
            redactor.excerpt(&text),
            redactor.body(text.as_bytes()),
            redactor.body(json.as_bytes()),
            redactor.fields(&[(String::new(), text.clone())]),
        ];
        for shown in shown {
            assert!(!shown.contains(&spelling) && !shown.contains(secret), "{secret:?} in {text:?}: {shown:?}");
        }
    }
}

/// What the redactor itself says.
const OWN_WORDS: [&str; 3] = ["redacted", "bytes that are no whole JSON)", "bytes of markup)"];

/// How many of the spellings are escapes.
const ESCAPES: u8 = 9;

/// Spells a text as a server may repeat it.
fn spelled(how: u8, text: &str) -> String {
    let each = |spell: fn(char) -> String| text.chars().map(spell).collect::<String>();
    let url = || utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let json = || {
        let quoted = serde_json::to_string(text).expect("a text is JSON");
        quoted[1..quoted.len() - 1].to_owned()
    };
    match how % 13 {
        0 => text.to_owned(),
        1 => json(),
        2 => json().replace('/', "\\/").replace('&', "\\u0026").replace('<', "\\u003c"),
        3 => each(|c| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
        4 => url(),
        5 => url().to_lowercase(),
        6 => url().replace("%20", "+"),
        7 => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;"),
        8 => each(|c| format!("&#{};", u32::from(c))),
        9 => text.to_uppercase(),
        10 => BASE64_STANDARD.encode(text),
        11 => BASE64_URL_SAFE_NO_PAD.encode(text),
        _ => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// What a host answers to the requests of one operation. The data is a byte that chooses the operation, a byte that says
/// into how long pieces the bodies are cut, and the answers with a line `---` between them. An answer begins with a byte
/// for its status and one for its header. The last answer is given to all further requests.
pub struct Answers {
    /// The operation.
    pub operation: u8,
    /// How many bytes of a body arrive at once.
    pub piece: usize,
    /// The answers.
    pub all: Vec<Answer>,
}

/// One answer of a host.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header: its name and its value.
    pub header: (&'static str, &'static str),
    /// The body.
    pub body: Vec<u8>,
}

const STATUSES: [u16; 18] = [200, 201, 202, 204, 207, 301, 400, 401, 402, 403, 404, 405, 408, 409, 422, 429, 500, 503];

const HEADERS: [(&str, &str); 6] = [
    ("content-type", "application/json"),
    ("content-type", "text/html"),
    ("location", "https://api.example.com/api/domains/D1/email_accounts/E1?key=x"),
    ("location", "/"),
    ("retry-after", "1"),
    ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
];

/// The secret that signs the requests.
const SECRET: &str = "Canary-Key-0123456789";

impl Answers {
    /// Reads the data.
    pub fn of(data: &[u8]) -> Option<Self> {
        let (&[operation, piece], rest) = data.split_first_chunk()?;
        let (mut all, mut rest) = (Vec::new(), Some(rest));
        while let Some(text) = rest {
            let end = text.windows(5).position(|bytes| bytes == b"\n---\n");
            let (answer, more) = end.map_or((text, None), |end| (&text[..end], Some(&text[end + 5..])));
            let (&[status, header], body) = answer.split_first_chunk()?;
            let status = STATUSES[usize::from(status) % STATUSES.len()];
            let header = HEADERS[usize::from(header) % HEADERS.len()];
            all.push(Answer { status, header, body: body.to_owned() });
            rest = more;
        }
        Some(Answers { operation, piece: usize::from(piece).max(1), all })
    }

    /// Returns how many requests one operation may send: in each of some looks, some for each thing that the answers may
    /// list.
    pub fn most_requests(&self) -> usize {
        20 * (100 + self.all.iter().map(|answer| answer.body.len()).sum::<usize>())
    }
}

/// An adapter reads whatever a host answers without a panic. What it says of a mailbox or a domain is about the one that was
/// asked for, and an error does not show the secret of the account. Returns what the adapter made of it, which does not depend on the pieces in which an answer arrives.
pub async fn answered(id: ProviderId, base_url: &str, answers: &Answers) -> String {
    let limit = Duration::from_secs(5);
    let settings = adapters::spec(id).settings.iter();
    let pace = Pace {
        concurrency: 2,
        per_minute: None,
        burst: 1,
        read: limit,
        write: limit,
        poll: Duration::ZERO,
        machines: 1,
    };
    let account = Account {
        user: Some("me@box.example.com".to_owned()),
        settings: settings.filter_map(|s| Some((s.key.to_owned(), s.sandbox?.to_owned()))).collect(),
        // A box is logged in to where the account has a second factor.
        totp: (answers.operation >= 128).then(|| "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()),
        pace,
        gate: std::sync::Arc::new(mbx::http::Gate::new(pace)),
        allow_unverified: true,
        no_wait: true,
        ..Account::new(id, base_url, SECRET.into())
    };
    let provider = adapters::open(&account).expect("the account opens");
    let made = operate(&provider, answers.operation % 128).await;
    provider.close().await;
    match made {
        Ok(text) => text,
        Err(error) => {
            let text = format!("{error:?}");
            let words = [Some(error.to_string()), error.provider_message.clone(), error.hint.clone()];
            assert!(!words.iter().flatten().any(|words| words.contains(SECRET)), "{text}");
            text
        }
    }
}

/// Calls one of the provider's operations; returns all that came of it.
async fn operate(provider: &dyn Provider, operation: u8) -> Result<String> {
    let name = DomainName::parse("example.com").expect("a name");
    let ada = Address::parse("ada@example.com").expect("an address");
    let alias = Alias::to("info@example.com".parse().expect("a source"), vec![ada.clone()]);
    let catch_all = Alias::to(AliasSource::CatchAll(name.clone()), vec![ada.clone()]);
    let new = NewMailbox {
        first_name: Some("Ada".to_owned()),
        last_name: Some("Byron".to_owned()),
        password: Some("Canary-Passw0rd-7".into()),
        ..NewMailbox::at(ada.clone())
    };
    let batch =
        [new.clone(), NewMailbox { address: Address::parse("ben@example.com").expect("an address"), ..new.clone() }];
    let with_quota = NewMailbox { quota: Some(Bytes(1 << 30)), ..new.clone() };
    let names = MailboxChange { first_name: Some("Ada".to_owned()), ..MailboxChange::default() };
    let quota = MailboxChange { quota: Some(Bytes(1 << 30)), ..MailboxChange::default() };
    let domain = NewDomain { postmaster_password: Some("Canary-Passw0rd-7".into()), ..NewDomain::named(name.clone()) };
    let credential = NewCredential { name: "ci".to_owned(), domain: None, secret: "Canary-Passw0rd-8".into() };
    let id = "1f2e3d4c-5b6a-4978-8695-a4b3c2d1e0f1";
    let on_ada = |mailbox: &Mailbox| {
        assert_eq!(mailbox.address, ada);
        shows(mailbox)
    };
    let on_name = |domain: &Domain| {
        assert_eq!(domain.name, name);
        shows(domain)
    };
    match operation % 30 {
        0 => provider.check_account().await.map(shows),
        1 => listed(provider.list_mailboxes(None)).await,
        2 => listed(provider.list_mailboxes(Some(&name))).await,
        3 => provider.get_mailbox(&ada).await.map(|made| on_ada(&made)),
        4 => provider.create_mailbox(&new).await.map(|made| on_ada(&made)),
        5 => provider.create_mailbox(&with_quota).await.map(|made| on_ada(&made)),
        6 => provider.create_mailboxes(&batch).await.map(shows),
        7 => provider.update_mailbox(&ada, &names).await.map(|made| on_ada(&made)),
        8 => provider.update_mailbox(&ada, &quota).await.map(|made| on_ada(&made)),
        9 => provider.set_password(&ada, &"Canary-Passw0rd-8".into()).await.map(shows),
        10 => provider.suspend_mailbox(&ada).await.map(|made| on_ada(&made)),
        11 => provider.resume_mailbox(&ada).await.map(|made| on_ada(&made)),
        12 => provider.delete_mailbox(&ada).await.map(shows),
        13 => listed(provider.list_domains()).await,
        14 => provider.get_domain(&name).await.map(|made| on_name(&made)),
        15 => provider.create_domain(&domain).await.map(|made| on_name(&made)),
        16 => provider.verify_domain(&name).await.map(|made| on_name(&made)),
        17 => provider.domain_dns(&name).await.map(shows),
        18 => provider.suspend_domain(&name).await.map(|made| on_name(&made)),
        19 => provider.resume_domain(&name).await.map(|made| on_name(&made)),
        20 => provider.delete_domain(&name).await.map(shows),
        21 => listed(provider.list_aliases(&name)).await,
        22 => provider.create_alias(&alias).await.map(shows),
        23 => provider.create_alias(&catch_all).await.map(shows),
        24 => provider.delete_alias(&alias.source).await.map(shows),
        25 => provider.delete_alias(&catch_all.source).await.map(shows),
        26 => listed(provider.list_credentials()).await,
        27 => provider.create_credential(&credential).await.map(shows),
        28 => provider.delete_credential(id).await.map(shows),
        _ => {
            // What a listing shows is kept for the next call.
            let found: Vec<_> = provider.list_mailboxes(Some(&name)).try_collect().await?;
            found.iter().for_each(|mailbox| provider.cache_listed(mailbox));
            provider.delete_mailbox(&ada).await.map(shows)
        }
    }
}

fn shows(made: impl Debug) -> String {
    format!("{made:?}")
}

/// Returns what a listing shows, and the error that ends it.
async fn listed<T: serde::Serialize>(mut list: Listing<'_, T>) -> Result<String> {
    let mut all = Vec::new();
    let end = loop {
        match list.try_next().await {
            Ok(Some(item)) => all.push(serde_json::to_string(&item).expect("the model is plain JSON")),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match end {
        Err(error) if all.is_empty() => Err(error),
        end => Ok(format!("{all:?} {:?}", end.map_err(|error| error.kind))),
    }
}
