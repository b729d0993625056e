//! A sample of what can happen to an answer, over sockets: each provider, each trouble and each scene, with the clocks and
//! the listings varied from cell to cell. Each claim is compared with what the sandbox holds, and each password that is
//! claimed is tried there. The histories of the state machine are tried one by one in `histories`.

use std::time::Duration;

use mbx::error::{Effect, Kind};
use mbx::http::Method;
use mbx::model::{Alias, AliasSource, Bytes, MailboxChange, PasswordState};
use mbx::output::Outcome;
use mbx::provider::case::OnExisting;
use mbx::provider::{ProviderId, Settled};
use mbx::sandbox::{Answer, Fault, Other, Times};

use crate::support::{Ctx, PASSWORD, at, facts};

const ADA: &str = "ada@example.com";
const INFO: &str = "info@example.com";

/// What happens to the answer of the first request, and whether the provider acts on it.
const TROUBLES: [(&str, bool); 18] = [
    ("cut", true),
    ("cut", false),
    ("502", true),
    ("502", false),
    ("504", true),
    ("504", false),
    ("408", true),
    ("408", false),
    ("303", true),
    ("303", false),
    ("empty", true),
    ("empty", false),
    ("error in a 200", false),
    ("another address", true),
    ("another address", false),
    ("html", true),
    ("html", false),
    ("cut JSON", true),
];

/// How the provider shows its times: the Date header, and creation times.
const CLOCKS: [Times; 5] = [
    Times { date_ahead: Some(0), creation_ahead: 0, hides_creation: false },
    Times { date_ahead: None, creation_ahead: 0, hides_creation: false },
    Times { date_ahead: Some(3600), creation_ahead: 0, hides_creation: false },
    Times { date_ahead: Some(0), creation_ahead: 24 * 3600, hides_creation: false },
    Times { date_ahead: Some(0), creation_ahead: 0, hides_creation: true },
];

/// How late the provider lists what is new.
const LATE: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(60)];

/// Who else has to do with the thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// It is not there.
    Absent,
    /// It was there before.
    There,
    /// Somebody else creates or deletes it between our look and our request.
    Meanwhile,
}

const SCENES: [Scene; 3] = [Scene::Absent, Scene::There, Scene::Meanwhile];

/// One cell of the matrix, on a sandbox of its own.
struct Cell {
    ctx: Ctx,
    name: String,
    scene: Scene,
    late: Duration,
}

impl Cell {
    /// Asserts that a password is claimed only if it is the one that opens the mailbox.
    #[track_caller]
    fn assert_password(&self, password: Option<PasswordState>) {
        let opens = self.ctx.sandbox.password_is(self.ctx.id, ADA, PASSWORD);
        match password {
            Some(PasswordState::Accepted | PasswordState::Assumed) => assert!(opens, "{}: it does not open", self.name),
            Some(PasswordState::PossiblyInUse) => {}
            None => assert!(!opens, "{}: it opens, and is called unused", self.name),
        }
    }

    fn count(&self, address: &str) -> usize {
        self.ctx.sandbox.addresses(self.ctx.id).iter().filter(|held| *held == address).count()
    }

    fn takes_password(&self) -> bool {
        self.ctx.spec.rules.takes_password()
    }
}

fn answer(trouble: &str) -> Answer {
    let raw = |status, body: &str| Answer::Raw {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.into(),
    };
    match trouble {
        "cut" => Answer::Cut,
        "502" => Answer::html(502),
        "504" => Answer::status(504),
        "408" => Answer::status(408),
        "303" => Answer::redirect(303, "/elsewhere"),
        "empty" => Answer::status(200),
        "error in a 200" => raw(200, r#"{"success":false,"error":"internal error","message":"try again"}"#),
        "another address" => raw(201, r#"{"id":7,"email":"bob@example.com","source":"bob@example.com"}"#),
        "html" => Answer::html(200),
        _ => Answer::Truncated,
    }
}

/// The request of one operation.
#[derive(Clone)]
struct Sent {
    method: Method,
    path: &'static str,
    /// Whether an empty 2xx is what the provider's documents show, so that it cannot be told from a lie.
    is_silent: bool,
}

const fn sent(method: Method, path: &'static str) -> Sent {
    Sent { method, path, is_silent: false }
}

const fn silent(method: Method, path: &'static str) -> Sent {
    Sent { method, path, is_silent: true }
}

/// Makes every cell of one operation: what is there is made by `there`, what somebody else does meanwhile by `other`.
async fn cells(id: ProviderId, request: Sent, scenes: &[Scene], there: impl AsyncFn(&Ctx), other: Other) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (trouble, acts) in TROUBLES {
        if request.is_silent && ["empty", "another address"].contains(&trouble) {
            continue;
        }
        for scene in scenes {
            // Primes to each other, so that all pairs come up over the providers.
            let number = cells.len() + id as usize;
            let (clock, late) = (CLOCKS[number % CLOCKS.len()], LATE[number % LATE.len()]);
            let ctx = Ctx::new(id).await;
            if *scene == Scene::There {
                there(&ctx).await;
            }
            ctx.sandbox.run_clock(id);
            ctx.sandbox.show_times(id, clock);
            if !late.is_zero() {
                ctx.sandbox.list_late(id, late);
            }
            let fault = if acts { Fault::after } else { Fault::instead };
            let mut fault = fault(request.method.clone(), request.path, answer(trouble)).times(1);
            if *scene == Scene::Meanwhile {
                fault = fault.meanwhile(other.clone());
            }
            ctx.sandbox.fault(fault);
            let name = format!("{id}: {trouble}, acts {acts}, {scene:?}, {clock:?}, late {late:?}");
            cells.push(Cell { ctx, name, scene: *scene, late });
        }
    }
    cells
}

/// Returns the outcome; an error says in its effect and kind what it is.
fn outcome<T>(settled: &Settled<T>) -> Outcome {
    match &settled.result {
        Ok((outcome, _)) => *outcome,
        Err(error) if error.effect == Effect::Unknown => Outcome::Unknown,
        Err(error) if error.kind == Kind::Conflict => Outcome::Exists,
        Err(error) if error.kind == Kind::NotFound => Outcome::Absent,
        Err(_) => Outcome::Failed,
    }
}

fn create_request(id: ProviderId) -> Sent {
    sent(Method::POST, facts(id).create_path)
}

#[tokio::test]
async fn a_create_claims_what_is_true() {
    for id in ProviderId::ALL {
        let there = async |ctx: &Ctx| ctx.sandbox.add_mailbox(id, ADA);
        let other = Other::CreatesMailbox(ADA.to_owned());
        for cell in cells(id, create_request(id), &SCENES, there, other).await {
            let settled = cell.ctx.provider.create(&cell.ctx.mailbox(ADA), OnExisting::Fail).await;
            let (outcome, name) = (outcome(&settled), &cell.name);
            assert!(cell.count(ADA) <= 1, "{name}: made twice");
            match (cell.scene, outcome) {
                (Scene::Absent, Outcome::Created) => assert_eq!(cell.count(ADA), 1, "{name}"),
                (Scene::Absent, Outcome::Failed) => assert_eq!(cell.count(ADA), 0, "{name}"),
                // A listing may be late, and a second request would make two where none is refused.
                (Scene::Absent, Outcome::Unknown) => {
                    let can_decide = cell.late.is_zero() && cell.ctx.spec.rules.refuses_existing;
                    assert!(!can_decide, "{name}: needlessly unknown");
                }
                // A refusal that is cut short does not show its reason.
                (Scene::There | Scene::Meanwhile, Outcome::Failed) => assert_eq!(settled.password, None, "{name}"),
                (Scene::There, Outcome::Exists) => {}
                // Our own seconds: only a log-in could tell whose it is.
                (Scene::Meanwhile, Outcome::Created) => {
                    if cell.takes_password() {
                        assert_eq!(settled.password, Some(PasswordState::Assumed), "{name}");
                    }
                    continue;
                }
                (Scene::Meanwhile, Outcome::Exists | Outcome::Unknown) => {}
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
            if cell.takes_password() {
                cell.assert_password(settled.password);
            }
        }
    }
}

#[tokio::test]
async fn a_delete_claims_what_is_true() {
    for (id, request) in [
        (ProviderId::Hybridbox, silent(Method::DELETE, "/mailboxes/")),
        (ProviderId::Emboux, silent(Method::DELETE, "/users/")),
        (ProviderId::Qboxmail, silent(Method::DELETE, "/email_accounts/")),
        (ProviderId::Mailinabox, sent(Method::POST, "/mail/users/remove")),
    ] {
        let there = async |ctx: &Ctx| drop(ctx.create(ADA).await);
        let other = Other::DeletesMailbox(ADA.to_owned());
        for cell in cells(id, request, &[Scene::Absent, Scene::There], there, other).await {
            let settled = cell.ctx.provider.delete(&at(ADA)).await;
            let (outcome, name) = (outcome(&settled), &cell.name);
            match (cell.scene, outcome) {
                (Scene::Absent, Outcome::Absent | Outcome::Failed) => {}
                (Scene::There, Outcome::Deleted) => assert_eq!(cell.count(ADA), 0, "{name}"),
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
        }
    }
}

/// Returns the requests that set a password or a quota.
fn changes(password: bool) -> Vec<(ProviderId, Sent)> {
    if password {
        return vec![
            (ProviderId::Emboux, silent(Method::PUT, "/users/")),
            (ProviderId::Qboxmail, silent(Method::PUT, "/email_accounts/")),
            (ProviderId::Mailinabox, sent(Method::POST, "/mail/users/password")),
        ];
    }
    vec![
        (ProviderId::Emboux, silent(Method::PUT, "/quota")),
        (ProviderId::Qboxmail, silent(Method::PUT, "/email_accounts/")),
        (ProviderId::Mailinabox, sent(Method::POST, "/mail/users/quota")),
    ]
}

#[tokio::test]
async fn a_password_is_claimed_where_it_opens() {
    for (id, request) in changes(true) {
        let there = async |ctx: &Ctx| ctx.sandbox.add_mailbox(id, ADA);
        let other = Other::DeletesMailbox(ADA.to_owned());
        for cell in cells(id, request, &[Scene::Absent, Scene::There], there, other).await {
            let settled = cell.ctx.provider.change_password(&at(ADA), &PASSWORD.into()).await;
            let (outcome, name) = (outcome(&settled), &cell.name);
            match (cell.scene, outcome) {
                (Scene::Absent, Outcome::Absent | Outcome::Failed | Outcome::Unknown)
                | (Scene::There, Outcome::Updated | Outcome::Unknown) => cell.assert_password(settled.password),
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_change_claims_what_is_true() {
    const QUOTA: u64 = 7 << 30;
    for (id, request) in changes(false) {
        let there = async |ctx: &Ctx| ctx.sandbox.add_mailbox(id, ADA);
        let other = Other::DeletesMailbox(ADA.to_owned());
        for cell in cells(id, request, &[Scene::Absent, Scene::There], there, other).await {
            let change = MailboxChange { quota: Some(Bytes(QUOTA)), ..MailboxChange::default() };
            let settled = cell.ctx.provider.update(&at(ADA), &change).await;
            let (outcome, name) = (outcome(&settled), &cell.name);
            cell.ctx.sandbox.forgive();
            let held = cell.ctx.bare().get_mailbox(&at(ADA)).await.ok().and_then(|mailbox| mailbox.quota);
            match (cell.scene, outcome) {
                (Scene::Absent, Outcome::Absent | Outcome::Failed) => {}
                (Scene::There, Outcome::Updated) => assert_eq!(held.and_then(|q| q.limit), Some(QUOTA), "{name}"),
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_alias_claims_what_is_true() {
    let source: AliasSource = INFO.parse().expect("a good source");
    for (id, create, delete) in [
        (ProviderId::Emboux, sent(Method::POST, "/aliases"), silent(Method::DELETE, "/aliases")),
        (ProviderId::Mailinabox, sent(Method::POST, "/aliases/add"), sent(Method::POST, "/aliases/remove")),
    ] {
        let there = async |ctx: &Ctx| {
            ctx.sandbox.let_other(id, &Other::CreatesAlias(INFO.to_owned(), "bob@example.com".to_owned()));
        };
        let other = Other::CreatesAlias(INFO.to_owned(), "bob@example.com".to_owned());
        for cell in cells(id, create, &SCENES, there, other).await {
            cell.ctx.create(ADA).await;
            let new = Alias::to(source.clone(), vec![at(ADA)]);
            let settled = cell.ctx.provider.add_alias(&new, OnExisting::Fail).await;
            cell.ctx.sandbox.forgive();
            let held = cell.ctx.provider.find_alias(&source).await.expect("it is read");
            let is_ours = held.is_some_and(|held| held.targets.contains(&at(ADA)));
            let (outcome, name) = (outcome(&settled), &cell.name);
            match outcome {
                Outcome::Created => assert!(is_ours, "{name}"),
                Outcome::Exists => assert!(!is_ours && cell.scene != Scene::Absent, "{name}"),
                Outcome::Failed => assert!(!is_ours, "{name}"),
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
        }
        let other = Other::DeletesAlias(INFO.to_owned());
        for cell in cells(id, delete, &SCENES, there, other).await {
            let settled = cell.ctx.provider.remove_alias(&source).await;
            cell.ctx.sandbox.forgive();
            let held = cell.ctx.provider.find_alias(&source).await.expect("it is read");
            let (outcome, name) = (outcome(&settled), &cell.name);
            match (cell.scene, outcome) {
                // A refusal that is cut short does not show its reason.
                (Scene::There, Outcome::Deleted)
                | (Scene::Absent | Scene::Meanwhile, Outcome::Absent | Outcome::Failed) => {
                    assert!(held.is_none(), "{name}");
                }
                _ => panic!("{name}: {outcome:?}, {settled:?}"),
            }
        }
    }
}
