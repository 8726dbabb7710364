//! Files of identities: the secret keys that open a file.
//! Knows nothing of what they open.

use super::{contents, leave_no_core, lines, malformed, name_of};
use crate::stage::arguments::PathArgument;
use crate::stage::contract::Opening;
use crate::stage::fault::Fault;
use age::x25519::Identity;

/// How many public keys are named when none fits.
const NAMED_MAX: usize = 3;

/// The identities in `files`, and what to call them: by their public halves.
///
/// # Errors
/// A [`Fault`] with the file, and the line: what cannot be read, what is no identity.
pub(in crate::stage) fn identities(
    files: &[PathArgument],
    opening: &Opening<'_>,
) -> Result<(Vec<Identity>, String), Fault> {
    leave_no_core();
    let (mut identities, mut names) = (Vec::new(), Vec::new());
    for file in files {
        let text = contents(file, opening)?;
        refuse_a_file_of_another_kind(file, &text)?;
        let before = identities.len();
        for (number, line) in lines(&text) {
            let identity: Identity = line.parse().map_err(|_| malformed(file, number, kind_of(line)))?;
            names.push(format!("{} of {}", identity.to_public(), name_of(file)));
            identities.push(identity);
        }
        if identities.len() == before {
            return Err(Fault::refused("holds no identity").of(name_of(file)));
        }
    }
    let more = names.len().saturating_sub(NAMED_MAX);
    names.truncate(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Ok((identities, names.join(", ") + &more))
}

/// Names what a whole file is that is no list of identities.
fn refuse_a_file_of_another_kind(file: &PathArgument, text: &str) -> Result<(), Fault> {
    let begins = |mark: &str| text.trim_ascii_start().starts_with(mark);
    if begins("-----BEGIN AGE ENCRYPTED FILE-----") || begins("age-encryption.org/") {
        let help = "decrypt it first: `weir 'read FILE | decrypt -p | write --mode 600 IDENTITY'`";
        return Err(Fault::refused("is encrypted itself, and not taken as it is")
            .of(name_of(file))
            .help(help));
    }
    if begins("-----BEGIN ") {
        let message = "is no age identity; ssh and other keys are not taken";
        return Err(Fault::refused(message).of(name_of(file)).help("`age-keygen` makes an identity"));
    }
    Ok(())
}

/// What a line is that is no identity; shows nothing of it.
fn kind_of(line: &str) -> &'static str {
    let begins = |mark: &str| line.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
    match () {
        () if begins("AGE-SECRET-KEY-PQ-") => "is a post-quantum identity, which is not known here",
        () if begins("AGE-PLUGIN-") => "is an identity of a plugin, and plugins are not run",
        () if begins("AGE-SECRET-KEY-1") => "is a damaged identity: its checksum is wrong",
        () if begins("age1") => "is a recipient, the public half of an identity; the secret half is wanted",
        () => "is no identity",
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn a_line_is_told_by_its_beginning() {
        assert!(kind_of("AGE-SECRET-KEY-PQ-1XYZ").contains("post-quantum"));
        assert!(kind_of("AGE-PLUGIN-YUBIKEY-1XYZ").contains("plugin"));
        assert!(kind_of("AGE-SECRET-KEY-1XYZ").contains("damaged"));
        assert!(kind_of("age1xyz").contains("public half"));
        assert_eq!(kind_of("ä"), "is no identity");
    }
}
