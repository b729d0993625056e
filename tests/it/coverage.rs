//! What mbx does with each route of each provider's API. The files in `coverage/` say it, one line a route; the tests here
//! prove the lines against what the adapters send, and `docs/providers/coverage.md` is written from them.
//!
//! A line is `METHOD PATH | documented or unverified | use`. The use is one of
//! - names of operations, with a condition after `;` where only some requests need the route;
//! - `every operation`, with a condition in the same way;
//! - `later: …`: a verb of mbx is planned for it;
//! - `not offered: …`: mbx does not send it, and why;
//! - `raw call: …`: no verb of mbx is planned for it, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mbx::adapters::{self, Account};
use mbx::http::Method;
use mbx::model::{Alias, AliasSource, MailboxChange};
use mbx::provider::{Op, Provider, ProviderId};
use mbx::sandbox::{Answer, Fault, Seen};

use crate::cases::{ADA, call, new_credential, quota};
use crate::replay::{SEED, TOTP_USER};
use crate::support::{Ctx, account, at, can};

const PAGE: &str = "docs/providers/coverage.md";

const INTRODUCTION: &str = "\
# What mbx does with each route

`tests/it/coverage/` holds these lines, and `tests/it/coverage.rs` proves them: it runs every operation on the sandbox, and
compares each request with the line of its route. `TRYCMD=overwrite cargo test --test it coverage` writes this page.

The routes are those of the contract from which each adapter is written. A route is *documented* where a page of the vendor,
or for Mail-in-a-Box a running server, shows its method and its path; else it is *unverified*. What mbx does with a route is
one of:

- *names of operations*, as in the README's matrix: these operations send it. A condition follows where only some send it.
- *later*: mbx does not send it yet; the verb that is planned for it follows.
- *not offered*: mbx does not send it, and why.
- *raw call*: no verb is planned for it, and why. `mbx api`, which is planned, will send any route.

| provider | routes | in all | used | later | not offered | raw call |
|---|---|---|---|---|---|---|
";

/// One route of a provider's API.
struct Route {
    method: &'static str,
    path: &'static str,
    is_documented: bool,
    usage: Usage,
    /// The last part of its line.
    words: &'static str,
}

/// What mbx does with a route.
enum Usage {
    Used(Vec<Op>),
    Later,
    NotOffered,
    RawCall,
}

impl Route {
    fn parse(id: ProviderId, line: &'static str) -> Result<Route, String> {
        let [route, mark, words] = line.split(" | ").collect::<Vec<_>>()[..] else {
            return Err("it does not have three parts".to_owned());
        };
        let (method, path) = route.split_once(' ').ok_or("it has no method")?;
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) || !path.starts_with('/') || path.contains(' ')
        {
            return Err(format!("{route:?} is not a method and a path"));
        }
        let is_documented = match mark {
            "documented" => true,
            "unverified" => false,
            _ => return Err(format!("{mark:?} is neither `documented` nor `unverified`")),
        };
        let usage = match words.split_once(": ") {
            Some((_, why)) if why.trim().is_empty() => return Err("it has no reason".to_owned()),
            Some(("later", _)) => Usage::Later,
            Some(("not offered", _)) => Usage::NotOffered,
            Some(("raw call", _)) => Usage::RawCall,
            Some((kind, _)) => return Err(format!("{kind:?} is no use")),
            None => Usage::Used(operations(id, words.split(';').next().unwrap_or_default())?),
        };
        Ok(Route { method, path, is_documented, usage, words })
    }

    /// Returns whether a request is one of this route. A parameter stands for one segment of the path.
    fn takes(&self, method: &str, path: &str) -> bool {
        let fits = |(own, sent): (&str, &str)| own == sent || (own.starts_with('{') && !sent.is_empty());
        self.method == method
            && self.path.split('/').count() == path.split('/').count()
            && self.path.split('/').zip(path.split('/')).all(fits)
    }
}

/// Reads names of operations. `every operation` stands for all that the provider can do.
fn operations(id: ProviderId, names: &str) -> Result<Vec<Op>, String> {
    if names == "every operation" {
        return Ok(Op::ALL.into_iter().filter(|op| can(id, *op)).collect());
    }
    let find = |name| Op::ALL.into_iter().find(|op| op.name() == name).ok_or(format!("{name:?} is no operation"));
    names.split(", ").map(find).collect()
}

/// Returns every route of a provider.
fn routes(id: ProviderId) -> Vec<Route> {
    let text = match id {
        ProviderId::Hybridbox => include_str!("coverage/hybridbox.txt"),
        ProviderId::Emboux => include_str!("coverage/emboux.txt"),
        ProviderId::Litemail => include_str!("coverage/litemail.txt"),
        ProviderId::Qboxmail => include_str!("coverage/qboxmail.txt"),
        ProviderId::Mailinabox => include_str!("coverage/mailinabox.txt"),
    };
    let parse = |line| Route::parse(id, line).unwrap_or_else(|why| panic!("{id}: {line}: {why}"));
    let routes: Vec<_> = text.lines().map(parse).collect();
    let mut names = BTreeSet::new();
    assert!(!routes.is_empty(), "{id} has no routes");
    for route in &routes {
        assert!(names.insert((route.method, route.path)), "{id}: {} {} is there twice", route.method, route.path);
    }
    routes
}

/// Returns the accounts that make an adapter send all it knows: one with its settings left alone, and others.
fn accounts(ctx: &Ctx) -> Vec<Account> {
    let plain = || account(&ctx.sandbox, ctx.id);
    let mut accounts = vec![plain()];
    match ctx.id {
        ProviderId::Litemail => {
            let settings = [("create_route".to_owned(), "legacy".to_owned())].into();
            accounts.push(Account { settings, ..plain() });
        }
        ProviderId::Mailinabox => {
            accounts.push(Account { user: Some(TOTP_USER.to_owned()), totp: Some(SEED.into()), ..plain() });
        }
        ProviderId::Hybridbox | ProviderId::Emboux | ProviderId::Qboxmail => {}
    }
    accounts
}

/// Returns the requests of an operation: on what is there, twice, so that the second finds it changed already; and on
/// what is not there.
async fn requests(id: ProviderId, op: Op, which_account: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    for is_there in [true, false] {
        let ctx = Ctx::new(id).await;
        // LiteMail removes unused domains only.
        if is_there && op != Op::DeleteDomain {
            ctx.create(ADA).await;
        }
        let account = &accounts(&ctx)[which_account];
        let provider = adapters::bare(account).expect("the account opens").1;
        let sources: Vec<AliasSource> = [(Op::CreateAlias, "sales@example.com"), (Op::CreateCatchAll, "@example.com")]
            .into_iter()
            .filter(|(create, _)| op == Op::DeleteAlias && can(id, *create))
            .map(|(_, source)| source.parse().expect("a good source"))
            .collect();
        let mut credential = String::new();
        if is_there {
            for source in &sources {
                ctx.bare().create_alias(&Alias::to(source.clone(), vec![at(ADA)])).await.expect("it is created");
            }
            if op == Op::DeleteCredential {
                let made = ctx.bare().create_credential(&new_credential()).await.expect("it is created");
                credential = made.id.expect("it has an id");
            }
        }
        if !is_there && id == ProviderId::Qboxmail {
            // A list that is empty may answer 404; then the adapter looks whether the domain is there.
            let body = br#"{"message":"Not found","errors":[]}"#.to_vec();
            let missing = Answer::Raw { status: 404, headers: Vec::new(), body };
            ctx.sandbox.fault(Fault::instead(Method::GET, "/alias_email_accounts", missing));
        }
        ctx.sandbox.take_seen();
        for is_first in [true, false] {
            let done = match op {
                Op::DeleteAlias => {
                    let mut done = Ok(());
                    for source in &sources {
                        done = done.and(provider.delete_alias(source).await.map(drop));
                    }
                    done
                }
                Op::DeleteCredential => provider.delete_credential(&credential).await.map(drop),
                _ => call(provider.as_ref(), &ctx, op).await,
            };
            if is_first && is_there {
                done.unwrap_or_else(|error| panic!("{id} is to {}, and failed: {error:#?}", op.phrase()));
            }
        }
        if is_there {
            vary(provider.as_ref(), &ctx, op).await;
        }
        provider.close().await;
        all.extend(ctx.sandbox.take_seen());
    }
    all
}

/// Asks for an operation with other arguments, where these take other requests.
async fn vary(provider: &dyn Provider, ctx: &Ctx, op: Op) {
    match op {
        Op::CreateMailbox => {
            let mut new = ctx.mailbox("all@example.com");
            new.quota = ctx.can(Op::SetQuota).then(|| quota(ctx));
            new.admin = ctx.can(Op::SetAdmin).then_some(true);
            provider.create_mailbox(&new).await.expect("the mailbox is created");
        }
        Op::SetAdmin => {
            let change = MailboxChange { first_name: None, last_name: None, quota: None, admin: Some(false) };
            provider.update_mailbox(&at(ADA), &change).await.expect("the mailbox is no administrator any more");
        }
        _ => {}
    }
}

/// Returns, for each route of a provider, the operations that sent it.
async fn sent(id: ProviderId, routes: &[Route]) -> BTreeMap<usize, Vec<Op>> {
    let mut sent: BTreeMap<usize, Vec<Op>> = BTreeMap::new();
    let ctx = Ctx::new(id).await;
    let base = url::Url::parse(&ctx.sandbox.base_url(id)).expect("a good address");
    for op in Op::ALL.into_iter().filter(|op| can(id, *op)) {
        for which_account in 0..accounts(&ctx).len() {
            for seen in requests(id, op, which_account).await {
                let (method, path) = (seen.method.as_str(), seen.path.strip_prefix(base.path()).expect("it is below"));
                let fits = |(_, route): &(usize, &Route)| route.takes(method, path);
                // A parameter would take a word of another route, too.
                let parameters = |(_, route): &(usize, &Route)| route.path.matches('{').count();
                let found = routes.iter().enumerate().filter(fits).min_by_key(parameters);
                let (index, _) = found.unwrap_or_else(|| panic!("{id} has no route {method} {path}: {op:?} sent it"));
                let ops = sent.entry(index).or_default();
                if !ops.contains(&op) {
                    ops.push(op);
                }
            }
        }
    }
    sent
}

/// Asserts that the routes that are said to be used are those that are sent, each by the operations it names.
async fn assert_true(id: ProviderId) {
    let routes = routes(id);
    let sent = sent(id, &routes).await;
    let mut wrong = Vec::new();
    for (index, Route { method, path, usage, .. }) in routes.iter().enumerate() {
        let sent: Vec<&str> = sent.get(&index).into_iter().flatten().map(|op| op.name()).collect();
        let said: Vec<&str> = match usage {
            Usage::Used(ops) => ops.iter().map(|op| op.name()).collect(),
            Usage::Later | Usage::NotOffered | Usage::RawCall => Vec::new(),
        };
        if sent != said {
            wrong.push(format!("{method} {path} is sent by: {}", sent.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "the lines of {id} say otherwise:\n{}", wrong.join("\n"));
}

/// Writes what the lines say, for people.
fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut tables = String::new();
    for id in ProviderId::ALL {
        let routes = routes(id);
        let title = adapters::spec(id).title;
        for (mark, is_documented) in [("documented", true), ("unverified", false)] {
            let marked: Vec<_> = routes.iter().filter(|route| route.is_documented == is_documented).collect();
            let count = |fits: fn(&Usage) -> bool| marked.iter().filter(|route| fits(&route.usage)).count();
            if marked.is_empty() {
                continue;
            }
            let used = count(|usage| matches!(usage, Usage::Used(_)));
            let later = count(|usage| matches!(usage, Usage::Later));
            let not_offered = count(|usage| matches!(usage, Usage::NotOffered));
            let raw = count(|usage| matches!(usage, Usage::RawCall));
            let total = marked.len();
            writeln!(page, "| {title} | {mark} | {total} | {used} | {later} | {not_offered} | {raw} |")
                .expect("a string takes it");
        }
        write!(tables, "\n## {title}\n\n| route | documented? | what mbx does with it |\n|---|---|---|\n")
            .expect("a string takes it");
        for Route { method, path, is_documented, words, .. } in &routes {
            let mark = if *is_documented { "yes" } else { "unverified" };
            writeln!(tables, "| `{method} {path}` | {mark} | {words} |").expect("a string takes it");
        }
    }
    page + &tables
}

/// Accepts the lines as `TRYCMD=overwrite` accepts the README's matrix.
#[test]
fn the_page_says_what_the_lines_say() {
    let page = page();
    if std::env::var("TRYCMD").is_ok_and(|mode| mode == "overwrite") {
        std::fs::write(PAGE, &page).expect("the page is written");
    }
    let written = std::fs::read_to_string(PAGE).expect("it is there");
    assert!(written == page, "{PAGE} is out of date: `TRYCMD=overwrite cargo test --test it coverage` writes it");
}

#[test]
fn a_line_that_says_nothing_is_refused() {
    let lines = [
        "GET /users | documented",
        "LIST /users | documented | list mailboxes",
        "GET users | documented | list mailboxes",
        "GET /users | likely | list mailboxes",
        "GET /users | documented | list mailbox",
        "GET /users | documented | never: it is not needed",
        "GET /users | documented | later: ",
    ];
    for line in lines {
        assert!(Route::parse(ProviderId::Emboux, line).is_err(), "{line}");
    }
}

#[tokio::test]
async fn hybridbox_sends_what_its_lines_say() {
    assert_true(ProviderId::Hybridbox).await;
}

#[tokio::test]
async fn emboux_sends_what_its_lines_say() {
    assert_true(ProviderId::Emboux).await;
}

#[tokio::test]
async fn litemail_sends_what_its_lines_say() {
    assert_true(ProviderId::Litemail).await;
}

#[tokio::test]
async fn qboxmail_sends_what_its_lines_say() {
    assert_true(ProviderId::Qboxmail).await;
}

#[tokio::test]
async fn mailinabox_sends_what_its_lines_say() {
    assert_true(ProviderId::Mailinabox).await;
}
