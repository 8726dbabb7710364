//! `decrypt`: decryption of the age format, with identities or a passphrase.
//! How it is done is in `age_format`, where keys come from in `secret`.

use super::age_format::{Key, WORK_FACTOR_MAX, unseal};
use super::arguments::PathArgument;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage, Touch};
use super::secret::{self, Ask, PassphraseArguments};
use clap::FromArgMatches;
use clap::error::ErrorKind;

/// Decrypt the age format
///
/// It takes what `encrypt`, age and rage write, binary or armored. Nothing leaves it that is not authentic; but whether the
/// input is complete is known at its end only. `write` waits for that; what went to standard output or over a network before
/// it is out.
///
/// A wrong key, and input that is empty, truncated or tampered with, is refused (exit 3), with the place in the input. The
/// beginning of a block and a changed block look the same: then both are named.
#[derive(Debug, clap::Parser)]
pub(super) struct Decrypt {
    /// A file of identities, as age-keygen makes it; may be given more than once
    #[arg(short, long = "identity", value_name = "FILE")]
    #[arg(conflicts_with_all = ["passphrase", "passphrase_file"])]
    identities: Vec<PathArgument>,

    #[command(flatten)]
    passphrase: PassphraseArguments,
}

/// What the example opens, with `correct horse battery staple`.
const SEALED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----\n\
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBCRHB4aDNURmNyMktKYTIr\n\
c2IvTlhBIDEwCkIxY25qUTRVUWgrYWc0dWM2Mkd1WjVTS0QreXJ1MDJDSGZPK01C\n\
dWhSQkUKLS0tIDZ4Y2lLRzl1SjIwRVlqZ2ZOTkV1MUZlZTFrTGUraUdmaERDdTFh\n\
Kzg0encKGxax31OLoS3D+X7buFyqcMe/qeOKsUhJNz6DpQNVSDdwxYw6rq/3bK5s\n\
rmMY\n\
-----END AGE ENCRYPTED FILE-----\n";

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Decryptor,
    examples: &[Example { chain: "decrypt -p", input: SEALED, output: b"open at last\n" }],
    parse: |matches| Ok(Box::new(Decrypt::from_arg_matches(matches)?.checked()?)),
    ..Entry::of::<Decrypt>("decrypt", Role::Filter)
};

impl Decrypt {
    /// What arguments that are right one by one may do wrong together.
    fn checked(self) -> Result<Decrypt, clap::Error> {
        if self.identities.is_empty() && !self.passphrase.is_wanted() {
            return Err(secret::no_key("`-i FILE`, `-p` or `--passphrase-file FILE`"));
        }
        let files = self.identities.iter().chain(&self.passphrase.passphrase_file);
        match secret::no_stream(files) {
            Ok(()) => Ok(self),
            Err(message) => Err(clap::Error::raw(ErrorKind::ValueValidation, message)),
        }
    }
}

impl Stage for Decrypt {
    fn label(&self) -> String {
        match &self.identities[..] {
            [] => self.passphrase.label(),
            [only] => format!("-i {only}"),
            [first, rest @ ..] => format!("-i {first} +{}", rest.len()),
        }
    }

    fn touches(&self) -> Vec<Touch> {
        let files = self.identities.iter().map(|file| Touch::Read(file.path.clone()));
        files.chain(self.passphrase.touches()).collect()
    }

    fn asks(&self) -> bool {
        self.passphrase.is_asked_for()
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let (key, tried) = if self.passphrase.is_wanted() {
            let mut identity = age::scrypt::Identity::new(self.passphrase.get(Ask::Once, opening)?);
            identity.set_max_work_factor(WORK_FACTOR_MAX);
            (Key::Passphrase(identity), String::new())
        } else {
            let (identities, tried) = secret::identities(&self.identities, opening)?;
            (Key::Identities(identities), tried)
        };
        Ok(Body::filter(move |inlet, outlet, context| unseal(&key, &tried, inlet, outlet, context)))
    }
}
