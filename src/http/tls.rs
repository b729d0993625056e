//! Whom a sender with a `ca_file` trusts: the authorities of the system, those in the file, and a server whose own
//! certificate is in it.
//!
//! A box that signs its certificate itself names no host in the way that is asked of a public one, says that it is an
//! authority, or is of X.509 version 1, which cannot do better. The rules for public certificates refuse all three. But
//! whoever has put that very certificate into the file has said whom to trust: then the server needs only to prove that it
//! has the key to it, which the signature of the handshake does.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerMisbehaved, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use webpki::RawPublicKeyEntity;

/// Returns the set-up of TLS for a host, given the text of a `ca_file`.
pub(super) fn config(host: &str, pem: &[u8]) -> Result<ClientConfig, String> {
    let own: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let own = own.map_err(|error| format!("ca_file is not in PEM form: {error}"))?;
    if own.is_empty() {
        return Err("ca_file holds no certificate in PEM form".to_owned());
    }
    let unreadable = |error: Error| format!("ca_file holds a certificate that cannot be read: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own: Vec<Own> = own.into_iter().map(Own::new).collect::<Result<_, _>>().map_err(unreadable)?;
    let others = Verifier::new_with_extra_roots(own.iter().map(|own| own.certificate.clone()), provider.clone());
    let host = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| error.to_string())?;
    let trust = Trust { host, own, others: others.map_err(unreadable)?, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.dangerous();
    Ok(config.with_custom_certificate_verifier(Arc::new(trust)).with_no_client_auth())
}

/// A certificate of the `ca_file`, and the key in it.
#[derive(Debug)]
struct Own {
    certificate: CertificateDer<'static>,
    key: SubjectPublicKeyInfoDer<'static>,
}

impl Own {
    fn new(certificate: CertificateDer<'static>) -> Result<Self, Error> {
        // As a root, a certificate of version 1 is read too.
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let root = roots.roots.pop().ok_or(CertificateError::BadEncoding)?;
        let key = sequence(&root.subject_public_key_info);
        Ok(Own { certificate, key: key.into() })
    }
}

/// Puts the tag and the length of a DER sequence before its content.
fn sequence(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let head = match content.len() {
        short @ 0..128 => vec![0x30, short as u8],
        _ => [&[0x30, 0x80 | length.len() as u8], length].concat(),
    };
    [&head, content].concat()
}

#[derive(Debug)]
struct Trust {
    host: ServerName<'static>,
    own: Vec<Own>,
    others: Verifier,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    fn own(&self, certificate: &CertificateDer<'_>) -> Option<&Own> {
        self.own.iter().find(|own| own.certificate == *certificate)
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A proxy is another host.
        if *name == self.host && self.own(certificate).is_some() {
            return Ok(ServerCertVerified::assertion());
        }
        self.others.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(own) = self.own(certificate) else {
            return self.others.verify_tls12_signature(message, certificate, signed);
        };
        let known = self.provider.signature_verification_algorithms.mapping;
        let known = known.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) = known.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        let key = RawPublicKeyEntity::try_from(&own.key).map_err(|_| CertificateError::BadEncoding)?;
        let is_good = |algorithm| key.verify_signature(algorithm, message, signed.signature()).is_ok();
        if algorithms.iter().copied().any(is_good) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.own(certificate) {
            Some(own) => {
                let known = &self.provider.signature_verification_algorithms;
                verify_tls13_signature_with_raw_key(message, &own.key, signed, known)
            }
            None => self.others.verify_tls13_signature(message, certificate, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}
