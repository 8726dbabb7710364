//! `get`: what a URL names, as a source.
//! Knows nothing of HTTP: `http_engine` asks, and goes on where a transfer broke.

use super::contract::{Body, Entry, Opening, Role, Stage, Touch};
use super::http_engine::download::Download;
use super::http_engine::header::Header;
use super::http_engine::url::Url;

/// Get a URL over HTTP or HTTPS
///
/// Redirects are followed, up to ten, and never from https to http; credentials go to no other server. A status that is no
/// success fails the run, and its page is never taken for data; so does a body that is shorter than announced.
///
/// What breaks is tried again, with longer and longer waits: a connection that cannot be made or is reset, a server that is silent
/// for a minute, a body that is too short, and the statuses 408, 429, 500, 502, 503 and 504. A server that asks for a wait
/// (Retry-After) is waited for, up to two minutes.
///
/// When a part has been passed on already, only the rest is asked for, if the server gives a validator (a strong ETag, or
/// Last-Modified) by which it is sure to be the same object; otherwise the run fails. Only progress begins the count anew.
///
/// The bytes come as the server sends them, in its Content-Encoding if it uses one unasked. `http_proxy`, `https_proxy`, `all_proxy` and
/// `no_proxy` are heeded; this machine is asked directly.
#[derive(Debug, clap::Parser)]
pub(super) struct Get {
    /// What to get: `http://…` or `https://…`, also with `USER:PASSWORD@`
    #[arg(value_name = "URL", value_parser = Url::parse)]
    url: Url,

    /// Say this too, `Name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = Header::parse)]
    headers: Vec<Header>,

    /// Try again so often without a byte of progress; the waits are half a second, then twice as long each time
    #[arg(long, value_name = "N", default_value_t = RETRIES)]
    retry: u32,
}

/// Together they wait for about a quarter of a minute: most servers that restart are back, and who waits has not lost patience.
const RETRIES: u32 = 5;

pub(super) const ENTRY: Entry = Entry {
    shown: &[
        "get https://example.org/data.json",
        "get https://example.org/tool.gz | gunzip | write tool",
        "get -H 'Authorization: Bearer TOKEN' https://example.org/backup.tar.zst | unzstd | exec tar -x",
    ],
    ..Entry::of::<Get>("get", Role::Source)
};

impl Stage for Get {
    fn label(&self) -> String {
        self.url.to_string()
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Receive(self.url.to_string())]
    }

    fn open(self: Box<Self>, _opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let download = Download { url: self.url, headers: self.headers, retries: self.retry };
        Ok(Body::source(move |outlet, context| download.run(outlet, context)))
    }
}
