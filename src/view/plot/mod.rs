//! A run as a picture for people who were not there: SVG, or a page with it and the report.
//! Reads nothing and writes nothing; needs no crate that draws.
//!
//! | file | what it holds |
//! |---|---|
//! | `series` | what is kept of a run while it lasts |
//! | `chart` | values over time, as steps |
//! | `svg` | shapes and text as SVG |
//! | `picture` | where everything stands |
//! | `page` | the picture in a page, with tables |

mod chart;
mod page;
mod picture;
mod series;
mod svg;
#[cfg(test)]
mod tests;

pub(super) use series::{Sample, Series};

use crate::engine::Report;
use crate::verdict::Verdict;
use std::path::Path;

/// What a run is drawn as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `.svg`: the picture.
    Picture,
    /// `.html`: a page with the picture and the report.
    Page,
}

impl Form {
    /// As the ending of a file's name says, in capitals or not; `None` for any other ending.
    pub fn of(path: &Path) -> Option<Form> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "svg" => Some(Form::Picture),
            "html" => Some(Form::Page),
            _ => None,
        }
    }

    /// The file's text.
    pub(super) fn draw(self, report: &Report, verdict: &Verdict, series: &Series) -> String {
        let picture = picture::picture(report, verdict, series);
        match self {
            Form::Picture => picture,
            Form::Page => page::page(report, verdict, &picture),
        }
    }
}
