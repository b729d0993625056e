//! What a person at a terminal meets, in a terminal: hidden prompts, questions, colour, a table that fits.

use mbx::provider::ProviderId;
use mbx::sandbox::Sandbox;
use rexpect::session::{PtySession, spawn_command};

use crate::program::Mbx;

/// Runs a shell line in a terminal; it ends by printing the exit code.
fn at_a_terminal(mbx: &Mbx, line: &str) -> PtySession {
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
fn with_sandbox(test: impl FnOnce(&Sandbox, Mbx)) {
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
            // The shell goes on after Ctrl-C, so that it can say how the program ended.
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
