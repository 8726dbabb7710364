//! The input as the body of a request, and the answer as output: both at once, over one connection.
//! Knows nothing of which method it is.

use super::bridge::{Sender, bridge};
use super::connect::{Unconnected, closed, connect};
use super::exchange::Exchange;
use super::header::{Header, Pointed, headers};
use super::lost::Lost;
use super::status::{pointer, refusal, told};
use super::upload::{Piece, Upload};
use super::url::Url;
use crate::flow::{Closed, Inlet, Medium, Outlet};
use crate::stage::contract::{Body, Context, Opening};
use crate::stage::fault::Fault;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use std::io::Write;

/// So many chunks are on their way between the stage's two threads.
const SLOTS: usize = 2;

/// What people say about a request with a body.
#[derive(Debug, clap::Args)]
pub(in crate::stage) struct Sending {
    /// Where to send it: `http://…` or `https://…`
    #[arg(value_name = "URL", value_parser = Url::parse)]
    pub(in crate::stage) url: Url,

    /// Say this too, `Name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = Header::parse)]
    headers: Vec<Header>,

    /// What kind of bytes they are
    #[arg(long = "type", value_name = "MIME", value_parser = kind, default_value = "application/octet-stream")]
    kind: HeaderValue,
}

/// What kind of bytes there are.
pub(in crate::stage) type Kind = HeaderValue;

/// What kind of bytes there are, as people name it.
pub(in crate::stage) fn kind(text: &str) -> Result<HeaderValue, String> {
    let is_kind = text.split_once('/').is_some_and(|(major, minor)| !major.is_empty() && !minor.is_empty());
    let value = HeaderValue::from_str(text.trim()).ok().filter(|_| is_kind);
    value.ok_or_else(|| "type it as in `text/plain`".to_owned())
}

impl Sending {
    /// What runs for a stage that sends its input with `method`.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(in crate::stage) fn body(self, method: Method, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        opening.cannot_be_undone(format!("what {} was sent", self.url));
        let (sender, receiver) = bridge(SLOTS)?;
        Ok(Body::duplex(
            move |inlet, context| give(inlet, context, sender),
            move |outlet, context| self.take(method, Upload::Bridge(receiver), outlet, context),
        ))
    }
}

/// The way out: to the thread of the way back, which has the connection.
fn give(inlet: &mut Inlet, context: &Context, sender: Sender<Piece>) -> anyhow::Result<()> {
    context.waits_for(Medium::Socket);
    while let Some(chunk) = inlet.next_chunk()? {
        let length = chunk.len() as u64;
        if !sender.send(Piece::Data(chunk), context)? {
            inlet.hang_up();
            return Ok(());
        }
        context.gauge().wrote(length);
    }
    sender.send_last(Piece::End);
    Ok(())
}

impl Sending {
    fn take(
        self,
        method: Method,
        upload: Upload,
        outlet: &mut Outlet,
        context: &Context,
    ) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        let result = self.exchange(method, upload, outlet, context);
        result.map_err(|error| match Closed::cause_of(error.as_ref()) {
            // Whatever woke it: what came is not the whole.
            Some(_) if outlet.refusal() != Some(Closed::HungUp) => closed(Closed::Aborted),
            _ => error,
        })
    }

    fn exchange(
        self,
        method: Method,
        upload: Upload,
        outlet: &mut Outlet,
        context: &Context,
    ) -> anyhow::Result<()> {
        let url = &self.url;
        let mut headers = headers(url, &self.headers, Pointed::Nowhere);
        headers.insert(CONTENT_TYPE, self.kind);
        let connected = connect(url, context).map_err(Unconnected::into_error)?;
        let (wire, request) = connected.request(method, url, headers, upload)?;
        let (exchange, answer) = Exchange::begin(wire, request, None, context)
            .map_err(|lost| failure(&lost, lost.before_the_answer(), url))?;
        if let Some(location) = pointer(&answer) {
            let status = told(answer.status());
            exchange.give_up();
            let place = url.join(location).map_or_else(|_| "nowhere".to_owned(), |next| next.to_string());
            return Err(Fault::failed(format!("{status}: leads to {place}"))
                .of(url.to_string())
                .help("what is sent as it comes cannot be sent twice; name the place it leads to")
                .into());
        }
        if !answer.status().is_success() {
            return Err(refusal(&answer, exchange, &url.to_string()).into());
        }
        pass_on(exchange, url, outlet, context)
    }
}

fn pass_on(
    mut exchange: Exchange<'_>,
    url: &Url,
    outlet: &mut Outlet,
    context: &Context,
) -> anyhow::Result<()> {
    let all_bytes = exchange.announced_bytes();
    let mut taken_bytes = 0;
    let result = loop {
        match exchange.next_bytes(None) {
            Ok(None) => break Ok(()),
            Ok(Some(bytes)) => {
                context.gauge().read(bytes.len() as u64);
                taken_bytes += bytes.len() as u64;
                if let Err(error) = outlet.write_all(&bytes).and_then(|()| outlet.flush()) {
                    break Err(error.into());
                }
            }
            Err(lost) => break Err(failure(&lost, lost.in_the_body(taken_bytes, all_bytes), url)),
        }
    };
    match result {
        // The answer may be whole before the request is: a server that has enough closes.
        Ok(()) => exchange.finish().map_err(|lost| failure(&lost, lost.before_the_answer(), url)),
        Err(error) => {
            exchange.give_up();
            Err(error)
        }
    }
}

fn failure(lost: &Lost, told: String, url: &Url) -> anyhow::Error {
    match lost.closed() {
        Some(end) => closed(end),
        None => Fault::failed(told).of(url.to_string()).into(),
    }
}
