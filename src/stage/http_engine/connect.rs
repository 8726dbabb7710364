//! From a URL to a connection with its server, by way of a proxy where the environment names one, and a request that fits it.
//! Knows nothing of answers.

use super::proxy::{Proxy, proxy_for};
use super::upload::Upload;
use super::url::{Scheme, Url};
use crate::flow::Closed;
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::stage::net::dial::{CONNECT_TIME, dial};
use crate::stage::net::tls::{Insecure, secure_or};
use crate::stage::net::wire::Wire;
use hyper::header::{HeaderMap, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Uri};

/// A connection, and how requests are put on it.
#[derive(Debug)]
pub(in crate::stage) struct Connected {
    pub(in crate::stage) wire: Wire,
    /// The proxy that is asked to pass the request on, where it is not a tunnel.
    by_way_of: Option<Proxy>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(in crate::stage) enum Unconnected {
    /// It may go better the next time.
    Passing(Fault),
    /// It will not.
    Final(anyhow::Error),
}

impl Unconnected {
    fn of(error: anyhow::Error) -> Unconnected {
        match error.downcast::<Fault>() {
            Ok(fault) => Unconnected::Passing(fault),
            Err(error) => Unconnected::Final(error),
        }
    }

    /// For who does not try again.
    pub(in crate::stage) fn into_error(self) -> anyhow::Error {
        match self {
            Unconnected::Passing(fault) => fault.into(),
            Unconnected::Final(error) => error,
        }
    }
}

/// Connects to the server of `url`.
///
/// # Errors
/// [`Fault`]s that name the peer; a [`Closed`] when the run is given up meanwhile.
pub(in crate::stage) fn connect(url: &Url, context: &Context) -> Result<Connected, Unconnected> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let proxy = proxy_for(url, variable).map_err(|fault| Unconnected::Final(fault.into()))?;
    let peer = proxy.as_ref().map_or(&url.address, |proxy| &proxy.address);
    let wire = dial(peer, CONNECT_TIME, context).map_err(Unconnected::of)?;
    match (url.scheme, proxy) {
        (Scheme::Http, by_way_of) => Ok(Connected { wire, by_way_of }),
        (Scheme::Https, None) => under_tls(wire, url, context),
        (Scheme::Https, Some(proxy)) => {
            let wire = proxy.tunnel(wire, &url.address, context).map_err(Unconnected::of)?;
            under_tls(wire, url, context)
        }
    }
}

fn under_tls(wire: Wire, url: &Url, context: &Context) -> Result<Connected, Unconnected> {
    let wire =
        secure_or(wire, &url.address.host, CONNECT_TIME, context).map_err(|insecure| match insecure {
            Insecure::Cut(error) => Unconnected::of(error),
            Insecure::Refused(error) => Unconnected::Final(error),
        })?;
    Ok(Connected { wire, by_way_of: None })
}

impl Connected {
    /// A request for `url` with `headers` that the connection's other end understands.
    ///
    /// # Errors
    /// When the URL cannot be written in a request.
    pub(in crate::stage) fn request(
        self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Upload,
    ) -> anyhow::Result<(Wire, Request<Upload>)> {
        let target = match &self.by_way_of {
            None => url.target().to_owned(),
            Some(proxy) => {
                if let Some(authorization) = proxy.authorization() {
                    headers.insert(PROXY_AUTHORIZATION, authorization);
                }
                format!("http://{}{}", url.host(), url.target())
            }
        };
        let target: Uri =
            target.parse().map_err(|_| Fault::failed("cannot be asked for").of(url.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        Ok((self.wire, request))
    }
}

/// The end of a link in an `anyhow::Error`, for those that pass it up.
pub(in crate::stage) fn closed(closed: Closed) -> anyhow::Error {
    std::io::Error::from(closed).into()
}
