//! Certificates, and what the error of a failed connection says.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// A certificate of its own, for these names, and the key to it.
fn signed_for(names: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("good names");
    (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes())
}

/// A server with this certificate and key, whether or not they belong together, that speaks these versions of TLS.
async fn serve_tls(
    certificate: &[u8],
    key: &[u8],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (String, Arc<AtomicUsize>) {
    let ring = rustls::crypto::ring::default_provider();
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
    let key = ring.key_provider.load_private_key(key).expect("a key that can sign");
    let both = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(vec![certificate], key));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring))
        .with_protocol_versions(versions)
        .expect("ring speaks them")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(both));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fine: Arc<[u8]> = Arc::from(reply("200 OK\r\nconnection: close", "[]"));
    let (base_url, count) = serve(move |_, stream| {
        let (acceptor, fine) = (acceptor.clone(), fine.clone());
        async move { respond(acceptor.accept(stream).await?, fine).await }.boxed()
    })
    .await;
    (base_url.replace("http:", "https:"), count)
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_once_with_a_hint() {
    let (pem, key) = signed_for(&["127.0.0.1", "localhost"]);
    let (base_url, count) = serve_tls(&pem, &key, rustls::ALL_VERSIONS).await;
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
async fn a_certificate_of_a_trusted_authority_for_another_name_is_refused_once() {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).expect("an authority").pem().into_bytes();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let signed = rcgen::CertificateParams::new(vec!["box.example".to_owned()]).expect("a good name");
    let signed = signed.signed_by(&key, &issuer).expect("a certificate").pem();
    let (base_url, count) = serve_tls(signed.as_bytes(), key.serialize_pem().as_bytes(), rustls::ALL_VERSIONS).await;
    let http = sender(&base_url, |options| options.ca_pem = Some(pem));
    let error = assert_kind(read(&http).await, Kind::Network);
    assert_eq!(count.load(Ordering::SeqCst), 1, "{error:?}");
}

const V1: &[u8] = include_bytes!("../tls/v1.pem");
const V3_CA: &[u8] = include_bytes!("../tls/v3_ca.pem");
const KEY_OF_BOTH: &[u8] = include_bytes!("../tls/key.pem");

#[tokio::test]
async fn a_server_is_trusted_whose_very_certificate_is_in_the_ca_file() {
    let (other, other_key) = signed_for(&["box.example"]);
    let both = [&other[..], V1, V3_CA].concat();
    for version in rustls::ALL_VERSIONS {
        for (certificate, key) in [(V1, KEY_OF_BOTH), (V3_CA, KEY_OF_BOTH), (&other, &other_key)] {
            let (base_url, _) = serve_tls(certificate, key, &[version]).await;
            for base_url in [base_url.clone(), base_url.replace("127.0.0.1", "localhost")] {
                for pem in [certificate, &both] {
                    let http = sender(&base_url, |options| options.ca_pem = Some(pem.to_vec()));
                    read(&http).await.unwrap_or_else(|error| panic!("{version:?} {base_url}: {error:?}"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_the_key_to_the_certificate_in_the_ca_file_is_refused() {
    let (other, other_key) = signed_for(&["127.0.0.1"]);
    for version in rustls::ALL_VERSIONS {
        // It has copied the certificate, it has another one, or one of the same key.
        let table =
            [(V1, &other_key[..], V1), (V3_CA, &other_key, V3_CA), (&other, &other_key, V1), (V3_CA, KEY_OF_BOTH, V1)];
        for (certificate, key, pem) in table {
            let (base_url, count) = serve_tls(certificate, key, &[version]).await;
            let error = failure(&sender(&base_url, |options| options.ca_pem = Some(pem.to_vec())), true).await;
            let seen = (error.kind, error.effect, count.load(Ordering::SeqCst));
            assert_eq!(seen, (Kind::Network, Effect::None, 1), "{version:?}: {error:?}");
            let hint = error.hint.as_deref().unwrap_or_default();
            assert!(hint.contains("differs from the one in `ca_file`") && hint.contains("openssl"), "{error:?}");
        }
    }
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
    for (base_url, message, cause) in
        [(format!("http://{address}"), refused.as_str(), ""), (cut, "no answer", "closed")]
    {
        let http = sender(&base_url, |_| {});
        let call = http.read(Method::GET, &["users"]).with_slash().query(&[("q", "c4n=1")]);
        let error = assert_kind(call.done().await, Kind::Network);
        let said = error.provider_message.as_deref().unwrap_or_default();
        assert_eq!(error.message, message, "{error:?}");
        assert!(said.contains(cause) && !said.contains("?") && !said.contains(CANARY), "{error:?}");
    }
}
