//! What a person at a terminal meets, in a terminal: hidden prompts, questions, colour, a table that fits.

use std::time::Duration;

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use rexpect::session::{PtySession, spawn_command};

use crate::program::Mbx;
use crate::support::PASSWORD;

/// Runs a shell line in a terminal; it ends by printing the exit code.
pub(crate) fn at_a_terminal(mbx: &Mbx, line: &str) -> PtySession {
    let program = env!("CARGO_BIN_EXE_mbx");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("mbx() {{ '{program}' \"$@\"; }}; {line}; echo exit=$?")]).env_clear();
    let known = mbx.command(&[]);
    for (name, value) in known.as_std().get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.env("TERM", "xterm");
    spawn_command(command, Some(20_000)).expect("a terminal opens")
}

/// The sandbox runs beside the blocking terminal, in a thread of its own.
pub(crate) fn with_sandbox(test: impl FnOnce(&Sandbox, Mbx)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = runtime.block_on(Sandbox::start()).expect("the sandbox starts");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || runtime.block_on(stopped));
        let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "emboux");
        test(&sandbox, mbx);
        drop(stop);
    });
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    with_sandbox(|sandbox, mbx| {
        let mut terminal = at_a_terminal(&mbx, "mbx create hello@example.com");
        terminal.exp_string("New password for hello@example.com: ").expect("it asks");
        terminal.send_line("typed-Passw0rd").expect("it is typed");
        terminal.exp_string("Again: ").expect("it asks again");
        terminal.send_line("typed-Passw0rd").expect("it is typed");
        let shown = terminal.exp_string("exit=0").expect("it ends");
        assert!(shown.contains("hello@example.com") && !shown.contains("typed-Passw0rd"), "{shown}");
        assert!(sandbox.password_is(ProviderId::Emboux, "hello@example.com", "typed-Passw0rd"));
    });
}

#[test]
fn two_different_passwords_are_refused() {
    with_sandbox(|sandbox, mbx| {
        let mut terminal = at_a_terminal(&mbx, "mbx create hello@example.com");
        terminal.exp_string("New password").expect("it asks");
        terminal.send_line("typed-Passw0rd").expect("it is typed");
        terminal.exp_string("Again: ").expect("it asks again");
        terminal.send_line("mistyped-Passw0rd").expect("it is typed");
        terminal.exp_string("the two passwords differ").expect("it says so");
        terminal.exp_string("exit=8").expect("it ends");
        assert!(sandbox.take_seen().is_empty());
    });
}

#[test]
fn a_deletion_is_asked_about() {
    with_sandbox(|sandbox, mbx| {
        let mut terminal = at_a_terminal(&mbx, "mbx delete one@full.example");
        terminal.exp_string("delete one@full.example at EmBoux (profile env)? [y/N] ").expect("it asks");
        terminal.send_line("").expect("no answer is a no");
        terminal.exp_string("exit=17").expect("it ends");
        assert!(sandbox.addresses(ProviderId::Emboux).contains(&"one@full.example".to_owned()));
        let mut terminal = at_a_terminal(&mbx, "mbx delete one@full.example");
        terminal.exp_string("[y/N] ").expect("it asks");
        terminal.send_line("y").expect("a yes");
        terminal.exp_string("exit=0").expect("it ends");
        assert!(!sandbox.addresses(ProviderId::Emboux).contains(&"one@full.example".to_owned()));
        let mut terminal = at_a_terminal(&mbx, "mbx delete two@full.example --no-input");
        terminal.exp_string("add --yes").expect("it does not ask");
        terminal.exp_string("exit=17").expect("it ends");
    });
}

#[test]
fn ctrl_c_ends_a_question_and_leaves_the_terminal_as_it_was() {
    with_sandbox(|sandbox, mbx| {
        for (line, question) in [
            ("mbx create hello@example.com", "New password for hello@example.com: "),
            ("mbx delete one@full.example", "[y/N] "),
        ] {
            // The shell continues after Ctrl-C, so that it can say how the program ended.
            let mut terminal = at_a_terminal(&mbx, &format!("trap : INT; echo ready; {line}"));
            terminal.exp_string("ready").expect("it begins");
            terminal.exp_string(question).expect("it asks");
            terminal.send_control('c').expect("it is typed");
            terminal.exp_string("interrupted; nothing was changed").expect("it says so");
            terminal.exp_string("exit=130").expect("it ends");
        }
        assert!(sandbox.take_seen().is_empty());
    });
}

#[cfg(unix)]
#[test]
fn a_secret_command_may_ask_at_the_terminal() {
    with_sandbox(|sandbox, _| {
        let mbx = Mbx::new();
        let url = sandbox.base_url(ProviderId::Emboux);
        let script = "printf 'PIN: ' > /dev/tty; read pin < /dev/tty; echo $pin";
        mbx.file(
            ".config/mbx/config.toml",
            &format!(
                "[profiles.p]\nprovider = \"emboux\"\nbase_url = \"{url}\"\nsecret = {{ command = [\"sh\", \"-c\", \"{script}\"] }}"
            ),
        );
        let mut terminal = at_a_terminal(&mbx, "mbx list");
        terminal.exp_string("PIN: ").expect("it asks");
        terminal.send_line("sandbox").expect("it is typed");
        terminal.exp_string("exit=0").expect("it ends");
        // What is piped to mbx is not for the command, which reads the terminal all the same.
        let mut terminal = at_a_terminal(&mbx, "echo wrong | mbx list");
        terminal.exp_string("PIN: ").expect("it asks");
        terminal.send_line("sandbox").expect("it is typed");
        terminal.exp_string("exit=0").expect("it ends");
        let mut terminal = at_a_terminal(&mbx, "trap : INT; mbx list");
        terminal.exp_string("PIN: ").expect("it asks");
        terminal.send_control('c').expect("it is typed");
        terminal.exp_string("exit=130").expect("it ends");
    });
}

#[test]
fn a_question_plays_no_tricks_on_the_terminal() {
    with_sandbox(|sandbox, _| {
        let mbx = Mbx::new().env("MBX_EMBOUX_API_KEY", "sandbox");
        let url = sandbox.base_url(ProviderId::Emboux);
        let name = "p\\u202e\\u001b[31m";
        mbx.file(
            ".config/mbx/config.toml",
            &format!("[profiles.\"{name}\"]\nprovider = \"emboux\"\nbase_url = \"{url}\"\n"),
        );
        mbx.file("people.csv", "address\none@full.example\n");
        let mut terminal = at_a_terminal(&mbx, "cd; mbx bulk delete people.csv --color never");
        let asked = terminal.exp_string("[y/N] ").expect("it asks");
        assert!(asked.contains("p\\u{202e}\\u{1b}[31m"), "{asked:?}");
        assert!(!asked.contains(['\u{202e}', '\u{1b}']), "{asked:?}");
        terminal.send_line("n").expect("a no");
        terminal.exp_string("exit=17").expect("it ends");
    });
}

#[test]
fn errors_are_coloured_at_a_terminal_unless_asked_otherwise() {
    let mbx = Mbx::new();
    let shown = |line: &str| at_a_terminal(&mbx, line).exp_string("exit=3").expect("it ends");
    assert!(shown("mbx list -p emboux").contains("\u{1b}["));
    assert!(!shown("NO_COLOR=1 mbx list -p emboux").contains('\u{1b}'));
    assert!(!shown("mbx list -p emboux --color never").contains('\u{1b}'));
    assert!(!shown("TERM=dumb mbx list -p emboux").contains('\u{1b}'));
}

#[test]
fn a_table_fits_the_terminal_and_is_whole_in_a_pipe() {
    let mbx = Mbx::new();
    let mut terminal = at_a_terminal(&mbx, "stty cols 60 rows 24; mbx provider show emboux");
    let shown = terminal.exp_string("exit=0").expect("it ends");
    let widest = shown.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(widest.is_some_and(|width| width <= 60), "{widest:?}: {shown}");
    let mut terminal = at_a_terminal(&mbx, "stty cols 60 rows 24; mbx provider show emboux | cat");
    let shown = terminal.exp_string("exit=0").expect("it ends");
    assert!(shown.contains("lists the domain's mailboxes and picks one, then reads its quota"), "{shown}");
}

#[test]
fn a_value_to_copy_is_whole_in_a_narrow_terminal() {
    with_sandbox(|sandbox, mbx| {
        let address = "somebody.with.a.rather.long.name@full.example";
        let narrow = |line: &str| {
            let mut terminal = at_a_terminal(&mbx, &format!("cd; stty cols 80 rows 24; {line}"));
            terminal.exp_string("exit=0").expect("it ends").replace('\r', "")
        };
        // One thing that is wider than the terminal has a line for each of its values.
        narrow("mbx delete one@full.example --yes");
        let shown = narrow(&format!("mbx create {address} --generate-password --show-password"));
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], format!("address: {address}"), "{shown}");
        let password = lines.iter().find_map(|line| line.strip_prefix("password: ")).expect("it is shown");
        assert!(sandbox.password_is(ProviderId::Emboux, address, password), "{shown}");
        let shown = narrow(&format!("mbx get {address}"));
        assert!(shown.starts_with(&format!("address: {address}\nprovider: emboux\n")), "{shown}");
        let shown = narrow("mbx get two@full.example");
        assert!(shown.starts_with("ADDRESS "), "{shown}");
        // A list stays a table, and what does not fit is left to the terminal to continue on its next line.
        let shown = narrow("mbx domain dns example.com -p qboxmail");
        let (key, name) = ("v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB", "qboxmail._domainkey.example.com");
        assert!(shown.lines().any(|line| line.starts_with(name) && line.ends_with(key)), "{shown}");
        mbx.file("rows/of/people/with/a/rather/long/name.csv", &format!("address\n{address}\n"));
        narrow("mbx bulk delete rows/of/people/with/a/rather/long/name.csv --yes");
        let shown = narrow("mbx bulk list");
        let run = narrow("mbx bulk list -o value");
        let row = shown.lines().find(|line| line.starts_with(run.trim_end())).expect("it is listed");
        assert!(row.contains("rows/of/people/with/a/rather/long/name.csv"), "{shown}");
        let shown = narrow("mbx provider list --columns operation,hybridbox,emboux,litemail,qboxmail,mailinabox");
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|width| width <= 80) && shown.contains("unverified"), "{shown}");
    });
}

/// Returns the lines that a terminal shows at the end of what was written to it.
fn screen(written: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut left = written.chars();
    while let Some(c) = left.next() {
        match c {
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\r' => column = 0,
            '\u{1b}' => {
                assert_eq!(left.next(), Some('['));
                let mut count = String::new();
                let code = loop {
                    match left.next().expect("a code has an end") {
                        c if c.is_ascii_alphabetic() => break c,
                        c => count.push(c),
                    }
                };
                match (code, count.as_str()) {
                    ('A', count) => row -= count.parse::<usize>().unwrap_or(1),
                    ('K', "2") => lines[row].clear(),
                    ('K', "" | "0") => lines[row].truncate(column),
                    ('m', _) => {}
                    other => panic!("what does {other:?} do?"),
                }
            }
            c => {
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    let shown = lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
    shown.filter(|line| !line.is_empty()).collect()
}

/// A file of four rows of which the second fails, at half a second each, one after the other.
fn slow_run(sandbox: &Sandbox, mbx: &Mbx) -> String {
    let rows: String = (0..4).map(|n| format!("user{n}@example.com,{PASSWORD}\n")).collect();
    mbx.file("people.csv", &("address,password\n".to_owned() + &rows));
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(500))).times(1));
    sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::status(422)).times(1));
    sandbox.fault(Fault::after(Method::POST, "/users/", Answer::Delay(Duration::from_millis(700))).times(2));
    "cd; mbx bulk create people.csv --yes -j 1 --columns outcome,address".to_owned()
}

const SLOW_ROWS: [&str; 5] = [
    "OUTCOME     ADDRESS",
    "created     user0@example.com",
    "failed      user1@example.com",
    "created     user2@example.com",
    "created     user3@example.com",
];

#[test]
fn a_long_run_shows_how_far_it_is_and_leaves_nothing_but_its_rows() {
    with_sandbox(|sandbox, mbx| {
        let mut terminal = at_a_terminal(&mbx, &slow_run(sandbox, &mbx));
        let (before, bar) = terminal
            .exp_regex(r"creating \[[=> ]+\] [1-3]/4 \d+%, [\d.]+/s, \d+[smh] left, 1 failed")
            .expect("the bar is shown");
        let shown = before + &bar + &terminal.exp_string("exit=14").expect("it ends");
        let lines = screen(&shown);
        assert_eq!(lines[..5], SLOW_ROWS, "{lines:#?}");
        assert!(lines[5].starts_with("error: 3 created, 1 failed") && lines[6].starts_with("hint"), "{lines:#?}");
    });
}

#[test]
fn no_progress_is_shown_where_nobody_looks_or_nobody_wants_it() {
    for (begin, end) in [("", "2> errors"), ("", "-q"), ("", "-v"), ("", "| cat"), ("export TERM=dumb; ", "")] {
        with_sandbox(|sandbox, mbx| {
            let line = slow_run(sandbox, &mbx);
            let mut terminal = at_a_terminal(&mbx, &format!("{begin}{line} {end}; touch errors; cat errors"));
            let shown = terminal.exp_string("exit=0").expect("it ends");
            assert!(SLOW_ROWS.iter().all(|row| shown.contains(row)), "{end}: {shown}");
            assert!(!shown.contains("creating"), "{end}: {shown}");
        });
    }
}

#[test]
fn a_long_list_and_a_long_wait_show_that_something_goes_on() {
    with_sandbox(|sandbox, mbx| {
        sandbox.fault(Fault::after(Method::GET, "/", Answer::Delay(Duration::from_millis(700))));
        let create = "mbx create -p litemail ada@example.com --first-name Ada --last-name Byron --wait";
        for (line, progress, first) in [
            (create, "waiting until it is active, ", "ADDRESS"),
            ("mbx list -p litemail", "so far, ", "ADDRESS"),
            ("mbx list -p litemail -o json", "so far, ", "["),
        ] {
            let mut terminal = at_a_terminal(&mbx, line);
            let begin = terminal.exp_string(progress).expect("the progress is shown");
            let shown = begin + progress + &terminal.exp_string("exit=0").expect("it ends");
            let lines = screen(&shown);
            assert!(lines[0].starts_with(first), "{lines:#?}");
            assert!(lines.iter().any(|line| line.contains("ada@example.com")), "{lines:#?}");
        }
    });
}

#[cfg(unix)]
#[test]
fn ctrl_c_takes_the_progress_off_the_terminal() {
    with_sandbox(|sandbox, mbx| {
        let line = slow_run(sandbox, &mbx);
        let mut terminal = at_a_terminal(&mbx, &format!("trap : INT; {line}"));
        let begin = terminal.exp_string("creating [").expect("the bar is shown");
        terminal.send_control('c').expect("it is typed");
        let shown = begin + "creating [" + &terminal.exp_string("exit=130").expect("it ends");
        let lines = screen(&shown);
        let rows = lines.iter().take_while(|line| SLOW_ROWS.contains(&line.as_str())).count();
        assert!(rows >= 2 && lines[rows].starts_with("error: interrupted"), "{lines:#?}");
        assert!(!lines.concat().contains("creating"), "{lines:#?}");
    });
}
