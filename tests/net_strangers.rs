//! TLS peers that are not valid devices: every one fails the handshake.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cosign::net::frame::Encoder;
use cosign::net::tls::{Device, Expect, Tls, TlsVersion};
use cosign::net::{Frame, Io, Kind, Link, LinkError, tcp};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, Error, HandshakeKind, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Believes everything: what a stranger's own TLS library may do.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// A stranger, by default the same as a device in everything.
struct Stranger {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    suites: Vec<CipherSuite>,
}

impl Stranger {
    fn of(certificate: &[u8], key: &[u8]) -> Self {
        Self {
            chain: vec![CertificateDer::from(certificate.to_vec())],
            key: PrivatePkcs8KeyDer::from(key.to_vec()).into(),
            alpn: vec![b"cosign/1".to_vec()],
            versions: vec![&TLS13, &TLS12],
            suites: vec![
                CipherSuite::TLS13_AES_256_GCM_SHA384,
                CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            ],
        }
    }

    fn like(device: &Device) -> Self {
        Self::of(&device.certificate, device.key.expose())
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|suite| self.suites.contains(&suite.suite()));
        Arc::new(provider)
    }

    /// The certificate, and whatever key comes with it.
    fn identity(&self) -> Arc<SingleCertAndKey> {
        let signer = ring::sign::any_supported_type(&self.key).unwrap();
        Arc::new(CertifiedKey::new(self.chain.clone(), signer).into())
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible))
            .with_client_cert_resolver(self.identity());
        config.alpn_protocols = self.alpn.clone();
        config
    }

    fn server(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(self.provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(self.identity());
        config.alpn_protocols = self.alpn.clone();
        config
    }

    /// The result of our server with this client.
    async fn connects(&self) -> Result<(), LinkError> {
        self.connects_with(Arc::new(self.client())).await.1
    }

    async fn connects_with(
        &self,
        config: Arc<ClientConfig>,
    ) -> (Option<TlsStream<Box<dyn Io>>>, Result<(), LinkError>) {
        let (left, right) = wire();
        let ours = tls(&Device::generate().unwrap());
        let name = ServerName::try_from("stranger").unwrap();
        let (theirs, ours) = tokio::join!(
            TlsConnector::from(config).connect(name, left),
            ours.accept(right, Expect::Anyone)
        );
        (theirs.ok(), ours.map(|_| ()))
    }

    /// The result of our client with this server.
    async fn accepts(&self) -> Result<(), LinkError> {
        let (left, right) = wire();
        let ours = tls(&Device::generate().unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(self.server()));
        let (_, ours) = tokio::join!(acceptor.accept(right), ours.connect(left, Expect::Anyone));
        ours.map(|_| ())
    }
}

fn tls(device: &Device) -> Tls {
    Tls::new(device, TlsVersion::Any).unwrap()
}

fn wire() -> (Box<dyn Io>, Box<dyn Io>) {
    let (left, right) = duplex(64 * 1024);
    (Box::new(left), Box::new(right))
}

#[track_caller]
fn assert_fails(outcome: Result<(), LinkError>, why: &str) {
    match outcome {
        Err(LinkError::Tls(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// A self-signed certificate for any kind of key, and the key.
fn self_signed(pair: &KeyPair) -> (Vec<u8>, Vec<u8>) {
    let certificate = CertificateParams::new(vec![]).unwrap().self_signed(pair).unwrap();
    (certificate.der().to_vec(), pair.serialize_der())
}

#[tokio::test]
async fn a_stranger_with_nothing_strange_is_a_device() {
    let stranger = Stranger::like(&Device::generate().unwrap());
    assert_eq!(stranger.connects().await, Ok(()));
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let (victim, thief) = (Device::generate().unwrap(), Device::generate().unwrap());
    for version in [&TLS13, &TLS12] {
        let mut stranger = Stranger::of(&victim.certificate, thief.key.expose());
        stranger.versions = vec![version];
        assert_fails(stranger.connects().await, "BadSignature");
        assert_fails(stranger.accepts().await, "BadSignature");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let mut stranger = Stranger::like(&Device::generate().unwrap());
    stranger.chain.clear();
    assert_fails(stranger.connects().await, "no certificates");
}

#[tokio::test]
async fn other_application_protocols_and_none_are_refused() {
    for alpn in [vec![], vec![b"h2".to_vec()], vec![b"cosign/2".to_vec()]] {
        let mut stranger = Stranger::like(&Device::generate().unwrap());
        stranger.alpn = alpn;
        assert!(matches!(stranger.connects().await, Err(LinkError::Tls(_))));
        assert!(matches!(stranger.accepts().await, Err(LinkError::Tls(_))));
    }
}

#[tokio::test]
async fn other_suites_are_refused() {
    for suite in [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        let mut stranger = Stranger::like(&Device::generate().unwrap());
        let is_13 = format!("{suite:?}").starts_with("TLS13");
        stranger.versions = vec![if is_13 { &TLS13 } else { &TLS12 }];
        stranger.suites = vec![suite];
        assert_fails(stranger.connects().await, "NoCipherSuitesInCommon");
        assert!(stranger.accepts().await.is_err());
    }
}

#[tokio::test]
async fn keys_of_other_kinds_and_chains_are_refused() {
    for kind in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let (certificate, key) = self_signed(&KeyPair::generate_for(kind).unwrap());
        let stranger = Stranger::of(&certificate, &key);
        assert!(stranger.connects().await.is_err());
        assert!(stranger.accepts().await.is_err());
        assert!(Device::from_parts(certificate, cosign::secret::Secret::new(key)).is_err());
    }
    let (device, other) = (Device::generate().unwrap(), Device::generate().unwrap());
    let mut stranger = Stranger::like(&device);
    stranger.chain.push(CertificateDer::from(other.certificate));
    assert_fails(stranger.connects().await, "ApplicationVerificationFailure");
    assert_fails(stranger.accepts().await, "ApplicationVerificationFailure");
}

#[tokio::test]
async fn no_session_is_ever_resumed() {
    for version in [&TLS13, &TLS12] {
        let mut stranger = Stranger::like(&Device::generate().unwrap());
        stranger.versions = vec![version];
        let config = Arc::new(stranger.client());
        for _ in 0..2 {
            let (theirs, ours) = stranger.connects_with(config.clone()).await;
            ours.unwrap();
            let mut theirs = theirs.unwrap();
            let mut rest = Vec::new();
            let _ = theirs.read_to_end(&mut rest).await;
            let (_, state) = theirs.get_ref();
            assert_eq!(state.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(state.tls13_tickets_received(), 0);
        }
    }
}

/// A device that speaks TLS as it should and then writes bytes of its own.
async fn link_to_liar() -> (TlsStream<Box<dyn Io>>, [u8; 16], cosign::net::tls::TlsLink) {
    let liar = Stranger::like(&Device::generate().unwrap());
    let (left, right) = wire();
    let ours = tls(&Device::generate().unwrap());
    let name = ServerName::try_from("stranger").unwrap();
    let (theirs, ours) = tokio::join!(
        TlsConnector::from(Arc::new(liar.client())).connect(name, left),
        ours.accept(right, Expect::Anyone)
    );
    let theirs = theirs.unwrap();
    let label = b"EXPORTER-cosign-session";
    let session = theirs.get_ref().1.export_keying_material([0; 16], label, None).unwrap();
    (theirs, session, ours.unwrap())
}

#[tokio::test]
async fn frames_of_another_session_and_repeated_ones_end_the_link() {
    let frame = Frame::new(Kind::Protocol, b"once".to_vec());
    let (mut liar, session, mut link) = link_to_liar().await;
    let mut bytes = Vec::new();
    Encoder::new(session).encode(&frame, &mut bytes).unwrap();
    liar.write_all(&bytes).await.unwrap();
    liar.write_all(&bytes).await.unwrap();
    liar.flush().await.unwrap();
    assert_eq!(link.recv().await, Ok(frame.clone()));
    assert_eq!(link.recv().await, Err(LinkError::Malformed("frame out of sequence")));

    // Bytes that were recorded on one link are refused on the next.
    let (mut liar, _, mut link) = link_to_liar().await;
    liar.write_all(&bytes).await.unwrap();
    liar.flush().await.unwrap();
    assert_eq!(link.recv().await, Err(LinkError::Malformed("frame of another session")));
}

#[tokio::test]
async fn a_stream_that_ends_without_a_goodbye_is_a_broken_connection() {
    let (mut liar, session, mut link) = link_to_liar().await;
    let mut bytes = Vec::new();
    let frame = Frame::new(Kind::Protocol, b"whole".to_vec());
    Encoder::new(session).encode(&frame, &mut bytes).unwrap();
    liar.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    liar.shutdown().await.unwrap();
    assert_eq!(link.recv().await, Err(LinkError::Lost));

    let (liar, _, mut link) = link_to_liar().await;
    drop(liar);
    assert_eq!(link.recv().await, Err(LinkError::Lost));
}

/// Runs `openssl s_client` with `arguments` against our listener, and returns the result of each
/// side.
async fn openssl(device: &Device, arguments: &[&str]) -> (Output, Result<String, LinkError>) {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    fs::write(&certificate, &device.certificate).unwrap();
    fs::write(&key, device.key.expose()).unwrap();
    openssl_with(&certificate, &key, arguments).await
}

async fn openssl_with(
    certificate: &Path,
    key: &Path,
    arguments: &[&str],
) -> (Output, Result<String, LinkError>) {
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("openssl.cnf");
    fs::write(&configuration, WITHOUT_MASTER_SECRET).unwrap();
    let without_ems = arguments.contains(&NO_EMS);
    let arguments = arguments.iter().filter(|argument| **argument != NO_EMS);
    let listener = tcp::Listener::bind(Some([127, 0, 0, 1].into()), 0).await.unwrap();
    let address = listener.address().unwrap().to_string();
    let mut command = tokio::process::Command::new("openssl");
    command
        .args(["s_client", "-connect", &address, "-certform", "DER", "-keyform", "DER"])
        .arg("-cert")
        .arg(certificate)
        .arg("-key")
        .arg(key)
        .args(arguments)
        .stdin(Stdio::null());
    if without_ems {
        command.env("OPENSSL_CONF", &configuration);
    }
    let ours = tls(&Device::generate().unwrap()).handshake_within(Duration::from_secs(30));
    let serving = async {
        let (io, _) = listener.accept().await;
        ours.accept(io, Expect::Anyone).await.map(|link| link.suite().to_owned())
    };
    let (output, ours) = tokio::join!(command.output(), serving);
    (output.unwrap(), ours)
}

/// Stands for a setting that `openssl s_client` has no flag for: no extended master secret.
const NO_EMS: &str = "no_ems";

const WITHOUT_MASTER_SECRET: &str = "openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
Options = -ExtendedMasterSecret
";

#[tokio::test]
async fn openssl_agrees_on_the_suites() {
    let device = Device::generate().unwrap();
    for (version, name, suite) in [
        ("-tls1_3", "TLS_AES_256_GCM_SHA384", "TLS13_AES_256_GCM_SHA384"),
        ("-tls1_2", "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ] {
        let (theirs, ours) = openssl(&device, &[version, "-alpn", "cosign/1"]).await;
        assert_eq!(ours, Ok(suite.to_owned()));
        let text = String::from_utf8_lossy(&theirs.stdout).into_owned();
        assert!(text.contains(&format!("Cipher is {name}")), "{text}");
    }
}

#[tokio::test]
async fn openssl_cannot_talk_us_into_less() {
    let device = Device::generate().unwrap();
    for (arguments, why) in [
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..], "SignatureAlgorithmsExtensionRequired"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "NoCipherSuitesInCommon"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], "NoCipherSuitesInCommon"),
        (&["-tls1_2", "-cipher", "AES256-GCM-SHA384"], "NoKxGroupsInCommon"),
        (&["-tls1_2", "-client_sigalgs", "ECDSA+SHA384"], "no certificates"),
        (&["-tls1_2", NO_EMS], "ExtendedMasterSecretExtensionRequired"),
    ] {
        let (_, ours) = openssl(&device, &[arguments, &["-alpn", "cosign/1"]].concat()).await;
        assert_fails(ours.map(|_| ()), why);
    }
}

#[tokio::test]
async fn a_p384_key_that_signs_with_sha256_is_no_device() {
    // TLS 1.2 allows this combination under the scheme that device keys use.
    let (certificate, key) = self_signed(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (folder.path().join("cert"), folder.path().join("key"));
    fs::write(&certificate_file, certificate).unwrap();
    fs::write(&key_file, key).unwrap();
    let arguments = ["-tls1_2", "-alpn", "cosign/1"];
    let (_, ours) = openssl_with(&certificate_file, &key_file, &arguments).await;
    assert_fails(ours.map(|_| ()), "ApplicationVerificationFailure");
}
