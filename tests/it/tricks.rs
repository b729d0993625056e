//! A thousand things that a server says and should not: nothing moves the cursor of a terminal, hides text or turns its
//! direction, and no cell is a formula.

use mbx::http::Method;
use mbx::provider::ProviderId;
use mbx::sandbox::{Answer, Fault, Sandbox};
use serde_json::{Value, json};

use crate::program::Mbx;
use crate::support::PASSWORD;
use crate::terminal::{at_a_terminal, with_sandbox};

const ROWS: usize = 1000;

const TRICKS: [&str; 28] = [
    "\u{1b}[2J",
    "\u{1b}]0;owned\u{7}",
    "\u{1b}[8m",
    "\u{9b}31m",
    "\u{90}+q\u{9c}",
    "\u{85}",
    "\u{202e}",
    "\u{202a}",
    "\u{2066}",
    "\u{2068}",
    "\u{200f}",
    "\u{61c}",
    "\u{200b}",
    "\u{feff}",
    "\u{2028}",
    "\u{e0041}",
    "\r\n",
    "\r",
    "\n",
    "\t",
    "\0",
    "\u{7f}",
    "\u{8}",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\u{ff1d}1+1",
];

/// Returns the `n`th hostile text: a trick at the beginning, in the middle or at the end, and now and then a long one.
fn hostile(n: usize) -> String {
    let trick = TRICKS[n % TRICKS.len()];
    let long = if n.is_multiple_of(97) { "long".repeat(250) } else { String::new() };
    match n / TRICKS.len() % 4 {
        0 => format!("{trick}{n}{long}"),
        1 => format!("a{n}{trick}b{long}"),
        2 => format!("{long}a{n}{trick}"),
        _ => format!("{trick}{trick}\"{n}\",'{trick}"),
    }
}

/// Returns whether a character runs a terminal or ends a line.
fn runs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns whether a character hides text, turns it or worse.
fn is_harmful(c: char) -> bool {
    runs(c)
        || "\u{61c}\u{200b}\u{200e}\u{200f}\u{feff}\u{e0041}".contains(c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Asserts that nothing harmful is in a text, apart from the ends of its lines.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    // What hides or turns text belongs to the data that programs read.
    let is_harmful = if ["csv", "value"].contains(&what) { runs } else { is_harmful };
    for line in text.lines() {
        let harm = line.char_indices().find(|(_, c)| is_harmful(*c));
        assert_eq!(harm, None, "{what}: {line:?}");
    }
}

/// Asserts that the rows are harmless in every format, on a terminal and off it.
async fn assert_shown_harmlessly(mbx: &Mbx, args: &[&str]) {
    let table = mbx.run(&[args, &["-o", "table"]].concat()).await.ok().stdout;
    assert_harmless("table", &table);
    assert_eq!(table.lines().count(), ROWS + 1);
    let value = mbx.run(&[args, &["-o", "value"]].concat()).await.ok().stdout;
    assert_harmless("value", &value);
    assert_eq!(value.lines().count(), ROWS);
    let csv = mbx.run(&[args, &["-o", "csv"]].concat()).await.ok().stdout;
    assert_harmless("csv", &csv);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let records: Vec<_> = reader.records().map(|record| record.expect("it is CSV")).collect();
    assert_eq!(records.len(), ROWS);
    for cell in records.iter().flatten() {
        let is_formula =
            cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
        assert!(!is_formula, "{cell:?}");
    }
    let lines = mbx.run(&[args, &["-o", "jsonl"]].concat()).await.ok().stdout;
    assert_harmless("jsonl", &lines);
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(rows.len(), ROWS);
    let all = mbx.run(&[args, &["-o", "json"]].concat()).await.ok();
    assert_harmless("json", &all.stdout);
    // Programs get what was said, to the letter.
    assert_eq!(all.json(), Value::Array(rows));
}

/// Asserts that what a line shows on a terminal is harmless, with a line for each row at least.
fn assert_terminal_is_harmless(mbx: &Mbx, line: &str, end: &str) {
    let line = format!("NO_COLOR=1; export NO_COLOR; stty cols 100; cd; {line}");
    let shown = at_a_terminal(mbx, &line).exp_string(end).expect("it ends");
    // Each byte comes as a character of its own.
    let bytes = shown.chars().map(|c| u8::try_from(c).expect("it is a byte")).collect();
    let shown = String::from_utf8(bytes).expect("it is UTF-8");
    assert_harmless(line.as_str(), &shown);
    assert!(shown.lines().count() > ROWS, "{shown}");
}

/// Makes the list of mailboxes a hostile one.
fn say_hostile_rows(sandbox: &Sandbox) {
    let row = |n: usize| {
        let text = |shift: usize| hostile(n + shift);
        json!({
            "id": text(0), "primary_email": format!("{}@{}", text(1), text(2)), "first_name": text(3),
            "last_name": text(4), "status": text(5), "quota": text(6), "created_at": text(7), "updated_at": text(8),
            "aliases": null, "workspace_id": text(9), "workspace_name": text(10),
        })
    };
    let items: Vec<Value> = (0..ROWS).map(row).collect();
    let body = json!({ "items": items, "page": 1, "page_size": ROWS, "total": ROWS }).to_string().into_bytes();
    let headers = vec![("content-type", "application/json".to_owned())];
    sandbox.fault(Fault::instead(Method::GET, "/mailboxes", Answer::Raw { status: 200, headers, body }));
}

/// Makes every refusal of a new mailbox a hostile one, and returns a file of rows that meet them.
fn say_hostile_refusals(sandbox: &Sandbox) -> String {
    for n in 0..ROWS {
        let body = json!({ "detail": hostile(n) }).to_string().into_bytes();
        let headers = vec![("content-type", "application/json".to_owned())];
        let refusal = Answer::Raw { status: 422, headers, body };
        sandbox.fault(Fault::instead(Method::POST, "/users/", refusal).times(1));
    }
    let rows = (0..ROWS).map(|n| format!("user{n}@example.com,{PASSWORD}\n"));
    "address,password\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn a_list_and_a_report_are_harmless_on_a_terminal() {
    with_sandbox(|sandbox, mbx| {
        say_hostile_rows(sandbox);
        assert_terminal_is_harmless(&mbx, "mbx list -p hybridbox", "exit=0");
        mbx.file("people.csv", &say_hostile_refusals(sandbox));
        assert_terminal_is_harmless(&mbx, "mbx bulk create people.csv --yes -q", "exit=14");
        assert_terminal_is_harmless(&mbx, "mbx bulk show $(mbx bulk list -o value)", "exit=0");
    });
}

#[tokio::test]
async fn a_list_and_a_report_are_harmless_in_every_format() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", ProviderId::Emboux.as_str());
    say_hostile_rows(&sandbox);
    assert_shown_harmlessly(&mbx, &["list", "-p", "hybridbox"]).await;
    let file = mbx.file("people.csv", &say_hostile_refusals(&sandbox)).to_string_lossy().into_owned();
    let ran = mbx.run(&["bulk", "create", &file, "--yes", "-o", "csv"]).await;
    assert_eq!(ran.code, 14, "{}", ran.stderr);
    assert_harmless("csv", &ran.stdout);
    let run = mbx.run(&["bulk", "list", "-o", "value"]).await.ok().stdout;
    assert_shown_harmlessly(&mbx, &["bulk", "show", run.trim()]).await;
}
