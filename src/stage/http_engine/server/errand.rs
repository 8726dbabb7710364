//! A request as people are told of it: which it was, whose, and why it failed, once.
//! Knows nothing of what it asks for.

use crate::diagnostic::printable;
use crate::stage::calls::Saying;
use crate::stage::contract::Context;
use hyper::http::request::Parts;
use std::sync::atomic::{AtomicBool, Ordering};

/// So much of a path is told.
const SHOWN_BYTES: usize = 120;

fn shown(text: &str) -> String {
    let cut = text.floor_char_boundary(SHOWN_BYTES);
    let more = if cut < text.len() { "…" } else { "" };
    format!("{}{more}", printable(&text.as_bytes()[..cut]))
}

/// A request.
pub(super) struct Errand {
    title: String,
    context: Context,
    has_failed: AtomicBool,
}

impl Errand {
    /// One of `peer`.
    pub(super) fn new(head: &Parts, peer: &str, context: &Context) -> Errand {
        let (method, place) = (shown(head.method.as_str()), shown(&head.uri.to_string()));
        let title = format!("{method} {place} for {peer}");
        Errand { title, context: context.clone(), has_failed: AtomicBool::new(false) }
    }

    /// Which request it is, and whose.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// Passes on what its run has to say.
    pub(super) fn says(&self, saying: Saying) {
        match saying {
            Saying::Remark(line) => self.context.remark(format!("{}: {line}", self.title)),
            Saying::Quote(lines) => self.context.quote(lines),
        }
    }

    /// Whether that was told.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Tells that it failed. The first reason is the one that counts.
    pub(super) fn fails(&self, message: &str) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            self.says(Saying::Remark(message.to_owned()));
        }
    }
}
