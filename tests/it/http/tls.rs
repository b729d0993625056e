//! Certificates, and what the error of a failed connection says.

use super::*;

/// A server with a certificate of its own, for these names.
async fn serve_tls(names: &[&str]) -> (String, Vec<u8>, Arc<AtomicUsize>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("good names");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fine: Arc<[u8]> = Arc::from(reply("200 OK\r\nconnection: close", "[]"));
    let (base_url, count) = serve(move |_, stream| {
        let (acceptor, fine) = (acceptor.clone(), fine.clone());
        async move { respond(acceptor.accept(stream).await?, fine).await }.boxed()
    })
    .await;
    (base_url.replace("http:", "https:"), made.cert.pem().into_bytes(), count)
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_once_with_a_hint() {
    let (base_url, pem, count) = serve_tls(&["127.0.0.1", "localhost"]).await;
    for base_url in [base_url.clone(), base_url.replace("127.0.0.1", "localhost")] {
        for is_write in [false, true] {
            let error = failure(&sender(&base_url, |_| {}), is_write).await;
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("ca_file")), "{error:?}");
            let attempts = count.swap(0, Ordering::SeqCst);
            assert_eq!((attempts, error.kind, error.effect), (1, Kind::Network, Effect::None), "{error:?}");
        }
        let http = sender(&base_url, |options| options.ca_pem = Some(pem.clone()));
        read(&http).await.expect("it is trusted now");
        count.store(0, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_trusted_certificate_of_another_name_is_refused_once() {
    let (base_url, pem, count) = serve_tls(&["box.example"]).await;
    let http = sender(&base_url, |options| options.ca_pem = Some(pem));
    let error = assert_kind(read(&http).await, Kind::Network);
    assert_eq!(count.load(Ordering::SeqCst), 1, "{error:?}");
}

#[test]
fn a_ca_file_without_a_certificate_is_said_to_be_so() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let changed = Options { ca_pem: Some(pem.into()), ..options("https://api.example.com") };
        let error = Http::new(changed).err().expect("it holds none");
        assert_eq!(error.kind, Kind::Config);
        assert!(shown(&error).contains("ca_file"), "{error:?}");
    }
}

#[tokio::test]
async fn an_error_names_its_cause_and_no_query() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let (cut, _) = serve(|_, mut stream| async move { swallow(&mut stream).await }.boxed()).await;
    let refused = format!("could not reach {address}: connection refused");
    for (base_url, message, cause) in [(format!("http://{address}"), refused.as_str(), ""), (cut, "", "closed")] {
        let http = sender(&base_url, |_| {});
        let call = http.read(Method::GET, &["users"]).with_slash().query(&[("q", "c4n=1")]);
        let error = assert_kind(call.done().await, Kind::Network);
        let said = error.provider_message.as_deref().unwrap_or_default();
        assert_eq!(error.message, message, "{error:?}");
        assert!(said.contains(cause) && !said.contains("?") && !said.contains(CANARY), "{error:?}");
    }
}
