//! What a picture and a page show, of runs that never were.

use super::{Form, Sample, Series};
use crate::engine::{Failure, Outcome, Output, OutputState, Report};
use crate::exit::Exit;
use crate::flow::{Reading, ServerReading};
use crate::verdict::judge;
use crate::verdict::planted::{Part, alter, chain};
use std::path::Path;

fn reading() -> Reading {
    let parts = [
        Part::new("read", [0.05, 0.0, 0.95, 0.0]),
        Part { label: "-9", ..Part::new("gzip", [1.0, 0.0, 0.0, 0.0]) },
        Part { label: "a<b>&\"\u{1b}", ..Part::new("write", [0.3, 0.3, 0.0, 0.4]) },
    ];
    chain(4.0, &parts)
}

fn drawn(form: Form, reading: &Reading, failures: Vec<Failure>) -> String {
    let outcome = failures.first().map_or(Outcome::Done, |failure| Outcome::Failed(failure.exit));
    let outputs = vec![Output { name: "<out>".to_owned(), state: OutputState::NotCreated }];
    let notes = vec!["md5 & more".to_owned()];
    let report = Report { outcome, failures, outputs, notes, reading: reading.clone() };
    let mut series = Series::default();
    series.push(Sample::between(reading, None));
    form.draw(&report, &judge(reading, None), &series)
}

/// Whether every element is closed where it should be, and no text holds what is markup. `<!…>` and `<meta>` are left out.
fn assert_well_formed(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in text.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').expect("a `<` begins a tag");
        assert!(!rest.contains('>') || open.last() == Some(&"style"), "a stray `>` behind `<{tag}>`");
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "`</{closed}>`"),
            None if tag.ends_with('/') || name.starts_with('!') || name == "meta" => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
}

#[test]
fn the_ending_of_a_name_says_what_is_drawn() {
    let form = |name: &str| Form::of(Path::new(name));
    assert_eq!(
        (form("a.svg"), form("b/A.SVG"), form("a.html")),
        (Some(Form::Picture), Some(Form::Picture), Some(Form::Page))
    );
    assert_eq!((form("a.png"), form("svg"), form(".svg")), (None, None, None));
}

#[test]
fn a_picture_tells_the_verdict_and_marks_the_stage() {
    let picture = drawn(Form::Picture, &reading(), Vec::new());
    assert_well_formed(&picture);
    assert!(picture.contains("class=\"title\">limited by gzip -9 (computing)"), "{picture}");
    assert_eq!(picture.matches("◀ limits").count(), 1);
    for part in [
        "stalled 950×, 3.8 s, 95%",
        ">95% full on average<",
        ">1.00 MiB<",
        ">read → gzip<",
        ">4 s<",
        "16 MiB/s",
    ] {
        assert!(picture.contains(part), "not there: {part}\n{picture}");
    }
    assert!(picture.contains("write a&lt;b&gt;&amp;&quot;\\x1b"));
}

#[test]
fn a_picture_needs_nothing_from_elsewhere() {
    for form in [Form::Picture, Form::Page] {
        let text = drawn(form, &reading(), Vec::new()).replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http", "<script", "<link", "@import", "url(", "src="] {
            assert!(!text.contains(foreign), "{foreign}");
        }
        assert!(text.contains("prefers-color-scheme: dark"));
    }
}

#[test]
fn a_failure_is_the_title_and_the_page_tells_what_became_of_the_outputs() {
    let message = "in<put>: corrupt data at input byte 4711".to_owned();
    let failure = Failure { stage: Some(1), exit: Exit::Refused, message, help: None };
    let page = drawn(Form::Page, &reading(), vec![failure]);
    assert_well_formed(&page);
    assert!(page.contains("class=\"title\">failed: gzip: in&lt;put&gt;: corrupt data"), "{page}");
    assert!(page.contains("<li>&lt;out&gt; was not created</li>\n<li>md5 &amp; more</li>"));
    assert!(page.contains("<tr><td>gzip -9</td><td>64.0 MiB</td><td>100%</td>"), "{page}");
    assert!(page.contains("<td>read → gzip</td><td>64.0 MiB</td><td>95%</td><td>1.00 MiB of 1.00 MiB</td>"));
}

#[test]
fn the_rows_of_a_duplex_are_told_apart() {
    let mut duplex = reading();
    alter(&mut duplex, |scheme| scheme.stages[1].returns = Some(2));
    let picture = drawn(Form::Picture, &duplex, Vec::new());
    assert!(picture.contains("MiB to its peer") && picture.contains("MiB from its peer"));
}

#[test]
fn a_server_shows_what_goes_in_and_out() {
    let mut server = chain(4.0, &[Part::new("serve", [0.0, 1.0, 0.0, 0.0])]);
    server.server = Some(ServerReading {
        bytes_read: 8 << 20,
        runs: 3,
        runs_open: 2,
        runs_failed: 1,
        ..ServerReading::default()
    });
    let picture = drawn(Form::Picture, &server, Vec::new());
    assert_well_formed(&picture);
    for part in [">served 3 runs, 1 of them failed<", ">from peers<", ">2.0 MiB/s<", ">runs at once<"] {
        assert!(picture.contains(part), "not there: {part}\n{picture}");
    }
    assert!(!picture.contains("starved</text>"));
    assert_well_formed(&drawn(Form::Page, &server, Vec::new()));
}

#[test]
fn a_run_of_nothing_can_be_drawn() {
    let nothing = Reading::default();
    let report = Report {
        outcome: Outcome::Done,
        failures: Vec::new(),
        outputs: Vec::new(),
        notes: Vec::new(),
        reading: nothing.clone(),
    };
    let page = Form::Page.draw(&report, &judge(&nothing, None), &Series::default());
    assert_well_formed(&page);
    assert!(page.contains("It ended before anything could be read of it."));
}
