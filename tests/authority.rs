//! A throw-away authority, the certificates it makes, and peers that speak TLS with them.
//! Made by `openssl`, anew for every test that wants one.

use crate::harness::{PATIENCE, World, has_tool};
use crate::peer::Peer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What a peer that speaks TLS reads and writes.
pub type Stream = StreamOwned<ServerConnection, TcpStream>;

pub struct Authority {
    pub world: World,
}

impl Authority {
    /// `None`, and noted as skipped, without `openssl`. Its own certificate is `ca.pem`.
    pub fn new() -> Option<Authority> {
        if !has_tool("openssl") {
            return None;
        }
        let authority = Authority { world: World::new() };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=weir-test-authority",
        );
        Some(authority)
    }

    pub fn openssl(&self, words: &str) {
        let output = Command::new("openssl")
            .args(words.split_ascii_whitespace())
            .current_dir(self.world.directory())
            .output()
            .unwrap();
        assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes `NAME.pem` and `NAME.key`, for the names of the peer as `openssl` writes them.
    pub fn vouch(&self, name: &str, names: &str, days: i32) {
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr \
             -subj /CN={name}"
        ));
        std::fs::write(self.world.path("extensions"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile extensions \
             -out {name}.pem"
        ));
    }

    /// Has `peer` do `act` with its first connection, under the certificate `NAME.pem`.
    pub fn serve<T: Send + 'static>(
        &self,
        peer: Peer,
        name: &str,
        act: impl FnOnce(Stream) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let path = |ending: &str| self.world.path(format!("{name}.{ending}"));
        let certificate = CertificateDer::from_pem_file(path("pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        peer.does(move |stream| {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            act(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream))
        })
    }
}

/// Says that this was all, as the protocol has it.
pub fn say_goodbye(stream: &mut Stream) {
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock).unwrap();
}
