//! What can become of a connection instead of an answer, and how people are told.
//! Knows nothing of who was asked for what.

use crate::flow::Closed;
use crate::stage::outside::stream::reason;
use crate::units;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Why an answer did not come, or not whole.
#[derive(Debug)]
pub(in crate::stage) enum Lost {
    /// The run is given up, or nobody wants more.
    Closed(Closed),
    /// What was to be sent did not end well; why, another stage knows.
    NotWhole,
    /// Nothing came for so long.
    Silent(Duration),
    /// The connection ended before the answer did.
    Short,
    /// It was reset.
    Reset,
    /// What came is no HTTP.
    Garbled(String),
    /// Anything else the system says.
    Io(io::Error),
}

impl Lost {
    /// What hyper makes of it.
    pub(in crate::stage) fn of(error: &hyper::Error) -> Lost {
        if error.is_user() || error.is_body_write_aborted() {
            return Lost::NotWhole;
        }
        if error.is_parse() {
            return Lost::Garbled(error.to_string());
        }
        if error.is_incomplete_message() {
            return Lost::Short;
        }
        let mut cause: Option<&(dyn Error + 'static)> = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                return Lost::of(error);
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Lost::of_io(error);
            }
            cause = error.source();
        }
        Lost::Short
    }

    fn of_io(error: &io::Error) -> Lost {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Lost::Short,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Lost::Reset,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Lost::Garbled(reason(error)),
            _ => match error.raw_os_error() {
                Some(number) => Lost::Io(io::Error::from_raw_os_error(number)),
                None => Lost::Io(io::Error::new(error.kind(), error.to_string())),
            },
        }
    }

    /// Whether it may go better the next time.
    pub(in crate::stage) fn is_passing(&self) -> bool {
        match self {
            Lost::Closed(_) | Lost::NotWhole | Lost::Garbled(_) => false,
            Lost::Silent(_) | Lost::Short | Lost::Reset | Lost::Io(_) => true,
        }
    }

    /// While an answer was waited for.
    pub(in crate::stage) fn before_the_answer(&self) -> String {
        match self {
            Lost::Silent(time) => format!("no answer within {}", units::duration(*time)),
            Lost::Short => "the server closed the connection without an answer".to_owned(),
            Lost::Reset => "the server has reset the connection without an answer".to_owned(),
            Lost::Garbled(why) => format!("what answers does not speak HTTP: {why}"),
            Lost::Io(error) => reason(error),
            Lost::Closed(_) | Lost::NotWhole => "the request was given up".to_owned(),
        }
    }

    /// After `came_bytes` of an answer's body, of which there should have been `all_bytes`.
    pub(in crate::stage) fn in_the_body(&self, came_bytes: u64, all_bytes: Option<u64>) -> String {
        let extent = match all_bytes {
            Some(all_bytes) => format!("after {came_bytes} of {all_bytes} bytes"),
            None => format!("after {came_bytes} bytes"),
        };
        match self {
            Lost::Silent(time) => format!("nothing came for {}, {extent}", units::duration(*time)),
            Lost::Short if all_bytes.is_none() => format!("body ended {extent}, without the mark of its end"),
            Lost::Short => format!("body ended {extent}"),
            Lost::Reset => format!("the server has reset the connection {extent}"),
            Lost::Garbled(why) => format!("body is no HTTP {extent}: {why}"),
            Lost::Io(error) => format!("{} {extent}", reason(error)),
            Lost::Closed(_) | Lost::NotWhole => format!("the transfer was given up {extent}"),
        }
    }

    /// The end of a link that caused it, if that did.
    pub(in crate::stage) fn closed(&self) -> Option<Closed> {
        match self {
            Lost::Closed(closed) => Some(*closed),
            Lost::NotWhole => Some(Closed::Aborted),
            _ => None,
        }
    }
}
