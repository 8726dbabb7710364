//! The body of an answer to GET as a source: asked for again when it fails to come, and gone on with when it breaks.
//! Knows nothing of how a URL is typed.

use super::connect::{Unconnected, closed, connect};
use super::exchange::Exchange;
use super::header::{Header, Pointed, headers};
use super::lost::Lost;
use super::resume::Object;
use super::status::{asked_wait, is_passing, pointer, refusal};
use super::upload::Upload;
use super::url::{Scheme, Url};
use crate::flow::{Medium, Outlet};
use crate::stage::contract::Context;
use crate::stage::fault::Fault;
use crate::units;
use hyper::header::TRANSFER_ENCODING;
use hyper::{Method, Response, StatusCode};
use std::io::Write;
use std::time::{Duration, SystemTime};

/// How long a server may take to begin its answer.
pub(in crate::stage) const ANSWER_TIME: Duration = Duration::from_secs(60);
/// How long it may be silent in the middle.
pub(in crate::stage) const SILENCE_TIME: Duration = Duration::from_secs(60);
/// The wait before the first new attempt; each further one takes twice as long, up to the longest.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_LONGEST: Duration = Duration::from_secs(30);
/// A server that asks to be left alone for longer is not waited for.
const ASKED_LONGEST: Duration = Duration::from_secs(120);
const REDIRECTS_MAX: usize = 10;

/// What is to be got, and how.
#[derive(Debug)]
pub(in crate::stage) struct Download {
    /// From where.
    pub(in crate::stage) url: Url,
    /// With what more to say.
    pub(in crate::stage) headers: Vec<Header>,
    /// How often it is tried again without a byte of progress.
    pub(in crate::stage) retries: u32,
}

impl Download {
    /// Passes all of it on.
    ///
    /// # Errors
    /// A [`Fault`] that names the URL; a [`Closed`](crate::flow::Closed) when the run is given up, or nobody wants more.
    pub(in crate::stage) fn run(&self, outlet: &mut Outlet, context: &Context) -> anyhow::Result<()> {
        context.waits_for(Medium::Socket);
        let mut transfer = Transfer { download: self, context, passed_bytes: 0, object: None };
        let mut failures = 0;
        loop {
            let before_bytes = transfer.passed_bytes;
            let (fault, asked) = match transfer.attempt(outlet) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(fault, asked)) => (fault, asked),
            };
            if transfer.passed_bytes > before_bytes {
                failures = 0;
            }
            if let Some(objection) = transfer.objection() {
                return Err(fault.help(objection).into());
            }
            if failures == self.retries {
                return Err(tried(fault, failures).into());
            }
            failures += 1;
            let wait = backoff(failures).max(asked.unwrap_or_default());
            if wait > ASKED_LONGEST {
                let help = format!("it asks to be left alone for {}", units::duration(wait));
                return Err(fault.help(help).into());
            }
            let how = if transfer.passed_bytes > 0 { "goes on from there" } else { "tried again" };
            let wait_words = units::duration(wait);
            context.remark(format!("{fault}; {how} in {wait_words} ({failures} of {})", self.retries));
            context.sleep(wait)?;
        }
    }
}

/// Why it does not go on, when some of it is with the next stage.
fn in_part(why: &str, passed_bytes: u64) -> String {
    format!("{why}, and {passed_bytes} bytes of it are passed on already")
}

fn tried(fault: Fault, failures: u32) -> Fault {
    match failures {
        0 => fault,
        _ => Fault { message: format!("{} (tried {} times)", fault.message, failures + 1), ..fault },
    }
}

/// The wait after `failures` failures in a row, of which there is one at least.
fn backoff(failures: u32) -> Duration {
    WAIT_FIRST.saturating_mul(1 << (failures - 1).min(16)).min(WAIT_LONGEST)
}

/// Why an attempt failed.
enum Failure {
    /// For good.
    Final(anyhow::Error),
    /// Perhaps not the next time; the server may ask for a wait.
    Passing(Fault, Option<Duration>),
}

impl Failure {
    fn of(fault: Fault) -> Failure {
        Failure::Final(fault.into())
    }

    /// What became of a connection, in words.
    fn lost(lost: &Lost, told: String, url: &Url) -> Failure {
        let fault = Fault::failed(told).of(url.to_string());
        match lost.closed() {
            Some(end) => Failure::Final(closed(end)),
            None if lost.is_passing() => Failure::Passing(fault, None),
            None => Failure::of(fault),
        }
    }
}

struct Transfer<'a> {
    download: &'a Download,
    context: &'a Context,
    /// These are with the next stage, and cannot be unsaid.
    passed_bytes: u64,
    /// What they are the beginning of.
    object: Option<Object>,
}

/// An answer that is there, and who gave it.
struct Answered<'a> {
    url: Url,
    answer: Response<()>,
    exchange: Exchange<'a>,
}

impl<'a> Transfer<'a> {
    /// Asks, and passes on what comes.
    fn attempt(&mut self, outlet: &mut Outlet) -> Result<(), Failure> {
        let Answered { url, answer, exchange } = self.ask()?;
        let fault = |why: &str| Failure::of(Fault::failed(why).of(url.to_string()));
        let headers = answer.headers();
        let (announced_bytes, passed_bytes) = (exchange.announced_bytes(), self.passed_bytes);
        let is_encoded = |value: &[u8]| !value.eq_ignore_ascii_case(b"chunked");
        if headers.get_all(TRANSFER_ENCODING).iter().any(|value| is_encoded(value.as_bytes())) {
            return Err(fault("the server sends it in an encoding that is not spoken here"));
        }
        match (answer.status(), &mut self.object) {
            (StatusCode::PARTIAL_CONTENT, Some(object)) if passed_bytes > 0 => {
                object
                    .take_rest(headers, announced_bytes, passed_bytes)
                    .map_err(|why| fault(&in_part(&why, passed_bytes)))?;
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(object))
                if passed_bytes > 0 && object.ends_at(headers, passed_bytes) =>
            {
                return Ok(());
            }
            (StatusCode::PARTIAL_CONTENT, _) => {
                return Err(fault("the server gave a part of it that nobody asked for"));
            }
            (status, Some(object)) if status.is_success() && passed_bytes > 0 => {
                return Err(fault(&in_part(object.why_not_in_part(headers), passed_bytes)));
            }
            (status, object) if status.is_success() => *object = Some(Object::of(headers, announced_bytes)),
            (status, _) => {
                let asked = asked_wait(headers, SystemTime::now());
                let fault = refusal(&answer, exchange, &url.to_string());
                return Err(if is_passing(status) {
                    Failure::Passing(fault, asked)
                } else {
                    Failure::of(fault)
                });
            }
        }
        if let Some(total_bytes) = self.total_bytes() {
            self.context.gauge().announce_total(total_bytes);
        }
        self.pass_on(exchange, &url, outlet)
    }

    fn total_bytes(&self) -> Option<u64> {
        self.object.as_ref().and_then(|object| object.total_bytes)
    }

    /// Why it cannot go on from where it is, if it cannot.
    fn objection(&self) -> Option<&'static str> {
        self.object.as_ref().filter(|_| self.passed_bytes > 0).and_then(Object::objection)
    }

    /// The answer of the server to which, in the end, the URL leads.
    fn ask(&self) -> Result<Answered<'a>, Failure> {
        let mut url = self.download.url.clone();
        let mut pointed = Pointed::Nowhere;
        for _ in 0..=REDIRECTS_MAX {
            let (answer, exchange) = self.ask_one(&url, pointed)?;
            let Some(location) = pointer(&answer) else { return Ok(Answered { url, answer, exchange }) };
            let fault = |why: String| Failure::of(Fault::failed(why).of(url.to_string()));
            let mut next = url.join(location).map_err(|why| fault(format!("leads nowhere: {why}")))?;
            if url.scheme == Scheme::Https && next.scheme == Scheme::Http {
                return Err(fault(format!("leads to {next}, which is not secured")));
            }
            if !next.is_of_same_origin(&url) {
                pointed = Pointed::Elsewhere;
            } else if pointed == Pointed::Nowhere {
                next.credentials.clone_from(&url.credentials);
            }
            url = next;
        }
        let why = format!("leads on more than {REDIRECTS_MAX} times, the last time to {url}");
        Err(Failure::of(Fault::failed(why).of(self.download.url.to_string())))
    }

    fn ask_one(&self, url: &Url, pointed: Pointed) -> Result<(Response<()>, Exchange<'a>), Failure> {
        let mut headers = headers(url, &self.download.headers, pointed);
        if let Some(object) = self.object.as_ref().filter(|_| self.passed_bytes > 0) {
            object.ask_for_rest(&mut headers, self.passed_bytes);
        }
        let connected = connect(url, self.context).map_err(|unconnected| match unconnected {
            Unconnected::Passing(fault) => Failure::Passing(fault, None),
            Unconnected::Final(error) => Failure::Final(error),
        })?;
        let (wire, request) =
            connected.request(Method::GET, url, headers, Upload::Over).map_err(Failure::Final)?;
        let (exchange, answer) = Exchange::begin(wire, request, Some(ANSWER_TIME), self.context)
            .map_err(|lost| Failure::lost(&lost, lost.before_the_answer(), url))?;
        Ok((answer, exchange))
    }

    fn pass_on(&mut self, mut exchange: Exchange<'_>, url: &Url, outlet: &mut Outlet) -> Result<(), Failure> {
        let up = |error: std::io::Error| Failure::Final(error.into());
        loop {
            let came = exchange.next_bytes(Some(SILENCE_TIME));
            let came = came.map_err(|lost| {
                Failure::lost(&lost, lost.in_the_body(self.passed_bytes, self.total_bytes()), url)
            })?;
            let Some(bytes) = came else { break };
            self.context.gauge().read(bytes.len() as u64);
            let end_bytes = self.passed_bytes + bytes.len() as u64;
            if self.total_bytes().is_some_and(|total| end_bytes > total) {
                let why = in_part("the server gives more than it has announced", self.passed_bytes);
                return Err(Failure::of(Fault::failed(why).of(url.to_string())));
            }
            outlet.write_all(&bytes).map_err(up)?;
            self.passed_bytes = end_bytes;
            outlet.flush().map_err(up)?;
        }
        match self.total_bytes() {
            Some(total) if self.passed_bytes < total => {
                Err(Failure::lost(&Lost::Short, Lost::Short.in_the_body(self.passed_bytes, Some(total)), url))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::backoff;
    use std::time::Duration;

    #[test]
    fn each_wait_is_longer_up_to_the_longest() {
        let waits: Vec<u64> =
            [1, 2, 3, 4, 7, 8, u32::MAX].map(|count| backoff(count).as_millis() as u64).into();
        assert_eq!(waits, [500, 1000, 2000, 4000, 30_000, 30_000, 30_000]);
        assert_eq!(backoff(5), Duration::from_secs(8));
    }
}
