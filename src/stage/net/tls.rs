//! TLS over a connected socket, as a client: who the peer is is checked against the system's certificates.
//! Never waits: what cannot be done now is `WouldBlock`. Knows nothing of what goes over it.

use super::wire::Wire;
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::outside::stream::reason;
use crate::units;
use nix::poll::PollFlags;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The protocol's state. One lock for both ways: it is held while bytes are changed, never while anybody waits.
#[derive(Debug)]
pub(in crate::stage) struct Session(Mutex<State>);

#[derive(Debug)]
struct State {
    connection: ClientConnection,
    /// What ended it: told when all that came before it has been read.
    failure: Option<rustls::Error>,
}

impl State {
    fn check(&self) -> io::Result<()> {
        self.failure
            .as_ref()
            .map_or(Ok(()), |error| Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())))
    }
}

impl Session {
    /// What there is to read now; 0 when the peer has said that it ends.
    pub(in crate::stage) fn read(
        &self,
        socket: &mut (impl Read + Write),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            match state.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
            state.check()?;
            state.connection.read_tls(socket)?;
            state.failure = state.connection.process_new_packets().err();
            // An alert, or the answer to what came, goes out as far as it can; where it cannot, the way out finds out why,
            // and what the peer gives is read all the same.
            let _ = send(&mut state.connection, socket);
        }
    }

    /// How much of `bytes` was taken now.
    pub(in crate::stage) fn write(&self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        state.check()?;
        // What was taken before goes first, so that no more than one write is ever held.
        send(&mut state.connection, socket)?;
        let count = state.connection.writer().write(bytes)?;
        send(&mut state.connection, socket).or_else(later)?;
        Ok(count)
    }

    /// Sends what is held.
    pub(in crate::stage) fn flush(&self, socket: &mut impl Write) -> io::Result<()> {
        let mut state = self.lock();
        state.check()?;
        send(&mut state.connection, socket)
    }

    /// Puts the word of our end behind what is held.
    pub(in crate::stage) fn say_goodbye(&self) {
        self.lock().connection.send_close_notify();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic in it the run is over in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn send(connection: &mut ClientConnection, socket: &mut impl Write) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(socket)?;
    }
    Ok(())
}

fn later(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) }
}

/// Makes sure that the peer of `wire` is `host`, and that nobody else can read or change what goes over it.
///
/// # Errors
/// A [`Fault`] that says what is wrong with the peer's certificate or the protocol, or that it took longer than `time`; a
/// [`Closed`] when the run is given up meanwhile.
pub(in crate::stage) fn secure(
    wire: Wire,
    host: &str,
    time: Duration,
    context: &Context,
) -> anyhow::Result<Wire> {
    secure_or(wire, host, time, context).map_err(|insecure| match insecure {
        Insecure::Cut(error) | Insecure::Refused(error) => error,
    })
}

/// Why a wire could not be secured.
#[derive(Debug)]
pub(in crate::stage) enum Insecure {
    /// The connection ended, or nothing came over it: another one may be better.
    Cut(anyhow::Error),
    /// The peer is not to be trusted, or speaks no protocol that is.
    Refused(anyhow::Error),
}

/// As [`secure`], for who tries again.
///
/// # Errors
/// As [`secure`].
pub(in crate::stage) fn secure_or(
    wire: Wire,
    host: &str,
    time: Duration,
    context: &Context,
) -> Result<Wire, Insecure> {
    let name = wire.name().to_owned();
    let fault = |message: String| Insecure::Refused(Fault::failed(message).of(&name).into());
    let peer = ServerName::try_from(host.to_owned())
        .map_err(|_| fault(format!("`{host}` is no name that a certificate could have")))?;
    let config = config().map_err(fault)?;
    let connection = ClientConnection::new(config, peer).map_err(|error| fault(told(&error)))?;
    let wire = wire.secured(Session(Mutex::new(State { connection, failure: None })));
    match shake_hands(&wire, time, context) {
        Ok(()) => Ok(wire),
        Err(error) if Closed::cause_of(&error).is_some() => Err(Insecure::Refused(error.into())),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let message = format!("TLS: no answer within {}", units::duration(time));
            Err(Insecure::Cut(Fault::failed(message).of(&name).into()))
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Insecure::Refused(refusal(&error).of(&name).into()))
        }
        Err(error) => Err(Insecure::Cut(refusal(&error).of(&name).into())),
    }
}

fn shake_hands(wire: &Wire, time: Duration, context: &Context) -> io::Result<()> {
    let Some(session) = wire.session() else { return Ok(()) };
    let until = Instant::now() + time;
    loop {
        let (is_over, interest) = session.shake(wire)?;
        if is_over {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !context.ready_within(wire.as_fd(), interest, left)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

impl Session {
    /// Takes the handshake as far as it goes now: whether it is over, and what to wait for if it is not.
    fn shake(&self, wire: &Wire) -> io::Result<(bool, PollFlags)> {
        let mut socket = wire.socket();
        let mut state = self.lock();
        let connection = &mut state.connection;
        loop {
            if let Err(error) = send(connection, &mut socket) {
                return later(error).map(|()| (false, PollFlags::POLLOUT));
            }
            if !connection.is_handshaking() {
                return Ok((true, PollFlags::empty()));
            }
            match connection.read_tls(&mut socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => return later(error).map(|()| (false, PollFlags::POLLIN)),
            }
            if let Err(error) = connection.process_new_packets() {
                // The peer is told why, as far as it listens.
                let _ = send(connection, &mut socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}

/// What every connection is made with. The certificates are those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn config() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that cannot be understood vouches for nobody; the others still do.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("this system has no certificates to check a peer against{why}"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| told(&error))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn told(error: &rustls::Error) -> String {
    format!("TLS: {}", reason(&io::Error::other(error.to_string())))
}

/// What is told of a handshake that failed.
fn refusal(error: &io::Error) -> Fault {
    use rustls::Error;
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => distrust(error),
        Some(Error::InvalidMessage(_)) => Fault::failed("does not speak TLS"),
        Some(Error::AlertReceived(alert)) => Fault::failed(format!("refuses our TLS (alert {alert:?})")),
        Some(error) => Fault::failed(told(error)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::failed("closed the connection instead of answering TLS")
        }
        None => Fault::failed(format!("TLS: {}", reason(error))),
    }
}

/// What is told of a certificate that vouches for nobody.
fn distrust(error: &rustls::CertificateError) -> Fault {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        Other, Revoked, UnknownIssuer,
    };
    match error {
        UnknownIssuer => Fault::failed("nobody this system trusts vouches for its certificate")
            .help("SSL_CERT_FILE names a file with another authority's"),
        Expired | ExpiredContext { .. } => Fault::failed("its certificate has expired"),
        NotValidYet | NotValidYetContext { .. } => {
            Fault::failed("its certificate is not valid yet").help("is the clock of this machine right?")
        }
        NotValidForName | NotValidForNameContext { .. } => {
            Fault::failed("its certificate is for another name")
        }
        Revoked => Fault::failed("its certificate has been revoked"),
        // The crate that checks certificates has no other name for it.
        Other(other) if other.to_string() == "CaUsedAsEndEntity" => Fault::failed(
            "its certificate is that of an authority, which may vouch for others but is no peer's own",
        )
        .help("a certificate that a peer signs itself must be made with `CA:FALSE`"),
        _ => Fault::failed(told(&rustls::Error::InvalidCertificate(error.clone()))),
    }
}
