//! What a user meets: password sources and sinks, re-running, waiting, dry runs, several profiles, refusals.

use mbx::http::Method;
use mbx::provider::{EmptyDomain, ProviderId};
use mbx::sandbox::{Answer, Fault, Sandbox};

use crate::program::Mbx;
use crate::support::Ctx;

const HELLO: &str = "hello@example.com";

async fn on_emboux() -> (Sandbox, Mbx) {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux").env("MBX_OUTPUT", "json");
    (sandbox, mbx)
}

fn held(sandbox: &Sandbox) -> Vec<String> {
    sandbox.addresses(ProviderId::Emboux).into_iter().filter(|a| !a.ends_with("full.example")).collect()
}

#[tokio::test]
async fn a_password_comes_from_four_places_and_arrives_as_it_is() {
    let (sandbox, mbx) = on_emboux().await;
    let mbx = mbx.env("NEW_PASSWORD", "from the variable");
    mbx.file("password", "from the file\n");
    let file = mbx.home.path().join("password");
    mbx.run(&["create", "a@example.com", "--password-env", "NEW_PASSWORD"]).await.ok();
    mbx.run(&["create", "b@example.com", "--password-file", &file.to_string_lossy()]).await.ok();
    mbx.run_with_input(&["create", "c@example.com", "--password-stdin"], " from the pipe \r\n").await.ok();
    let made = mbx.run(&["create", "d@example.com", "--generate-password", "--show-password"]).await.ok().json();
    let generated = made["password"].as_str().expect("it is shown");
    for (address, password) in [
        ("a@example.com", "from the variable"),
        ("b@example.com", "from the file"),
        ("c@example.com", " from the pipe "),
        ("d@example.com", generated),
    ] {
        assert!(sandbox.password_is(ProviderId::Emboux, address, password), "{address}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_password_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (sandbox, mbx) = on_emboux().await;
    let file = mbx.file("password", "secret-of-all");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("its mode is set");
    let ran = mbx.run(&["create", HELLO, "--password-file", &file.to_string_lossy()]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.error()["hint"].as_str().unwrap_or_default().contains("chmod 600"));
    assert!(held(&sandbox).is_empty());
}

#[tokio::test]
async fn a_generated_password_goes_to_a_new_private_file_before_the_request() {
    let (sandbox, mbx) = on_emboux().await;
    let out = mbx.home.path().join("new-password");
    let create = ["create", HELLO, "--generate-password", "--password-out", &out.to_string_lossy()];
    let made = mbx.run(&create).await.ok().json();
    assert!(made.get("password").is_none());
    let password = std::fs::read_to_string(&out).expect("the file is there");
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, password.trim_end()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&out).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // It is never overwritten: the second run sends nothing.
    sandbox.take_seen();
    assert_eq!(mbx.run(&create).await.code, 17);
    assert!(sandbox.take_seen().is_empty());
    assert_eq!(std::fs::read_to_string(&out).expect("the file is there"), password);
}

#[tokio::test]
async fn a_password_file_of_a_refused_create_is_removed_again() {
    let (_sandbox, mbx) = on_emboux().await;
    let out = mbx.home.path().join("new-password");
    let out = out.to_string_lossy();
    let full = mbx.run(&["create", "x@full.example", "--generate-password", "--password-out", &out]).await;
    assert_eq!((full.code, full.error()["code"].as_str()), (10, Some("limit")));
    assert!(!std::path::Path::new(&*out).exists());
}

#[tokio::test]
async fn a_password_of_an_unsettled_create_is_kept() {
    let (sandbox, mbx) = on_emboux().await;
    let out = mbx.home.path().join("new-password");
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Cut));
    // The look before the request is answered, those after it are not.
    assert_eq!(mbx.run(&["get", HELLO]).await.code, 6);
    let look = sandbox.take_seen().len();
    sandbox.fault(Fault::instead(Method::GET, "/", Answer::Cut).skip(look));
    let ran = mbx.run(&["create", HELLO, "--generate-password", "--password-out", &out.to_string_lossy()]).await;
    assert_eq!((ran.code, ran.error()["effect"].as_str()), (15, Some("unknown")));
    let password = std::fs::read_to_string(&out).expect("the file is there");
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, password.trim_end()));
}

#[tokio::test]
async fn a_password_command_that_fails_stops_the_create() {
    let (sandbox, mbx) = on_emboux().await;
    let out = mbx.home.path().join("given");
    let tee = format!("tee '{}'", out.display());
    mbx.run(&["create", HELLO, "--generate-password", "--password-command", &tee]).await.ok();
    let given = std::fs::read_to_string(&out).expect("the command got it");
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, given.trim_end()));
    sandbox.take_seen();
    let ran = mbx.run(&["create", "b@example.com", "--generate-password", "--password-command", "false"]).await;
    assert_eq!(ran.code, 17);
    assert!(sandbox.take_seen().is_empty());
}

#[tokio::test]
async fn a_generated_password_must_go_somewhere() {
    let (_sandbox, mbx) = on_emboux().await;
    let ran = mbx.run(&["create", HELLO, "--generate-password"]).await;
    assert_eq!((ran.code, ran.error()["code"].as_str()), (2, Some("usage")));
    let ran = mbx.run(&["create", HELLO]).await;
    assert_eq!((ran.code, ran.error()["code"].as_str()), (17, Some("refused")));
}

#[tokio::test]
async fn a_create_can_be_run_again() {
    let (sandbox, mbx) = on_emboux().await;
    let mbx = mbx.env("NEW_PASSWORD", "first-Passw0rd").env("OTHER", "second-Passw0rd");
    let run = async |rest: &[&str]| mbx.run(&[&["create", HELLO, "--password-env"], rest].concat()).await;
    assert_eq!(run(&["NEW_PASSWORD"]).await.ok().json()["outcome"], "created");
    assert_eq!(run(&["NEW_PASSWORD"]).await.code, 7);
    let again = run(&["OTHER", "--if-exists", "ok", "--show-password"]).await.ok().json();
    assert_eq!((again["outcome"].as_str(), again.get("password")), (Some("exists"), None));
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, "first-Passw0rd"));
    // No password is demanded for one that exists, and a refusal comes before any of this.
    let kept = mbx.run(&["create", HELLO, "--if-exists", "ok"]).await.ok().json();
    assert_eq!(kept["outcome"], "exists");
    let odd = mbx.run(&["create", HELLO, "--if-exists", "ok", "--first-name", "Ada"]).await;
    assert_eq!((odd.code, odd.error()["code"].as_str()), (9, Some("unsupported")));
    assert_eq!(mbx.run(&["create", "new@example.com", "--if-exists", "ok"]).await.code, 17);
    assert_eq!(held(&sandbox), [HELLO]);
}

/// A7.
#[tokio::test]
async fn the_password_of_a_mailbox_that_exists_is_set_only_by_name() {
    let (sandbox, mbx) = on_emboux().await;
    let mbx = mbx.env("NEW_PASSWORD", "first-Passw0rd").env("OTHER", "second-Passw0rd");
    mbx.run(&["create", HELLO, "--password-env", "NEW_PASSWORD"]).await.ok();
    let out = mbx.home.path().join("password").to_string_lossy().into_owned();
    let update = ["create", HELLO, "--if-exists", "update", "--quota", "3G"];
    let generate = ["--generate-password", "--show-password", "--password-out", &out];
    let row = mbx.run(&[&update[..], &generate].concat()).await.ok().json();
    assert_eq!((row["outcome"].as_str(), row.get("password")), (Some("updated"), None));
    assert!(!std::path::Path::new(&out).exists(), "no password was made");
    let row = mbx.run(&update).await.ok().json();
    assert_eq!(row["outcome"], "unchanged", "and no password was demanded");
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, "first-Passw0rd"));
    let set = ["--set-password", "--show-password", "--password-env", "OTHER"];
    let row = mbx.run(&[&update[..], &set].concat()).await.ok().json();
    assert_eq!((&row["outcome"], &row["password_state"]), (&"updated".into(), &"accepted".into()));
    assert!(sandbox.password_is(ProviderId::Emboux, HELLO, "second-Passw0rd"));
    // A mailbox that is created has one password either way.
    let new = ["create", "new@example.com", "--if-exists", "update", "--set-password", "--password-env", "OTHER"];
    assert_eq!(mbx.run(&new).await.ok().json()["outcome"], "created");
    assert_eq!(mbx.run(&["create", HELLO, "--set-password", "--password-env", "OTHER"]).await.code, 2);
}

#[tokio::test]
async fn a_bad_address_is_exit_8_before_a_profile_is_opened() {
    let mbx = Mbx::new();
    for (line, message) in [
        ("get nobody", "\"nobody\" is not a mailbox address: it has no @"),
        ("create a@b", "\"a@b\" is not a mailbox address: \"b\" is not a domain name"),
        ("list --domain x", "\"x\" is not a domain: \"x\" is not a domain name"),
        ("domain get x", "\"x\" is not a domain: \"x\" is not a domain name"),
        ("alias create @x a@example.com", "\"@x\" is not an alias address: \"x\" is not a domain name"),
        ("alias create b@example.com x", "\"x\" is not a mailbox address: it has no @"),
        ("credential create ci --domain x", "\"x\" is not a domain: \"x\" is not a domain name"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        let ran = mbx.run(&[&words[..], &["-o", "json"]].concat()).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (8, ""), "{ran:?}");
        let error = ran.error();
        assert_eq!((&error["code"], &error["message"]), (&"invalid".into(), &message.into()), "{line}");
        let ran = mbx.run(&words).await;
        assert_eq!((ran.code, ran.stderr), (8, format!("error: {message}\n")));
    }
}

#[tokio::test]
async fn a_delete_asks_for_confirmation_and_can_be_run_again() {
    let (sandbox, mbx) = on_emboux().await;
    let mbx = mbx.env("NEW_PASSWORD", "first-Passw0rd");
    mbx.run(&["create", HELLO, "--password-env", "NEW_PASSWORD"]).await.ok();
    sandbox.take_seen();
    assert_eq!(mbx.run(&["delete", HELLO]).await.code, 17);
    assert!(sandbox.take_seen().is_empty());
    assert_eq!(mbx.run(&["delete", HELLO, "--yes"]).await.ok().json()["outcome"], "deleted");
    assert_eq!(mbx.run(&["delete", HELLO, "--yes"]).await.code, 6);
    let absent = mbx.run(&["delete", HELLO, "--yes", "--if-missing", "ok"]).await.ok();
    assert_eq!(absent.json()["outcome"], "absent");
    assert!(held(&sandbox).is_empty());
}

#[tokio::test]
async fn a_dry_run_shows_the_request_and_changes_nothing() {
    let (sandbox, mbx) = on_emboux().await;
    let ran = mbx.run(&["create", HELLO, "--generate-password", "--show-password", "--dry-run"]).await.ok();
    let row = ran.json();
    assert_eq!(row["outcome"], "planned");
    let request = row["extra"]["request"].as_str().expect("the request is shown");
    assert!(request.starts_with("POST ") && request.contains("(redacted)"), "{request}");
    assert!(sandbox.take_seen().iter().all(|seen| seen.method == Method::GET), "a preview may read");
}

#[tokio::test]
async fn the_formats_carry_the_same_list() {
    let (_sandbox, mbx) = on_emboux().await;
    let mbx = mbx.env("NEW_PASSWORD", "first-Passw0rd");
    for address in ["b@example.com", "a@example.com"] {
        mbx.run(&["create", address, "--password-env", "NEW_PASSWORD"]).await.ok();
    }
    let list = async |rest: &[&str]| mbx.run(&[&["list", "--domain", "example.com"], rest].concat()).await.ok().stdout;
    assert_eq!(list(&["-o", "value"]).await, "b@example.com\na@example.com\n");
    assert_eq!(list(&["-o", "value", "--sort", "address"]).await, "a@example.com\nb@example.com\n");
    assert_eq!(list(&["-o", "value", "--sort", "-id", "--limit", "1"]).await, "a@example.com\n");
    assert_eq!(list(&["-o", "csv", "--columns", "address,id"]).await, "address,id\nb@example.com,1\na@example.com,2\n");
    assert_eq!(list(&["-o", "csv", "--columns", "id", "--no-headers"]).await, "1\n2\n");
    assert_eq!(list(&["-o", "jsonl"]).await.lines().count(), 2);
    let table = list(&["-o", "table"]).await;
    assert!(table.starts_with("ADDRESS         PROVIDER   STATUS   QUOTA   CREATED\n"), "{table}");
    let wrong = mbx.run(&["list", "--columns", "adress"]).await;
    assert_eq!((wrong.code, wrong.error()["code"].as_str()), (2, Some("usage")));
}

/// A25.
#[tokio::test]
async fn an_empty_domain_is_not_found_or_has_a_note_that_says_why_it_may_be() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    for id in ProviderId::ALL {
        let ran = mbx.run(&["list", "--domain", "elsewhere.example", "-p", id.as_str()]).await;
        match mbx::adapters::spec(id).rules.empty_domain {
            EmptyDomain::IsOpen(why) => {
                assert!(ran.code == 0 && ran.stderr.contains("nothing of elsewhere.example"), "{ran:?}");
                assert!(ran.stderr.contains(why), "{ran:?}");
            }
            EmptyDomain::IsThere | EmptyDomain::MustBeRead => {
                assert_eq!((ran.code, ran.stderr.contains("elsewhere.example")), (6, true), "{id}: {ran:?}")
            }
        }
    }
}

/// A12, A30.
#[tokio::test]
async fn an_alias_with_other_targets_is_a_conflict_whose_hint_helps() {
    for id in [ProviderId::Emboux, ProviderId::Mailinabox, ProviderId::Hybridbox] {
        let ctx = Ctx::new(id).await;
        for address in ["a@example.com", "b@example.com"] {
            ctx.create(address).await;
        }
        let mbx = Mbx::on(&ctx.sandbox).env("MBX_PROVIDER", id.as_str()).env("MBX_OUTPUT", "json");
        let create = |target| ["alias", "create", "info@example.com", target, "--if-exists"];
        let run = async |target, what| mbx.run(&[&create(target)[..], &[what]].concat()).await;
        assert_eq!(run("a@example.com", "ok").await.ok().json()["outcome"], "created", "{id}");
        assert_eq!(run("a@example.com", "ok").await.ok().json()["outcome"], "exists", "{id}");
        let same = run("a@example.com", "fail").await;
        assert_eq!(same.code, 7, "{same:?}");
        assert!(same.stderr.contains("--if-exists ok"), "{same:?}");
        for what in ["ok", "fail"] {
            let other = run("b@example.com", what).await;
            assert_eq!((other.code, other.stdout.as_str()), (7, ""), "{other:?}");
            let error = other.error();
            let (message, hint) = (error["message"].as_str().expect("a text"), error["hint"].as_str().expect("a hint"));
            assert!(message.contains("delivers to a@example.com"), "{message}");
            assert!(!hint.contains("--if-exists"), "{hint}");
            let command = hint.split('`').nth(1).and_then(|command| command.strip_prefix("mbx ")).expect("a command");
            mbx.run(&command.split(' ').collect::<Vec<_>>()).await.ok();
            let now = if hint.contains("alias delete") { "created" } else { "exists" };
            assert_eq!(run("a@example.com", "ok").await.ok().json()["outcome"], now, "{id}: {hint}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_cut_has_a_note() {
    let (_sandbox, mbx) = on_emboux().await;
    let ran = mbx.run(&["list", "--limit", "2", "-o", "csv"]).await.ok();
    assert_eq!(ran.stdout.lines().count(), 3);
    assert!(ran.stderr.contains("--limit 2 cut the list"), "{}", ran.stderr);
}

#[tokio::test]
async fn several_profiles_are_listed_together() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::new().env("KEY", "sandbox");
    let (one, two) = (sandbox.base_url(ProviderId::Emboux), sandbox.base_url(ProviderId::Qboxmail));
    let text = format!(
        "[profiles.one]\nprovider = \"emboux\"\nbase_url = \"{one}\"\nsecret = {{ env = \"KEY\" }}\n\
         [profiles.two]\nprovider = \"qboxmail\"\nbase_url = \"{two}\"\nsecret = {{ env = \"KEY\" }}\nallow_unverified = true\n"
    );
    let file = mbx.file(".config/mbx/config.toml", &text);
    let ran = mbx.run(&["list", "--all-profiles", "--domain", "full.example", "-o", "json"]).await.ok();
    let profiles: Vec<_> = ran.json().as_array().expect("a list").iter().map(|row| row["profile"].clone()).collect();
    assert_eq!(profiles, ["one", "one", "one", "two", "two", "two"]);
    std::fs::write(file, text.replace("allow_unverified = true", "")).expect("the file is written");
    let ran = mbx.run(&["list", "-P", "one", "-P", "two", "--domain", "full.example", "-o", "json"]).await;
    assert_eq!(ran.code, 14);
    assert_eq!(ran.json().as_array().map(Vec::len), Some(3), "what could be read is shown");
    assert!(ran.error()["message"].as_str().unwrap_or_default().contains("profile two"), "{ran:?}");
    assert_eq!(mbx.run(&["get", "-P", "one", "-P", "two", "one@full.example"]).await.code, 2);
}

#[tokio::test]
async fn a_mailbox_that_is_being_set_up_is_waited_for() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "litemail").env("MBX_OUTPUT", "json");
    assert_eq!(mbx.run(&["create", "a@example.com"]).await.ok().json()["status"], "pending");
    assert_eq!(mbx.run(&["create", "b@example.com", "--wait"]).await.ok().json()["status"], "active");
    let late = mbx.run(&["create", "c@example.com", "--wait=active", "--timeout", "0s"]).await;
    assert_eq!((late.code, late.error()["code"].as_str()), (16, Some("timeout")));
    assert_eq!(late.json()["outcome"], "created", "what was created is shown all the same");
}

#[tokio::test]
async fn a_missing_secret_names_what_would_help() {
    let mbx = Mbx::new();
    let ran = mbx.run(&["list", "-p", "emboux"]).await;
    assert_eq!(ran.code, 3);
    for word in ["MBX_EMBOUX_API_KEY", "`secret` in a profile", "--sandbox"] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    let ran = mbx.run(&["list", "-p", "litemail"]).await;
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("MBX_LITEMAIL_BASE_URL"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_provider_list_is_the_matrix() {
    let ran = Mbx::new().run(&["provider", "list", "-o", "json"]).await.ok();
    let rows = ran.json();
    let rows = rows.as_array().expect("a list");
    assert_eq!(rows.len(), mbx::provider::Op::ALL.len());
    for (row, op) in rows.iter().zip(mbx::provider::Op::ALL) {
        for id in ProviderId::ALL {
            assert_eq!(row[id.as_str()], (mbx::adapters::spec(id).support)(op).word());
        }
    }
}

#[tokio::test]
async fn the_example_configuration_is_good() {
    let mbx = Mbx::new();
    let text = std::fs::read_to_string("config.example.toml").expect("it is there");
    let file = mbx.file("config.toml", &text);
    let ran = mbx.run(&["profile", "list", "-o", "json", "--config", &file.to_string_lossy()]).await.ok();
    let providers: Vec<_> = ran.json().as_array().expect("a list").iter().map(|row| row["provider"].clone()).collect();
    for id in ProviderId::ALL {
        assert!(providers.contains(&id.as_str().into()), "{id} has no example");
        for setting in mbx::adapters::spec(id).settings {
            assert!(text.contains(&format!("{} = ", setting.key)), "{} has no example", setting.key);
        }
    }
    let keys =
        ["ca_file", "default", "headers", "pace", "totp", "allow_unverified", "sandbox", "command", "file", "env"];
    for key in keys {
        assert!(text.contains(&format!("{key} = ")), "{key} has no example");
    }
}

#[tokio::test]
async fn completions_are_made_for_each_shell_whatever_the_configuration() {
    let mbx = Mbx::new();
    mbx.file(".config/mbx/config.toml", "broken");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = mbx.run(&["completions", shell]).await.ok().stdout;
        assert!(script.contains("mbx") && script.contains("passwd"), "{shell}");
    }
}

#[tokio::test]
async fn bash_completes_verbs_and_values() {
    let mbx = Mbx::new();
    let script = mbx.file("mbx.bash", &mbx.run(&["completions", "bash"]).await.ok().stdout);
    for (words, wanted) in [
        ("mbx cr", "create credential"),
        ("mbx list --provider hyb", "hybridbox"),
        ("mbx provider show lite", "litemail"),
        ("mbx alias create --if-exists o", "ok"),
        ("mbx list -o j", "json jsonl"),
    ] {
        let ask = format!(
            "COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
            _mbx mbx \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo ${{COMPREPLY[@]}}"
        );
        let line = format!(". {}\n{ask}", script.display());
        let output = tokio::process::Command::new("bash").args(["-c", &line]).output().await.expect("it runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), wanted, "{words}: {output:?}");
    }
}

#[tokio::test]
async fn a_column_that_is_none_is_refused_before_anything_is_sent() {
    let (sandbox, mbx) = on_emboux().await;
    for wrong in ["--columns=foo", "--sort=foo", "--output=value --columns=address,id"] {
        let line = format!("create {HELLO} --generate-password --show-password {wrong}");
        let ran = mbx.run(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(ran.code, 2, "{ran:?}");
    }
    assert!(sandbox.take_seen().is_empty());
}

#[tokio::test]
async fn what_is_configured_holds_for_errors_too() {
    let mbx = Mbx::new();
    mbx.file(".config/mbx/config.toml", "[defaults]\noutput = \"json\"\n[profiles.a]\nprovider = \"emboux\"");
    let ran = mbx.run(&["list"]).await;
    assert_eq!((ran.code, ran.error()["profile"].as_str()), (3, Some("a")));
    let ran = mbx.run(&["list", "-o", "table"]).await;
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    for (variable, value) in [("MBX_OUTPUT", "yaml"), ("MBX_COLOR", "pink")] {
        let ran = Mbx::new().env(variable, value).run(&["config", "show"]).await;
        assert!(ran.code == 3 && ran.stderr.contains(variable), "{ran:?}");
    }
}

#[tokio::test]
async fn every_value_is_shown_with_its_origin() {
    let mbx = Mbx::new().env("MBX_LITEMAIL_API_KEY", "k").env("MBX_COLOR", "never");
    mbx.file(".config/mbx/config.toml", "default_profile = \"a\"\n[profiles.a]\nprovider = \"emboux\"\nsandbox = true");
    let shown = mbx.run(&["config", "show", "-o", "csv"]).await.ok().stdout;
    for line in [
        "default_profile,a,file,",
        "output,csv,flag,",
        "color,never,variable MBX_COLOR,",
        "sandbox,true,profile,a",
        "allow_unverified,true,built in,a",
        "secret,(set) from the variable MBX_LITEMAIL_API_KEY,variable MBX_LITEMAIL_API_KEY,env",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
}

#[tokio::test]
async fn control_characters_leave_in_no_format() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    let name = "a\u{1b}[31m\u{202e}\u{9b}";
    mbx.run(&["create", HELLO, "-p", "hybridbox", "--first-name", name, "--last-name", "=1+1"]).await.ok();
    for format in ["table", "json", "jsonl", "csv", "value"] {
        let mut line = vec!["get", HELLO, "-p", "hybridbox", "-o", format];
        if !format.starts_with("json") {
            line.extend(["--columns", "first_name"]);
        }
        let ran = mbx.run(&line).await.ok();
        assert!(ran.stdout.contains("[31m"), "{ran:?}");
        assert!(!ran.stdout.contains(['\u{1b}', '\u{9b}']), "{ran:?}");
        // What turns text is data to a program, and shown escaped to people.
        assert_eq!(ran.stdout.contains('\u{202e}'), ["csv", "value"].contains(&format), "{ran:?}");
        if format == "json" {
            assert_eq!(ran.json()["first_name"], name);
        }
    }
    let guarded = mbx.run(&["get", HELLO, "-p", "hybridbox", "-o", "csv", "--columns", "last_name"]).await.ok();
    assert_eq!(guarded.stdout, "last_name\n'=1+1\n");
}

#[tokio::test]
async fn the_first_page_is_shown_before_the_second_arrives() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    for format in ["jsonl", "value", "csv"] {
        let sandbox = Sandbox::start().await.expect("the sandbox starts");
        let mbx = Mbx::on(&sandbox);
        // With the three that are there from the start, more than the ten of a page.
        for n in 0..8 {
            let line = format!("create u{n}@example.com -p hybridbox --first-name Ada --last-name Byron");
            mbx.run(&line.split(' ').collect::<Vec<_>>()).await.ok();
        }
        sandbox.fault(Fault::instead(Method::GET, "/mailboxes", Answer::Hang).skip(1));
        let mut command = mbx.command(&["list", "-p", "hybridbox", "-o", format]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let mut shown = Vec::new();
        for _ in 0..10 {
            shown.push(lines.next_line().await.expect("it is read").expect("a line"));
        }
        assert!(shown[9].contains('@'), "{format}: {shown:?}");
        assert!(child.try_wait().expect("it can be asked").is_none(), "it waits for the second page");
        child.kill().await.expect("it hangs, and is ended");
    }
}

#[tokio::test]
async fn what_a_provider_does_not_say_is_sorted_last() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox);
    mbx.run(&["create", HELLO, "-p", "litemail"]).await.ok();
    for key in ["first_name", "-first_name"] {
        let listed = mbx.run(&["list", "-p", "litemail", "-o", "value", "--sort", key]).await.ok().stdout;
        assert_eq!(listed.lines().last(), Some(HELLO), "{key}: {listed}");
    }
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly() {
    let shell = format!("{} provider list -o jsonl | head -n 1; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_mbx"));
    let output = tokio::process::Command::new("bash").args(["-c", &shell]).output().await.expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("\n0\n"), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
