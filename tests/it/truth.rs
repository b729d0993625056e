//! Single commands and lost answers, as a user meets them: the exit code, the object, and whether the password that is
//! claimed or kept in a file is the one that opens the mailbox.

use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::Value;

use crate::program::{Mbx, Ran};
use crate::support::{Ctx, PASSWORD, facts, needed};

const ADA: &str = "ada@example.com";

/// The program on a provider's sandbox, with a file for passwords that are generated.
struct Scene {
    id: ProviderId,
    sandbox: Sandbox,
    mbx: Mbx,
}

impl Scene {
    async fn new(id: ProviderId) -> Self {
        Scene::on(id, Sandbox::start().await.expect("the sandbox starts"))
    }

    fn on(id: ProviderId, sandbox: Sandbox) -> Self {
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", id.as_str()).env("MBX_OUTPUT", "json");
        Scene { id, sandbox, mbx }
    }

    /// The same with a mailbox that somebody else created, with a password of its own.
    async fn with_ada(id: ProviderId) -> Self {
        let ctx = Ctx::new(id).await;
        ctx.create(ADA).await;
        ctx.sandbox.take_seen();
        Scene::on(id, ctx.sandbox)
    }

    fn takes_password(&self) -> bool {
        mbx::adapters::spec(self.id).rules.takes_password()
    }

    fn out(&self) -> String {
        self.mbx.home.path().join("password").to_string_lossy().into_owned()
    }

    /// Returns the password that was kept, if its file was.
    fn kept(&self) -> Option<String> {
        std::fs::read_to_string(self.out()).ok().map(|text| text.trim_end().to_owned())
    }

    /// Returns the words that create a mailbox.
    fn create_words(&self, address: &str) -> Vec<String> {
        let names = needed(self.id).into_iter().filter(|(column, _)| *column != "password");
        let flags = names.flat_map(|(column, cell)| [format!("--{}", column.replace('_', "-")), cell.to_owned()]);
        let mut words: Vec<_> = ["create", address].map(str::to_owned).into_iter().chain(flags).collect();
        if self.takes_password() {
            words.extend(["--generate-password", "--show-password", "--password-out", &self.out()].map(str::to_owned));
        }
        words
    }

    async fn create(&self, address: &str) -> Ran {
        let words = self.create_words(address);
        self.mbx.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Returns how many reads come before the request that creates a mailbox.
    async fn reads_before(&self) -> usize {
        // A domain without mailboxes may take a read more.
        for address in ["first@example.com", "second@example.com"] {
            self.sandbox.take_seen();
            self.create(address).await.ok();
            let _ = std::fs::remove_file(self.out());
        }
        let seen = self.sandbox.take_seen();
        let before = seen
            .iter()
            .take_while(|seen| !seen.path.contains(facts(self.id).create_path) || seen.method != Method::POST);
        before.filter(|seen| seen.method == Method::GET).count()
    }

    /// Returns how many reads a look takes that fails each time.
    async fn failing_reads(&self) -> usize {
        self.sandbox.fault(Fault::instead(Method::GET, "/", Answer::status(500)));
        assert_eq!(self.mbx.run(&["get", ADA]).await.code, 13);
        self.sandbox.forgive();
        self.sandbox.take_seen().iter().filter(|seen| seen.method == Method::GET).count()
    }

    fn creates(&self) -> usize {
        let seen = self.sandbox.take_seen();
        seen.iter().filter(|seen| seen.method == Method::POST && seen.path.contains(facts(self.id).create_path)).count()
    }

    /// Asserts that a mailbox was created, and that what is said of its password is true.
    #[track_caller]
    fn assert_ours(&self, ran: &Ran, address: &str) -> Value {
        assert_eq!(ran.code, 0, "{}: {ran:?}", self.id);
        let row = ran.json();
        assert_eq!(row["outcome"], "created", "{}: {row}", self.id);
        assert!(row["notes"].to_string().contains("the answer was lost"), "{row}");
        if self.takes_password() {
            assert_eq!(row["password_state"], "assumed", "{row}");
            self.assert_opens(address, &row);
        }
        row
    }

    /// Asserts that the password of a row is the one in the file, and that it opens the mailbox.
    #[track_caller]
    fn assert_opens(&self, address: &str, row: &Value) {
        let password = row["password"].as_str().expect("it is shown");
        assert_eq!(self.kept().as_deref(), Some(password));
        assert!(self.sandbox.password_is(self.id, address, password), "{}: {row}", self.id);
    }

    /// Asserts that nothing is claimed: exit 15, the object on standard output, one line on standard error.
    #[track_caller]
    fn assert_unknown(&self, ran: &Ran) -> Value {
        assert_eq!(ran.code, 15, "{}: {ran:?}", self.id);
        let (row, error) = (ran.json(), ran.error());
        assert_eq!((&row["outcome"], &error["effect"]), (&"unknown".into(), &"unknown".into()), "{ran:?}");
        assert_eq!((&row["address"], &error["code"]), (&ADA.into(), &"unknown".into()), "{ran:?}");
        assert!(error["hint"].is_string(), "{ran:?}");
        if self.takes_password() {
            assert_eq!(row["password_state"], "possibly_in_use", "{row}");
            assert_eq!(row["password"].as_str(), self.kept().as_deref(), "{row}");
        }
        row
    }

    /// Asserts that the mailbox is said to have existed: nothing of a password is shown or kept.
    #[track_caller]
    fn assert_existed(&self, ran: &Ran) {
        assert_eq!((ran.code, ran.stdout.as_str()), (7, ""), "{}: {ran:?}", self.id);
        let error = ran.error();
        assert_eq!((&error["code"], &error["effect"]), (&"conflict".into(), &"none".into()));
        assert_eq!(self.kept(), None, "a password that was certainly not used");
    }
}

fn lost() -> [Answer; 3] {
    [Answer::Cut, Answer::html(502), Answer::status(504)]
}

/// A3: a mailbox that was there is not created, whatever happens to the refusal.
#[tokio::test]
async fn a_mailbox_that_exists_is_a_conflict_although_the_refusal_is_lost() {
    for id in ProviderId::ALL {
        for answer in lost() {
            let scene = Scene::with_ada(id).await;
            scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, answer));
            scene.assert_existed(&scene.create(ADA).await);
            if scene.takes_password() {
                assert!(scene.sandbox.password_is(id, ADA, PASSWORD));
            }
        }
    }
}

/// C1: the look before fails, the refusal is lost, and a later look finds a mailbox that somebody else created.
#[tokio::test]
async fn a_mailbox_that_nobody_looked_for_before_is_not_claimed() {
    for id in ProviderId::ALL {
        for answer in lost() {
            let scene = Scene::with_ada(id).await;
            let reads = scene.failing_reads().await;
            scene.sandbox.fault(Fault::instead(Method::GET, "/", Answer::status(500)).times(reads));
            scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, answer));
            let ran = scene.create(ADA).await;
            assert!(scene.creates() > 0, "{id}: nothing was sent");
            if ran.code == 15 {
                scene.assert_unknown(&ran);
            } else {
                scene.assert_existed(&ran);
            }
            if scene.takes_password() {
                assert!(scene.sandbox.password_is(id, ADA, PASSWORD), "it keeps its password");
            }
        }
    }
}

/// C2: the answer is 504 at once, and the mailbox is created two seconds later.
#[tokio::test]
async fn a_mailbox_that_is_created_after_the_answer_was_lost_has_the_password_that_was_kept() {
    for id in [ProviderId::Emboux, ProviderId::Qboxmail, ProviderId::Mailinabox] {
        // With the waits that a user has, and without any.
        for waits in ["0", "1"] {
            let mut scene = Scene::new(id).await;
            scene.mbx.set("MBX_NO_WAIT", waits);
            let late = Duration::from_secs(2);
            scene.sandbox.fault(Fault::before(Method::POST, facts(id).create_path, Answer::status(504), late));
            let ran = scene.create(ADA).await;
            tokio::time::sleep(late + Duration::from_millis(500)).await;
            let row = match ran.code {
                15 => scene.assert_unknown(&ran),
                _ => scene.assert_ours(&ran, ADA),
            };
            scene.assert_opens(ADA, &row);
        }
    }
}

/// C3: the provider's creation times lie an hour behind its own Date header.
#[tokio::test]
async fn a_creation_time_that_seems_too_early_does_not_disown_what_was_just_created() {
    for id in [ProviderId::Hybridbox, ProviderId::Emboux, ProviderId::Qboxmail] {
        let scene = Scene::new(id).await;
        let reads = scene.reads_before().await;
        scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, Answer::Cut).times(1));
        scene.sandbox.fault(Fault::after(Method::GET, "/", Answer::Delay(Duration::from_millis(400))).skip(reads));
        let ran = async { scene.create(ADA).await };
        let clock = async {
            while scene.creates() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            scene.sandbox.run_clock(id);
        };
        let (ran, ()) = tokio::join!(ran, clock);
        scene.assert_ours(&ran, ADA);
    }
}

/// C6: a redirect in reply to a write comes after the write was carried out.
#[tokio::test]
async fn a_redirect_in_reply_to_a_write_is_a_lost_answer() {
    for id in ProviderId::ALL {
        for status in [302, 303] {
            let scene = Scene::new(id).await;
            let answer = Answer::redirect(status, "/elsewhere");
            scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, answer).times(1));
            scene.assert_ours(&scene.create(ADA).await, ADA);
        }
    }
    for (id, method, path) in [
        (ProviderId::Emboux, Method::PUT, "/users/"),
        (ProviderId::Qboxmail, Method::PUT, "/email_accounts/"),
        (ProviderId::Mailinabox, Method::POST, "/mail/users/password"),
    ] {
        let scene = Scene::with_ada(id).await;
        scene.sandbox.fault(Fault::after(method, path, Answer::redirect(302, "/elsewhere")));
        let out = scene.out();
        let passwd = ["passwd", ADA, "--generate-password", "--show-password", "--password-out", &out];
        let row = scene.assert_unknown(&scene.mbx.run(&passwd).await);
        scene.assert_opens(ADA, &row);
    }
}

/// C11: the answer to a create names another mailbox, so that it says nothing about ours.
#[tokio::test]
async fn an_answer_that_names_another_address_is_a_lost_answer() {
    let scene = Scene::new(ProviderId::Emboux).await;
    let body = br#"{"id":7,"domain_id":1,"email":"bob@example.com","created_at":"2026-01-05T09:00:00"}"#.to_vec();
    let answer = Answer::Raw { status: 201, headers: Vec::new(), body };
    scene.sandbox.fault(Fault::after(Method::POST, facts(scene.id).create_path, answer).times(1));
    let ran = scene.create(ADA).await;
    scene.assert_ours(&ran, ADA);
    assert!(!ran.stdout.contains("bob@example.com"), "{ran:?}");
}

/// C12: 408 after the mailbox was created; a repeat is refused as a conflict, and no look succeeds.
#[tokio::test]
async fn a_conflict_that_our_own_request_caused_is_not_taken_for_somebody_elses() {
    for id in ProviderId::ALL {
        let scene = Scene::new(id).await;
        scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, Answer::status(408)).times(1));
        scene.assert_ours(&scene.create(ADA).await, ADA);
        let scene = Scene::new(id).await;
        let reads = scene.reads_before().await;
        scene.sandbox.fault(Fault::after(Method::POST, facts(id).create_path, Answer::status(408)).times(1));
        scene.sandbox.fault(Fault::instead(Method::GET, "/", Answer::status(500)).skip(reads));
        let ran = scene.create(ADA).await;
        let row = scene.assert_unknown(&ran);
        if scene.takes_password() {
            scene.assert_opens(ADA, &row);
        }
    }
}

/// A17: the password of a mailbox that may exist is shown, in every format.
#[tokio::test]
async fn a_password_that_may_be_in_use_is_shown() {
    for format in ["table", "json", "jsonl", "csv"] {
        let scene = Scene::new(ProviderId::Emboux).await;
        let reads = scene.reads_before().await;
        scene.sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut));
        scene.sandbox.fault(Fault::instead(Method::GET, "/", Answer::Cut).skip(reads));
        let line =
            ["create", ADA, "--generate-password", "--show-password", "--password-out", &scene.out(), "-o", format];
        let ran = scene.mbx.run(&line).await;
        assert_eq!(ran.code, 15, "{ran:?}");
        let password = scene.kept().expect("it was kept");
        assert!(scene.sandbox.password_is(scene.id, ADA, &password));
        assert!(ran.stdout.contains(&password) && ran.stdout.contains("possibly_in_use"), "{ran:?}");
        assert!(ran.stdout.contains("unknown") && ran.stderr.contains("it is not known whether"), "{ran:?}");
    }
}

/// A14: the second request of a change is lost, done or not.
#[tokio::test]
async fn a_change_whose_second_request_is_lost_is_done_or_says_what_is_known() {
    let id = ProviderId::Mailinabox;
    let change = ["update", ADA, "--quota", "5G", "--admin=false"];
    for (fault, code) in [
        (Fault::after(Method::POST, "/privileges/remove", Answer::Cut).times(1), 0),
        (Fault::instead(Method::POST, "/privileges/remove", Answer::Cut).times(1), 0),
        (Fault::instead(Method::POST, "/privileges/remove", Answer::Cut), 15),
    ] {
        let scene = Scene::with_ada(id).await;
        scene.mbx.run(&["update", ADA, "--admin"]).await.ok();
        scene.sandbox.fault(fault);
        let ran = scene.mbx.run(&change).await;
        assert_eq!(ran.code, code, "{ran:?}");
        let now = scene.mbx.run(&["get", ADA]).await.ok().json();
        assert_eq!(now["quota"]["limit"], 5_u64 << 30, "the first change is there");
        assert_eq!(now["admin"], code != 0);
        match code {
            0 => assert_eq!(ran.json()["outcome"], "updated"),
            _ => assert_eq!((&ran.json()["outcome"], &ran.error()["effect"]), (&"unknown".into(), &"unknown".into())),
        }
    }
}

/// A13: mbx looks after the lost answer to the creation or deletion of an alias.
#[tokio::test]
async fn lost_answers_about_an_alias_are_settled_by_a_look() {
    for (id, create, delete) in [
        (ProviderId::Emboux, (Method::POST, "/aliases"), (Method::DELETE, "/aliases")),
        (ProviderId::Mailinabox, (Method::POST, "/aliases/add"), (Method::POST, "/aliases/remove")),
    ] {
        for answer in lost() {
            let scene = Scene::with_ada(id).await;
            scene.sandbox.fault(Fault::after(create.0.clone(), create.1, answer.clone()).times(1));
            let made = scene.mbx.run(&["alias", "create", "info@example.com", ADA]).await.ok().json();
            assert_eq!(made["outcome"], "created");
            assert!(made["notes"].to_string().contains("the answer was lost"), "{id}: {made}");
            let list = async || scene.mbx.run(&["alias", "list", "example.com", "-o", "value"]).await.ok().stdout;
            assert!(list().await.contains("info@example.com"));
            scene.sandbox.fault(Fault::after(delete.0.clone(), delete.1, answer).times(1));
            let gone = scene.mbx.run(&["alias", "delete", "info@example.com"]).await.ok().json();
            assert_eq!(gone["outcome"], "deleted");
            assert!(gone["notes"].to_string().contains("the answer was lost"), "{id}: {gone}");
            assert!(!list().await.contains("info@example.com"));
        }
    }
}
