//! Sixty addresses that want to be something else, at every verb of every provider: refused with exit code 8 and a
//! reason before anything is sent, and nothing panics.

use mbx::provider::ProviderId;
use mbx::sandbox::Sandbox;

use crate::program::Mbx;

const HOSTILE: [&str; 64] = [
    "../domains/example.com",
    "../domains/x@example.com",
    "..@example.com",
    ".@example.com",
    "./@example.com",
    "../../@example.com",
    "..%2f@example.com",
    "%2e%2e@example.com",
    "%2e%2e%2fdomains%2fexample.com",
    "a/../b@example.com",
    "a/b@example.com",
    "a\\b@example.com",
    "..\\domains\\x@example.com",
    "a?b=c@example.com",
    "?domain_id=1@example.com",
    "a#b@example.com",
    "#@example.com",
    "a%00b@example.com",
    "a%0d%0ab@example.com",
    "a\rb@example.com",
    "a\nb@example.com",
    "a\r\nX-Evil: 1@example.com",
    "a\tb@example.com",
    "a b@example.com",
    "a @example.com",
    "\u{7f}a@example.com",
    "\u{1b}[31ma@example.com",
    "a\u{202e}b@example.com",
    "a\u{200b}b@example.com",
    "ä@example.com",
    "а@example.com",
    "\u{ff0e}\u{ff0e}@example.com",
    "\"..\"@example.com",
    "\"a b\"@example.com",
    "\"a/b\"@example.com",
    "a..b@example.com",
    "a.@example.com",
    "@",
    "@@",
    "a@",
    "a@b",
    "a@b@example.com/",
    "ada@example.com/../users",
    "ada@example.com?x=1",
    "ada@example.com#x",
    "ada@example.com:80",
    "ada@[127.0.0.1]",
    "ada@127.0.0.1",
    "ada@..",
    "ada@.",
    "ada@.example.com",
    "ada@example..com",
    "ada@-example.com",
    "ada@example.com\nx",
    "ada@exa mple.com",
    "ada@example.com%2f..",
    "ada@ex\\ample.com",
    "ada@example\u{3002}\u{3002}com",
    "<ada@example.com>",
    "Ada <ada@example.com>",
    "ada@example.com,bob@example.com",
    "ada@example.com;bob@example.com",
    "javascript:alert(1)@example.com",
    "",
];

/// A verb's options, and the good addresses before and after the hostile one.
type Verb = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const VERBS: [Verb; 10] = [
    (&["create", "--first-name=A", "--last-name=B", "--password-env=NEW_PASSWORD"], &[], &[]),
    (&["get"], &[], &[]),
    (&["update", "--quota=2G"], &[], &[]),
    (&["passwd", "--password-env=NEW_PASSWORD"], &[], &[]),
    (&["suspend"], &[], &[]),
    (&["resume"], &[], &[]),
    (&["delete", "--yes"], &[], &[]),
    (&["alias", "create"], &["ok@example.com"], &[]),
    (&["alias", "create"], &[], &["ok@example.com"]),
    (&["alias", "delete"], &[], &[]),
];

#[tokio::test]
async fn no_hostile_address_reaches_the_wire() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("NEW_PASSWORD", "Passw0rd-long");
    for provider in ProviderId::ALL {
        for (options, before, after) in VERBS {
            // Eight at a time: each is a process of its own.
            for chunk in HOSTILE.chunks(8) {
                let runs = chunk.iter().map(|address| {
                    let common = ["--provider", provider.as_str(), "-o", "json", "--"];
                    let args = [options, &common, before, &[*address], after].concat();
                    let mbx = &mbx;
                    async move { (address, mbx.run(&args).await) }
                });
                for (address, ran) in futures_util::future::join_all(runs).await {
                    assert_eq!(ran.code, 8, "{provider} {options:?} {address:?}: {ran:#?}");
                    assert!(!ran.error()["message"].as_str().unwrap_or_default().is_empty());
                    assert!(ran.stdout.is_empty());
                }
            }
        }
    }
    let seen = sandbox.take_seen();
    assert!(seen.is_empty(), "something was sent: {seen:#?}");
}
