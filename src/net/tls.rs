//! Mutual TLS between devices whose keys, not names, identify them.
//!
//! Both sides present a self-signed P-256 certificate and prove that they hold its key. There is no
//! chain to an authority: instead the other side's fingerprint is compared with the expected one
//! inside the handshake, or is verified later by two people who compare six digits.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    Error as TlsError, OtherError, PeerMisbehaved, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use sha2::{Digest, Sha256};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::{Duration, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use zeroize::Zeroize;

use super::calendar::calendar;
use super::frame::{Incoming, Life, Outgoing, Session, briefly};
use super::{Frame, Io, Link, LinkError, Receiver, Sender};
use crate::device::Fingerprint;
use crate::secret::Secret;

/// The identity of this device.
#[derive(Debug)]
pub struct Device {
    /// The self-signed certificate, DER. It names nobody.
    pub certificate: Vec<u8>,
    /// Its private key, PKCS#8 DER.
    pub key: Secret<Vec<u8>>,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub fingerprint: Fingerprint,
}

impl Device {
    /// Generates a P-256 key, and a certificate that does not expire in practice.
    ///
    /// # Errors
    /// [`LinkError::Tls`] if the operating system gives no randomness.
    pub fn generate() -> Result<Self, LinkError> {
        let problem = |error: rcgen::Error| LinkError::Tls(error.to_string());
        let mut pair =
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(problem)?;
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).map_err(problem)?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = parameters.self_signed(&pair).map_err(problem)?.der().to_vec();
        let key = Secret::new(pair.serialize_der());
        pair.zeroize();
        Self::from_parts(certificate, key)
    }

    /// A device from its stored certificate and key.
    ///
    /// # Errors
    /// [`LinkError::Tls`] unless both are well formed, of P-256, and belong together.
    pub fn from_parts(certificate: Vec<u8>, key: Secret<Vec<u8>>) -> Result<Self, LinkError> {
        let der = CertificateDer::from(certificate.as_slice());
        let fingerprint = fingerprint(&der).map_err(|error| meaning(&error))?;
        let device = Self { certificate, key, fingerprint };
        device.certified()?;
        Ok(device)
    }

    fn certified(&self) -> Result<CertifiedKey, LinkError> {
        let key = PrivateKeyDer::try_from(self.key.expose().as_slice())
            .map_err(|problem| LinkError::Tls(problem.to_owned()))?;
        let signer = ring::sign::any_ecdsa_type(&key).map_err(|error| meaning(&error))?;
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        let certified = CertifiedKey::new(chain, signer);
        certified.keys_match().map_err(|error| meaning(&error))?;
        Ok(certified)
    }
}

/// The protocol versions that are offered and accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.3; 1.2 with a device that has no better.
    #[default]
    Any,
    /// Only TLS 1.2, with `TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384`.
    Only12,
}

/// The device that is accepted at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The device with this fingerprint; any other fails the handshake.
    Pinned(Fingerprint),
    /// Any device that holds the key of its certificate. The caller verifies its fingerprint.
    Anyone,
}

/// The TLS configuration of this device, for any number of links.
#[derive(Clone)]
pub struct Tls {
    identity: Arc<SingleCertAndKey>,
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    handshake: Duration,
    lifetime: Duration,
}

impl Tls {
    /// A configuration with the certificate and key of `device`.
    ///
    /// # Errors
    /// [`LinkError::Tls`] if the device's key cannot be used.
    pub fn new(device: &Device, version: TlsVersion) -> Result<Self, LinkError> {
        let of_13 = ring::cipher_suite::TLS13_AES_256_GCM_SHA384;
        let of_12 = ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
        // A suite of a disabled version is not offered either.
        let (versions, suites): (Vec<&'static SupportedProtocolVersion>, _) = match version {
            TlsVersion::Any => (vec![&TLS13, &TLS12], vec![of_13, of_12]),
            TlsVersion::Only12 => (vec![&TLS12], vec![of_12]),
        };
        Ok(Self {
            identity: Arc::new(SingleCertAndKey::from(device.certified()?)),
            provider: Arc::new(CryptoProvider {
                cipher_suites: suites,
                ..ring::default_provider()
            }),
            versions,
            handshake: HANDSHAKE,
            lifetime: LIFETIME,
        })
    }

    /// Sets another deadline for handshakes than ten seconds.
    #[must_use]
    pub fn handshake_within(self, handshake: Duration) -> Self {
        Self { handshake, ..self }
    }

    /// Sets a lifetime of links below thirty minutes.
    #[must_use]
    pub fn living_for(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.min(LIFETIME), ..self }
    }

    /// Makes a link over `io` to the side that [accepts](Self::accept).
    ///
    /// In TLS 1.3 this succeeds before the other side has verified our certificate: its refusal
    /// arrives as [`LinkError::Refused`] from the first `recv`. So the link counts as up only after
    /// the other side has sent something.
    ///
    /// # Errors
    /// [`LinkError::Identity`] if another device than the expected one answers,
    /// [`LinkError::TimedOut`],
    /// [`LinkError::Tls`], [`LinkError::Closed`].
    pub async fn connect(&self, io: Box<dyn Io>, expect: Expect) -> Result<TlsLink, LinkError> {
        let config = self.calling(expect)?;
        let name = ServerName::try_from("cosign").map_err(|e| LinkError::Tls(e.to_string()))?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, io);
        let stream = timeout(self.handshake, connecting).await;
        self.link(stream.map_err(|_| LinkError::TimedOut)??.into())
    }

    fn calling(&self, expect: Expect) -> Result<ClientConfig, LinkError> {
        let mut config = ClientConfig::builder_with_details(self.provider.clone(), calendar())
            .with_protocol_versions(&self.versions)
            .map_err(|error| meaning(&error))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(expect))
            .with_client_cert_resolver(self.identity.clone());
        config.alpn_protocols = alpn();
        config.require_ems = true;
        config.enable_sni = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    /// Makes a link over `io` to the side that [connects](Self::connect).
    ///
    /// # Errors
    /// As `connect`, and [`LinkError::Refused`] if the other side does not accept this device.
    pub async fn accept(&self, io: Box<dyn Io>, expect: Expect) -> Result<TlsLink, LinkError> {
        let accepting = TlsAcceptor::from(Arc::new(self.answering(expect)?)).accept(io);
        let stream = timeout(self.handshake, accepting).await;
        self.link(stream.map_err(|_| LinkError::TimedOut)??.into())
    }

    fn answering(&self, expect: Expect) -> Result<ServerConfig, LinkError> {
        let mut config = ServerConfig::builder_with_details(self.provider.clone(), calendar())
            .with_protocol_versions(&self.versions)
            .map_err(|error| meaning(&error))?
            .with_client_cert_verifier(self.verifier(expect))
            .with_cert_resolver(self.identity.clone());
        config.alpn_protocols = alpn();
        config.require_ems = true;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn verifier(&self, expect: Expect) -> Arc<PinnedCertVerifier> {
        Arc::new(PinnedCertVerifier { expect, provider: self.provider.clone() })
    }

    /// Checks of both sides after the handshake: the TLS library accepts a peer that offers no ALPN
    /// at all.
    fn link(&self, stream: TlsStream<Box<dyn Io>>) -> Result<TlsLink, LinkError> {
        let (_, state) = stream.get_ref();
        let introduces = match state.alpn_protocol() {
            Some(INTRODUCED) => true,
            Some(PLAIN) => false,
            _ => {
                return Err(LinkError::Tls("the other side speaks another protocol".to_owned()));
            }
        };
        let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
        let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown").to_owned();
        let peer = match state.peer_certificates() {
            Some([certificate]) => fingerprint(certificate).map_err(|error| meaning(&error))?,
            _ => return Err(LinkError::Tls("the other side has no certificate".to_owned())),
        };
        let session: Session = export(&stream, SESSION_LABEL)?;
        let life = Life::of(self.lifetime);
        Ok(TlsLink {
            incoming: Incoming::new(session, life),
            outgoing: Outgoing::new(session, life),
            stream,
            peer,
            introduces,
            suite,
            session,
            life,
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("versions", &self.versions).finish_non_exhaustive()
    }
}

/// A link over TLS.
pub struct TlsLink {
    stream: TlsStream<Box<dyn Io>>,
    incoming: Incoming,
    outgoing: Outgoing,
    peer: Fingerprint,
    introduces: bool,
    suite: String,
    session: Session,
    life: Life,
}

impl TlsLink {
    /// Whether both sides support the program's introduction in the greeting.
    pub fn introduces(&self) -> bool {
        self.introduces
    }

    /// The fingerprint of the device at the other end, which has proved that it holds the key.
    pub fn peer(&self) -> Fingerprint {
        self.peer
    }

    /// The negotiated cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The name of this connection: 16 bytes that only its two ends can derive.
    pub fn session(&self) -> Session {
        self.session
    }

    /// The lifetime of this link.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The same link with the lifetime of the link that it resumes.
    #[must_use]
    pub fn living(mut self, life: Life) -> Self {
        self.incoming.live(life);
        self.outgoing.live(life);
        self.life = life;
        self
    }

    /// 32 bytes that only the two ends of this connection can derive for `label` (RFC 5705).
    ///
    /// # Errors
    /// [`LinkError::Tls`] if the TLS library refuses.
    pub fn exporter(&self, label: &str) -> Result<Secret<[u8; 32]>, LinkError> {
        export(&self.stream, label).map(Secret::new)
    }
}

impl Link for TlsLink {
    type Sender = TlsSender;
    type Receiver = TlsReceiver;

    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        let Err(error) = self.outgoing.send(&mut self.stream, &frame).await else { return Ok(()) };
        // A refusal may be unread although the stream cannot be written to.
        let mut reason = None;
        briefly(async { reason = self.incoming.recv(&mut self.stream).await.err() }).await;
        Err(reason.filter(|_| error == LinkError::Lost).unwrap_or(error))
    }

    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.incoming.recv(&mut self.stream).await
    }

    async fn close(mut self) {
        self.outgoing.close(&mut self.stream).await;
        briefly(async { while self.recv().await.is_ok() {} }).await;
    }

    fn split(self) -> (TlsSender, TlsReceiver) {
        let (read, write) = tokio::io::split(self.stream);
        let sender = TlsSender { io: write, outgoing: self.outgoing };
        (sender, TlsReceiver { io: read, incoming: self.incoming })
    }
}

impl fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLink")
            .field("peer", &self.peer)
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// The sending half of a [`TlsLink`].
pub struct TlsSender {
    io: WriteHalf<TlsStream<Box<dyn Io>>>,
    outgoing: Outgoing,
}

impl fmt::Debug for TlsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSender(..)")
    }
}

impl Sender for TlsSender {
    async fn send(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.outgoing.send(&mut self.io, &frame).await
    }

    async fn close(&mut self) {
        self.outgoing.close(&mut self.io).await;
    }
}

/// The receiving half of a [`TlsLink`].
pub struct TlsReceiver {
    io: ReadHalf<TlsStream<Box<dyn Io>>>,
    incoming: Incoming,
}

impl fmt::Debug for TlsReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsReceiver(..)")
    }
}

impl Receiver for TlsReceiver {
    async fn recv(&mut self) -> Result<Frame, LinkError> {
        self.incoming.recv(&mut self.io).await
    }
}

/// Verifies the other side's certificate: one P-256 key, with proof of possession, and the pinned
/// one if one is expected.
#[derive(Debug)]
struct PinnedCertVerifier {
    expect: Expect,
    provider: Arc<CryptoProvider>,
}

impl PinnedCertVerifier {
    fn certificate(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), TlsError> {
        if !intermediates.is_empty() {
            return Err(UNFIT);
        }
        let got = fingerprint(certificate)?;
        match self.expect {
            Expect::Pinned(expected) if got != expected => {
                let wrong = OtherError(Arc::new(WrongDevice { expected, got }));
                Err(TlsError::InvalidCertificate(CertificateError::Other(wrong)))
            }
            Expect::Pinned(_) | Expect::Anyone => Ok(()),
        }
    }

    /// TLS 1.2 allows a P-256 key to sign with other hashes; only one scheme is accepted here.
    fn scheme(signature: &DigitallySignedStruct) -> Result<(), TlsError> {
        if signature.scheme == SCHEME {
            return Ok(());
        }
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn signature12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Self::scheme(signature)?;
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn signature13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Self::scheme(signature)?;
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }
}

impl ServerCertVerifier for PinnedCertVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.certificate(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }
}

impl ClientCertVerifier for PinnedCertVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.certificate(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signature13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }
}

/// Another device than the pinned one answered. Passed through the TLS library as an error.
#[derive(Debug)]
struct WrongDevice {
    expected: Fingerprint,
    got: Fingerprint,
}

impl fmt::Display for WrongDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another device answered")
    }
}

impl std::error::Error for WrongDevice {}

/// The link error for an error of the TLS library.
pub(super) fn meaning(error: &TlsError) -> LinkError {
    use AlertDescription as Alert;
    match error {
        TlsError::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            match inner.downcast_ref::<WrongDevice>() {
                Some(WrongDevice { expected, got }) => {
                    LinkError::Identity { expected: *expected, got: *got }
                }
                None => LinkError::Tls(error.to_string()),
            }
        }
        TlsError::AlertReceived(
            Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate,
        ) => LinkError::Refused,
        _ => LinkError::Tls(error.to_string()),
    }
}

/// The fingerprint of a certificate, which must hold a P-256 key in the usual encoding.
fn fingerprint(certificate: &CertificateDer<'_>) -> Result<Fingerprint, TlsError> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    match key.strip_prefix(P256_KEY) {
        Some([0x04, point @ ..]) if point.len() == 64 => {
            Ok(Fingerprint::new(Sha256::digest(&*key).into()))
        }
        _ => Err(UNFIT),
    }
}

fn export<const N: usize>(
    stream: &TlsStream<Box<dyn Io>>,
    label: &str,
) -> Result<[u8; N], LinkError> {
    let material = match stream {
        TlsStream::Client(stream) => {
            stream.get_ref().1.export_keying_material([0; N], label.as_bytes(), None)
        }
        TlsStream::Server(stream) => {
            stream.get_ref().1.export_keying_material([0; N], label.as_bytes(), None)
        }
    };
    material.map_err(|error| meaning(&error))
}

/// The error for a certificate that is not of the form of a device's.
const UNFIT: TlsError =
    TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

/// The application protocol of version 0.1.0.
const PLAIN: &[u8] = b"cosign/1";
/// The protocol of devices that introduce their program in the greeting. Cosign 0.1.0 speaks only
/// `cosign/1` and refuses such a greeting.
const INTRODUCED: &[u8] = b"cosign/1.1";

/// The application protocols, the preferred one first.
fn alpn() -> Vec<Vec<u8>> {
    vec![INTRODUCED.to_vec(), PLAIN.to_vec()]
}

/// The one signature scheme of device keys.
const SCHEME: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;

/// A SubjectPublicKeyInfo of a P-256 key (RFC 5480) up to the uncompressed point.
const P256_KEY: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

const SESSION_LABEL: &str = "EXPORTER-cosign-session";
const HANDSHAKE: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_take_the_date_from_where_no_clock_panics() {
        let device = Device::generate().unwrap();
        let tls = Tls::new(&device, TlsVersion::Any).unwrap();
        let calling = tls.calling(Expect::Anyone).unwrap().time_provider;
        let answering = tls.answering(Expect::Anyone).unwrap().time_provider;
        let calendar = format!("{:?}", calendar());
        assert_eq!(format!("{calling:?}"), calendar);
        assert_eq!(format!("{answering:?}"), calendar);
    }
}
