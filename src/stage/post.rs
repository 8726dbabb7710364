//! `post`: the input as the body of a request with POST, the answer as output.
//! Knows nothing of HTTP: `http_engine` sends, and takes the answer.

use super::contract::{Body, Entry, Opening, Peer, Role, Stage, Touch};
use super::http_engine::sending::Sending;
use hyper::Method;

/// Send the input to a URL with POST; the answer comes out
///
/// Both travel at once, as they come: the body is sent in chunks, of a length that nobody has to know before. A status that is no
/// success fails the run, and its page is never taken for data; so does an answer that is shorter than announced. A server that has
/// answered and closes before it was sent everything has enough.
///
/// If a stage before this one fails, the connection is reset, and the server never sees the end of the body. Nothing is sent twice:
/// there are no new attempts, and a redirect is a failure that says where it leads. The server may take as long as it likes to answer
/// (but see `--stall-timeout`). What was sent cannot be taken back.
#[derive(Debug, clap::Parser)]
pub(super) struct Post {
    #[command(flatten)]
    sending: Sending,
}

pub(super) const ENTRY: Entry = Entry {
    peer: Peer::Fed,
    shown: &[
        "read photo.jpg | post --type image/jpeg https://example.org/convert | write photo.webp",
        "post https://example.org/echo",
    ],
    ..Entry::of::<Post>("post", Role::Filter)
};

impl Stage for Post {
    fn label(&self) -> String {
        self.sending.url.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Send(self.sending.url.to_string())]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        self.sending.body(Method::POST, opening)
    }
}
