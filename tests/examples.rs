//! What the man page and the help promise of each stage, tried as it is printed there.
//! Holds no example itself: the stage table does.

use crate::harness::World;
use weir::lang::{Batch, parse};
use weir::plan::{Plan, Settings};
use weir::stage::TABLE;

#[test]
fn every_example_gives_what_it_promises() {
    for entry in TABLE {
        for example in entry.examples {
            let world = World::new();
            let call = world.weir(example.chain).stdin(example.input);
            // Where an example asks for a passphrase, this is it.
            let ran = call.env("WEIR_PASSPHRASE", "correct horse battery staple").run().with_code(0);
            // A digest is told, and no example deserves a warning.
            assert!(!ran.stderr().contains("weir:"), "{}: {}", example.chain, ran.stderr());
            assert_eq!(
                String::from_utf8_lossy(ran.stdout()),
                String::from_utf8_lossy(example.output),
                "{}: {}",
                entry.name,
                example.chain
            );
            assert_eq!(ran.stdout(), example.output, "{}: {}", entry.name, example.chain);
            world.assert_names(&[]);
        }
    }
}

#[test]
fn every_chain_that_is_only_shown_is_sound() {
    for (entry, chain) in TABLE.iter().flat_map(|entry| entry.shown.iter().map(move |chain| (entry, chain))) {
        let tree = parse(chain.as_bytes()).unwrap_or_else(|mistakes| panic!("{chain}: {mistakes:?}"));
        let batch = Batch::new(tree, Vec::new()).unwrap_or_else(|mistakes| panic!("{chain}: {mistakes:?}"));
        let plan = Plan::new(&batch.chain(0), TABLE, Settings::default());
        let plan = plan.unwrap_or_else(|refusal| panic!("{chain}: {refusal:?}"));
        assert!(plan.warnings.is_empty(), "{chain}: {:?}", plan.warnings);
        assert!(plan.stages.iter().any(|stage| stage.name == entry.name), "{chain} without {}", entry.name);
    }
}

#[test]
fn every_stage_gives_its_help_in_a_chain() {
    let world = World::new();
    for entry in TABLE {
        let ran = world.weir(format!("{} --help", entry.name)).run().quietly();
        let help = String::from_utf8_lossy(ran.stdout()).into_owned();
        let about = entry.command().get_about().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with(&about), "{}: {help}", entry.name);
        assert!(help.contains(&format!("Usage: {}", entry.name)), "{}: {help}", entry.name);
    }
}

#[test]
fn help_in_the_middle_of_a_chain_opens_nothing() {
    let world = World::new();
    for entry in TABLE {
        world.weir(format!("read missing | {} --help | write out", entry.name)).run().quietly();
    }
    world.assert_names(&[]);
}

#[test]
fn every_stage_is_listed() {
    let ran = World::new().weir("--stages").run().quietly();
    let list = String::from_utf8_lossy(ran.stdout()).into_owned();
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let expected: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
    assert_eq!(names, expected);
}
