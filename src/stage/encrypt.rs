//! `encrypt`: encryption to the age format, for recipients or with a passphrase.
//! How it is done is in `age_format`, where keys come from in `secret`.

use super::age_format::{Form, WORK_FACTOR, seal};
use super::arguments::PathArgument;
use super::contract::{Body, Entry, Example, Nature, Opening, Role, Stage, Touch};
use super::fault::Fault;
use super::secret::{self, Ask, PassphraseArguments, RecipientKey};
use clap::FromArgMatches;
use clap::error::ErrorKind;

/// How much of a recipient the view shows.
const SHOWN_LETTERS: usize = 12;

/// Encrypt to the age format
///
/// Who holds the secret key of one of the recipients, or knows the passphrase, can decrypt it: with `decrypt`, with age or
/// with rage. A recipient begins with `age1`; `age-keygen` makes one, and the identity that belongs to it.
///
/// The output is binary; with `--armor` it is text, a third longer. It does not compress: compress before.
#[derive(Debug, clap::Parser)]
pub(super) struct Encrypt {
    /// A recipient; may be given more than once
    #[arg(short, long = "recipient", value_name = "RECIPIENT", value_parser = RecipientKey::parse)]
    #[arg(conflicts_with_all = ["passphrase", "passphrase_file"])]
    recipients: Vec<RecipientKey>,

    /// A file of recipients, one in each line; may be given more than once
    ///
    /// Empty lines and such that begin with `#` are left out.
    #[arg(short = 'R', long = "recipients-file", value_name = "FILE")]
    #[arg(conflicts_with_all = ["passphrase", "passphrase_file"])]
    files: Vec<PathArgument>,

    #[command(flatten)]
    passphrase: PassphraseArguments,

    /// Give text: base64 between two marks
    #[arg(short, long)]
    armor: bool,
}

pub(super) const ENTRY: Entry = Entry {
    nature: Nature::Encryptor,
    examples: &[
        Example {
            chain: "encrypt -r age1edjan8qg9tey6wwx2fhmydfzurm9lr4h5duxahwk48vnuughnvzs8g934j --armor | head -n 1",
            input: b"for the owner of that key\n",
            output: b"-----BEGIN AGE ENCRYPTED FILE-----\n",
        },
        Example { chain: "encrypt -p | decrypt -p", input: b"there and back\n", output: b"there and back\n" },
    ],
    parse: |matches| Ok(Box::new(Encrypt::from_arg_matches(matches)?.checked()?)),
    ..Entry::of::<Encrypt>("encrypt", Role::Filter)
};

impl Encrypt {
    /// What arguments that are right one by one may do wrong together.
    fn checked(self) -> Result<Encrypt, clap::Error> {
        if self.recipients.is_empty() && self.files.is_empty() && !self.passphrase.is_wanted() {
            return Err(secret::no_key("`-r RECIPIENT`, `-R FILE`, `-p` or `--passphrase-file FILE`"));
        }
        let files = self.files.iter().chain(&self.passphrase.passphrase_file);
        let wrong = match secret::doubled(&self.recipients) {
            Some(key) => Err(format!("the recipient `{key}` is given twice")),
            None => secret::agree(&self.recipients).and_then(|()| secret::no_stream(files)),
        };
        match wrong {
            Ok(()) => Ok(self),
            Err(message) => Err(clap::Error::raw(ErrorKind::ValueValidation, message)),
        }
    }
}

impl Stage for Encrypt {
    fn label(&self) -> String {
        let key = match (&self.recipients[..], &self.files[..]) {
            ([], []) => self.passphrase.label(),
            ([first, rest @ ..], files) => {
                let more = rest.len() + files.len();
                let more = if more == 0 { String::new() } else { format!(" +{more}") };
                format!("-r {:.SHOWN_LETTERS$}...{more}", first.to_string())
            }
            ([], [only]) => format!("-R {only}"),
            ([], [first, rest @ ..]) => format!("-R {first} +{}", rest.len()),
        };
        if self.armor { format!("{key} --armor") } else { key }
    }

    fn touches(&self) -> Vec<Touch> {
        let files = self.files.iter().map(|file| Touch::Read(file.path.clone()));
        files.chain(self.passphrase.touches()).collect()
    }

    fn gives_text(&self) -> bool {
        self.armor
    }

    fn asks(&self) -> bool {
        self.passphrase.is_asked_for()
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let recipients: Vec<Box<dyn age::Recipient + Send>> = if self.passphrase.is_wanted() {
            let mut recipient = age::scrypt::Recipient::new(self.passphrase.get(Ask::Twice, opening)?);
            recipient.set_work_factor(WORK_FACTOR);
            vec![Box::new(recipient)]
        } else {
            let mut keys = self.recipients;
            keys.extend(secret::recipients(&self.files, opening)?);
            secret::agree(&keys).map_err(Fault::refused)?;
            keys.into_iter().map(RecipientKey::boxed).collect()
        };
        let form = if self.armor { Form::Armored } else { Form::Binary };
        Ok(Body::filter(move |inlet, outlet, context| seal(&recipients, form, inlet, outlet, context)))
    }
}
