//! No secret is shown in a trace or an error.

use super::*;

#[tokio::test]
async fn a_secret_that_the_server_echoes_is_masked() {
    let basic = "Basic bWU6YzRuImErciAgeSZrZXk=";
    let spellings = [
        KEY.to_owned(),
        PASSWORD.to_owned(),
        r#"c4n\"a+r y&\u00e9"#.to_owned(),
        "c4n%22a%2Br+y%26%C3%A9".to_owned(),
        "c4n%22a%2br%20y%26%c3%a9".to_owned(),
        "c4n&quot;a+r y&amp;é".to_owned(),
        basic.to_owned(),
    ];
    let long = "-".repeat(390);
    for text in &spellings {
        for bytes in [
            reply("400 Bad Request", format!("not accepted: {text}")),
            reply("400 Bad Request", format!("{long}{text}")),
            reply("400 Bad Request", format!("{}{text}", " ".repeat(16_380))),
            reply("400 Bad Request", format!(r#"{{"detail": "not accepted: {text}"}}"#)),
            reply("400 Bad Request", format!("<html><body>not accepted: {text}</body></html>")),
            reply("200 OK", format!("not JSON: {text}")),
            reply("200 OK", format!("<html><body>not JSON: {text}</body></html>")),
            reply("200 OK", format!(r#"{{"not JSON": "{text}"#)),
            reply(&format!("302 Found\r\nlocation: https://evil.example/?{text}"), text),
            reply(&format!("400 {text}"), text),
            format!("HTTP/1.1 200 {text}\r\n{text}\r\n\r\n").into_bytes(),
        ] {
            let trace = Trace::start();
            let (base_url, _) = serve_bytes(bytes).await;
            let http = sender(&base_url, |options| {
                options.credential = Credential::Basic("me".to_owned(), KEY.into());
                options.judge = |reply| Failure::by_status(reply, || String::from_utf8_lossy(&reply.body).into_owned());
            });
            http.guard(Some(&PASSWORD.into()));
            for is_write in [false, true] {
                let error = failure(&http, is_write).await;
                let all = shown(&error) + &trace.text();
                assert!(!all.contains(CANARY) && !all.contains(&basic[6..]), "{text}: {all}");
            }
        }
    }
}

/// Calls everything EmBoux can do, and returns the errors.
async fn everything(provider: &Checked) -> Vec<Error> {
    let (ada, domain) = (at("ada@example.com"), name("new.example"));
    let mut new = mbx::model::NewMailbox::at(ada.clone());
    (new.password, new.quota) = (Some(PASSWORD.into()), Some(Bytes(1 << 30)));
    let quota = MailboxChange { first_name: None, last_name: None, quota: new.quota, admin: None };
    let alias = Alias::to("info@example.com".parse().expect("a good source"), vec![ada.clone()]);
    let results = [
        provider.check_account().await.map(drop),
        provider.create_mailbox(&new).await.map(drop),
        provider.list_mailboxes(None).try_collect::<Vec<Mailbox>>().await.map(drop),
        provider.get_mailbox(&ada).await.map(drop),
        provider.update_mailbox(&ada, &quota).await.map(drop),
        provider.set_password(&ada, &PASSWORD.into()).await.map(drop),
        provider.create_alias(&alias).await.map(drop),
        provider.list_aliases(ada.domain()).try_collect::<Vec<Alias>>().await.map(drop),
        provider.delete_alias(&alias.source).await.map(drop),
        provider.delete_mailbox(&ada).await.map(drop),
        provider.create_domain(&NewDomain::named(domain.clone())).await.map(drop),
        provider.list_domains().try_collect::<Vec<Domain>>().await.map(drop),
        provider.get_domain(&domain).await.map(drop),
        provider.verify_domain(&domain).await.map(drop),
        provider.suspend_domain(&domain).await.map(drop),
        provider.resume_domain(&domain).await.map(drop),
        provider.delete_domain(&domain).await.map(drop),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

#[tokio::test]
async fn no_secret_is_traced_when_all_goes_well() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let trace = Trace::start();
    let errors = everything(&ctx.provider).await;
    assert!(errors.is_empty(), "{errors:?}");
    let text = trace.text();
    assert!(text.contains("ada@example.com") && text.contains("(redacted)"), "{text}");
    assert!(!text.contains(CANARY) && !text.contains(sandbox::KEY), "{text}");
}

#[tokio::test]
async fn no_secret_is_shown_when_all_goes_wrong() {
    let echo = format!("{KEY} and {PASSWORD}");
    let json =
        json!({ "detail": format!("no: {echo}"), "password": PASSWORD, "request": { "API-Key": KEY } }).to_string();
    let answers = [
        None,
        Some(answer(400, &[], json.clone())),
        Some(answer(500, &[], json.clone())),
        Some(answer(200, &[], json)),
        Some(answer(400, &[], echo.clone())),
        Some(answer(200, &[], echo.clone())),
        Some(answer(200, &[], format!("<html>{echo}</html>"))),
        Some(Answer::retry_after("0")),
        Some(Answer::Cut),
    ];
    for trouble_is in answers {
        let ctx = Ctx::new(ProviderId::Emboux).await;
        if let Some(answer) = &trouble_is {
            trouble(&ctx.sandbox, answer, usize::MAX);
        }
        let trace = Trace::start();
        // Without trouble the key itself is the trouble: the sandbox does not know it.
        let provider = ctx.open(|account| {
            account.secret = KEY.into();
            // As if a request with it had been sent before.
            account.redactor.learn(&PASSWORD.into());
        });
        let errors = everything(&provider).await;
        assert!(errors.len() > 8, "{trouble_is:?}: {errors:?}");
        let all = errors.iter().map(shown).collect::<String>() + &trace.text();
        let line = all.lines().find(|line| line.contains(CANARY));
        assert_eq!(line, None, "{trouble_is:?}");
    }
}
