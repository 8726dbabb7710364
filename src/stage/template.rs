//! What stands in the place of a match: a text with the groups of the pattern in it.
//! Knows nothing of arguments, nor of where the lines come from.

use super::lines::without_newline;
use crate::diagnostic::printable;
use crate::flow::Outlet;
use regex::bytes::{Captures, Match, Regex};
use std::io::{self, Write};

/// TEXT, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    /// What the group of that number matched.
    Group(usize),
}

impl Template {
    /// Taken as it is.
    pub(super) fn plain(text: &[u8]) -> Template {
        Template { parts: vec![Part::Text(text.to_vec())] }
    }

    /// The syntax is that of the regex crate, but a group that is not there is a mistake, not an empty text.
    pub(super) fn parse(text: &[u8], regex: &Regex) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let [first, behind @ ..] = rest {
            let (group, behind) = match (first, behind) {
                (b'$', [b'$', behind @ ..]) => (None, behind),
                (b'$', [b'{', behind @ ..]) => {
                    let Some(end) = behind.iter().position(|&byte| byte == b'}') else {
                        return Err("`${` without `}`\nfor a dollar sign, write `$$`".to_owned());
                    };
                    (Some(&behind[..end]), &behind[end + 1..])
                }
                (b'$', _) => {
                    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                    let length = behind.iter().take_while(|byte| is_name(byte)).count();
                    ((length > 0).then_some(&behind[..length]), &behind[length..])
                }
                _ => (None, behind),
            };
            match group {
                Some(name) => {
                    parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
                    parts.push(Part::Group(group_number(name, regex)?));
                }
                None => plain.push(*first),
            }
            rest = behind;
        }
        parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
        Ok(Template { parts })
    }

    /// Writes `lines` with every match replaced; their last newline, if there is one, belongs to no match.
    pub(super) fn replace(&self, lines: &[u8], regex: &Regex, outlet: &mut Outlet) -> io::Result<()> {
        let text = without_newline(lines);
        let mut copied = 0;
        let mut put = |found: Match<'_>, captures: Option<&Captures<'_>>| {
            if found.is_empty() && is_within_character(text, found.start()) {
                return Ok(());
            }
            outlet.write_all(&text[copied..found.start()])?;
            copied = found.end();
            self.parts.iter().try_for_each(|part| match part {
                Part::Text(text) => outlet.write_all(text),
                Part::Group(0) => outlet.write_all(found.as_bytes()),
                Part::Group(number) => {
                    let group = captures.and_then(|captures| captures.get(*number));
                    outlet.write_all(group.map_or(&[], |group| group.as_bytes()))
                }
            })
        };
        // To know the groups takes several times as long as to find the match.
        if self.parts.iter().any(|part| matches!(part, Part::Group(1..))) {
            for captures in regex.captures_iter(text) {
                let Some(found) = captures.get(0) else { continue };
                put(found, Some(&captures))?;
            }
        } else {
            regex.find_iter(text).try_for_each(|found| put(found, None))?;
        }
        outlet.write_all(&lines[copied..])
    }
}

fn group_number(name: &[u8], regex: &Regex) -> Result<usize, String> {
    let name = String::from_utf8_lossy(name);
    let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
    let number = match digits == name {
        true => name.parse().ok().filter(|&number: &usize| number < regex.captures_len()),
        false => regex.capture_names().position(|known| known == Some(&*name)),
    };
    number.ok_or_else(|| {
        let groups = match regex.captures_len() {
            0 | 1 => "PATTERN has no group".to_owned(),
            2 => "PATTERN has 1 group".to_owned(),
            many => format!("PATTERN has {} groups", many - 1),
        };
        let name = printable(name.as_bytes());
        let behind = &name[digits.len().min(name.len())..];
        let meant = match digits.is_empty() || behind.is_empty() {
            true => "for a dollar sign, write `$$`".to_owned(),
            false => format!("for group {digits} with `{behind}` behind it, write `${{{digits}}}{behind}`"),
        };
        format!("there is no group `{name}`: {groups}\n{meant}")
    })
}

/// Whether `at` is between the bytes of a UTF-8 character: nothing can be put in there without destroying it.
fn is_within_character(text: &[u8], at: usize) -> bool {
    let is_continuation = |byte: &u8| byte & 0xc0 == 0x80;
    if !text.get(at).is_some_and(is_continuation) {
        return false;
    }
    let behind = text[..at].iter().rev().take(3).take_while(|byte| is_continuation(byte)).count();
    let Some(start) = at.checked_sub(behind + 1) else { return false };
    let first = text[start..].utf8_chunks().next();
    first.and_then(|chunk| chunk.valid().chars().next()).is_some_and(|letter| start + letter.len_utf8() > at)
}
