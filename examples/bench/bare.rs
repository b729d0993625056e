//! What mbx is compared with when it makes mailboxes: loops that send the same requests and do nothing else. Each is a
//! mode of this program, run in a process of its own.

use std::fmt::Write;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use mbx::adapters::{self, Account};
use mbx::bulk::input::{Input, Select};
use mbx::bulk::journal::{AccountMark, FORMAT, Header, Journal, RunOptions, this_boot};
use mbx::bulk::{self, Interrupt, OnExisting, Options, RunIo, Verb};
use mbx::http::Gate;
use mbx::model::ProviderId;
use mbx::output::Outcome;
use serde_json::json;

use crate::Result;

/// The account that all requests are for.
pub(crate) const ACCOUNT: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

/// Runs something the way mbx runs: on one thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The first client of the process names the cryptography.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(future)
}

/// A client as reqwest makes it, for loopback.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().tls_certs_only([]).no_proxy().build()
}

/// `create BASE_URL COUNT BATCH CONCURRENCY`: the bare loop. A batch of one is a create at EmBoux, a larger one a bulk
/// request at Hybridbox.
pub(crate) async fn create(base_url: &str, [count, batch, concurrency]: [usize; 3]) -> Result<()> {
    let client = client()?;
    let url = match batch {
        1 => format!("{base_url}/users/"),
        _ => format!("{base_url}/v1/public/accounts/{ACCOUNT}/mailboxes/bulk"),
    };
    let requests = (0..count).step_by(batch).map(|first| {
        let body = match batch {
            1 => one(first),
            _ => several(first..(first + batch).min(count)),
        };
        let request = client.post(&url).bearer_auth("bench").header("content-type", "application/json").body(body);
        async move { request.send().await?.error_for_status()?.bytes().await }
    });
    let mut answers = stream::iter(requests).buffer_unordered(concurrency);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

fn one(number: usize) -> String {
    let email = format!("user{number:07}@bulk.example");
    json!({ "domain_name": "bulk.example", "email": email, "password": password(number) }).to_string()
}

fn several(numbers: std::ops::Range<usize>) -> String {
    let item = |n| json!({ "first_name": "Ada", "last_name": "Byron", "local_part": format!("user{n:07}") });
    json!({ "domain": "bulk.example", "items": numbers.map(item).collect::<Vec<_>>() }).to_string()
}

fn password(number: usize) -> String {
    format!("Pass-{number:07}-word")
}

/// Returns the rows of so many mailboxes as CSV for EmBoux, or for Hybridbox.
pub(crate) fn rows(count: usize, provider: ProviderId) -> String {
    let takes_password = provider == ProviderId::Emboux;
    let head = if takes_password { "address,password\n" } else { "address,first_name,last_name\n" };
    let mut text = head.to_owned();
    for n in 0..count {
        let _ = match takes_password {
            true => writeln!(text, "user{n:07}@bulk.example,{}", password(n)),
            false => writeln!(text, "user{n:07}@bulk.example,Ada,Byron"),
        };
    }
    text
}

/// Returns the same requests as a config file for curl.
pub(crate) fn curl_config(base_url: &str, count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let body = one(n).replace('"', "\\\"");
        let _ = write!(
            text,
            "{}url = \"{base_url}/users/\"\nheader = \"Authorization: Bearer bench\"\n\
             header = \"Content-Type: application/json\"\ndata = \"{body}\"\noutput = \"/dev/null\"\nfail\n",
            if n == 0 { "" } else { "next\n" }
        );
    }
    text
}

/// `engine BASE_URL FILE CONCURRENCY [FOLDER]`: what mbx does with a file, from the library, told to nobody; with a
/// journal in a folder or without one.
pub(crate) async fn engine(base_url: &str, file: &str, concurrency: usize, folder: Option<&str>) -> Result<()> {
    let mut account = Account::new(ProviderId::Emboux, base_url, "bench".into());
    account.pace.concurrency = concurrency;
    account.gate = Gate::new(account.pace).into();
    let provider = adapters::open(&account)?;
    let mut input = Input::open(file, Verb::Create.columns(), Vec::new(), Select::default())?;
    let survey = input.survey(|_| Vec::new())?;
    let header = Header {
        format: FORMAT,
        boot: this_boot(),
        account: AccountMark::default(),
        run: format!("bench-{}", std::process::id()),
        started: jiff::Timestamp::now(),
        verb: Verb::Create,
        provider: ProviderId::Emboux.to_string(),
        profile: account.profile.clone(),
        file: input.path.clone(),
        digest: survey.digest,
        rows: survey.rows,
        options: RunOptions::default(),
    };
    let journal = folder.map(|folder| Journal::begin(folder.as_ref(), &header)).transpose()?;
    let interrupt = Interrupt::default();
    let ends = RunIo {
        input: &input,
        size: (survey.rows, survey.domains),
        journal: journal.as_ref(),
        sink: None,
        record: None,
        interrupt: &interrupt,
        notice: &|_| (),
    };
    let options = Options {
        verb: Verb::Create,
        concurrency,
        on_existing: OnExisting::Fail,
        missing_is_fine: false,
        only_looks: false,
        max_failures: None,
        dry_run: false,
        poll: Duration::ZERO,
    };
    let report = bulk::run(&provider, ends, options, &mut |_, _| {}).await?;
    if report.summary.of(Outcome::Created) == survey.rows { Ok(()) } else { Err(format!("{report:?}").into()) }
}
