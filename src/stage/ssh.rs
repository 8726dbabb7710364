//! `ssh`: a command on another machine as a stage, through the system's ssh.
//! Knows nothing of its protocol, nor of processes: `child` starts it and sees it to its end.

use super::arguments::{DATA_MARK, PathArgument, TextArgument};
use super::child::command::{Given, name_of, plain, start};
use super::child::peer::{BadEnd, Terms, body};
use super::child::shell_words::for_a_shell;
use super::contract::{Body, Entry, Opening, Peer, Role, Stage, Touch};
use super::fault::Fault;
use clap::FromArgMatches;
use clap::error::ErrorKind;
use std::ffi::{OsStr, OsString};

/// The environment variable that names the program to be used for ssh.
const PROGRAM_VARIABLE: &str = "WEIR_SSH";
/// With it ssh says that it has failed itself, or that it knows no exit status of the command.
const OWN_FAILURE: i32 = 255;

/// Run a command on another machine: it is given what comes in, and gives what goes on
///
/// The system's ssh is started, with your configuration, keys and known hosts, as git and rsync do it. The environment
/// variable WEIR_SSH names another program; it is called with `-T`, the options given here, `--`, HOST, and CMD.
///
/// Each word of CMD reaches the program there as one argument, whatever is in it; what a shell there would take for
/// something else is quoted for it. For a line of shell: `ssh HOST sh -c '…'`. At the beginning of a chain the command is given
/// nothing; write `stdin | ssh HOST CMD` to give it standard input.
///
/// The stage ends when the command has. Any exit status but 0 fails the run, and so does a connection that cannot be made or
/// is lost. What ssh and the command say on standard error is passed on by line; what it asks, ssh asks on the terminal. All
/// that comes on standard output is data, also what a profile there writes.
///
/// If a stage before it fails, or the connection is lost, the command there finds an end of its input, and cannot know that
/// it is none: a file it writes is cut short. With `spool` in front nothing is sent before all of it is there. What the command
/// has done is not undone when the run fails.
#[derive(Debug, clap::Parser)]
#[command(override_usage = "ssh [OPTIONS] <HOST> <CMD> [ARG]...")]
pub(super) struct Ssh {
    /// The port to connect to, if not the one that is configured
    #[arg(short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Log in with the key in this file; may be given several times
    #[arg(short, value_name = "FILE")]
    identity: Vec<PathArgument>,

    /// Go through this machine, or through these in turn with commas between them
    #[arg(short = 'J', value_name = "HOST", value_parser = jumps)]
    jumps: Option<String>,

    /// An option as in your ssh configuration (`-o ServerAliveInterval=15` notices a dead connection); may be given several
    /// times
    #[arg(short, value_name = "OPTION")]
    option: Vec<TextArgument>,

    /// Take these exit statuses of the command for a success, too, with commas between them; 255 is ssh's own
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(..=254))]
    ok: Vec<u8>,

    /// The machine, as in `HOST`, `USER@HOST`, or a name out of your ssh configuration
    #[arg(value_name = "HOST", required = true, value_parser = host)]
    host: String,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    words: Vec<TextArgument>,
}

pub(super) const ENTRY: Entry = Entry {
    peer: Peer::SelfReliant,
    shown: &[
        "read notes.txt | gzip | ssh me@example.org sh -c \"cat >notes.txt.gz\"",
        "ssh -p 2222 me@example.org tar -cf - photos | gzip | write photos.tar.gz",
        "ssh example.org cat /var/log/messages.1.gz | gunzip | head -n 10",
    ],
    parse,
    ..Entry::of::<Ssh>("ssh", Role::Filter)
};

fn parse(matches: &clap::ArgMatches) -> Result<Box<dyn Stage>, clap::Error> {
    let ssh = Ssh::from_arg_matches(matches)?;
    match ssh.words.first() {
        Some(command) if !command.0.is_empty() => Ok(Box::new(ssh)),
        _ => Err(clap::Error::raw(ErrorKind::InvalidValue, "<CMD> is empty")),
    }
}

/// What ssh would take for an option, or a shell that it starts here (`ProxyCommand`) for more than a name, is no host.
fn host(text: &str) -> Result<String, String> {
    let name = text.trim_start_matches(char::from(DATA_MARK));
    if name.is_empty() {
        return Err("a name is expected".to_owned());
    }
    if name.starts_with('-') {
        return Err("no host's name begins with `-`".to_owned());
    }
    let is_foreign = |c: &char| c.is_whitespace() || c.is_control() || "'\"`$;&<>|(){}".contains(*c);
    match name.chars().find(is_foreign) {
        Some(foreign) => Err(format!("{foreign:?} is in no host's name")),
        None => Ok(name.to_owned()),
    }
}

fn jumps(text: &str) -> Result<String, String> {
    let hosts: Result<Vec<String>, String> = text.split(',').map(host).collect();
    Ok(hosts?.join(","))
}

impl Ssh {
    /// The command's own name.
    fn command(&self) -> String {
        name_of(plain(&self.words).first().map_or(OsStr::new(""), OsString::as_os_str))
    }

    fn host(&self) -> String {
        name_of(OsStr::new(&self.host))
    }

    /// What is run here.
    fn call(&self, program: OsString) -> Vec<OsString> {
        // Configured or not, a terminal there would change the bytes.
        let mut call = vec![program, "-T".into()];
        if let Some(port) = self.port {
            call.extend(["-p".into(), port.to_string().into()]);
        }
        for file in &self.identity {
            call.extend(["-i".into(), file.path.clone().into()]);
        }
        if let Some(jumps) = &self.jumps {
            call.extend(["-J".into(), jumps.into()]);
        }
        for option in plain(&self.option) {
            call.extend(["-o".into(), option]);
        }
        // Without it ssh would look for options behind the host, too.
        call.extend(["--".into(), OsString::from(&self.host)]);
        call.extend(for_a_shell(&plain(&self.words)));
        call
    }
}

/// The program, and what to do when it is not there.
fn program(named: Option<OsString>) -> (OsString, String) {
    match named.filter(|name| !name.is_empty()) {
        Some(name) => (name, format!("{PROGRAM_VARIABLE} names it: one program, without arguments")),
        None => ("ssh".into(), format!("install OpenSSH's client, or name another in {PROGRAM_VARIABLE}")),
    }
}

/// A bad end in words.
fn fault(end: BadEnd, host: &str, command: &str) -> Fault {
    let BadEnd { name, code, how, has_said_something } = end;
    let (message, help) = match code {
        None => (format!("{name} {how}"), None),
        Some(OWN_FAILURE) if has_said_something => (
            format!("{name} failed (exit status {OWN_FAILURE})"),
            Some(format!(
                "what it says is above; if none of that is its own, {command} was killed by a signal there, or ended with 255"
            )),
        ),
        // It is silent of its own failures only where it was told to be.
        Some(OWN_FAILURE) => (
            format!("{command} was killed by a signal there, or ended with exit status 255"),
            Some(format!("if it is {name} that failed: `ssh -o LogLevel=VERBOSE …` tells why")),
        ),
        Some(code) => {
            (format!("{command} {how}"), Some(format!("if that is no failure: `ssh --ok {code} …`")))
        }
    };
    Fault { help, ..Fault::failed(message).of(host) }
}

impl Stage for Ssh {
    fn label(&self) -> String {
        let words = plain(&self.words);
        std::iter::once(self.host())
            .chain(words.iter().map(|word| name_of(word)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn touches(&self) -> Vec<Touch> {
        vec![Touch::Child(format!("{} on {}", self.command(), self.host()))]
    }

    fn open(self: Box<Self>, opening: &mut Opening<'_>) -> anyhow::Result<Body> {
        let given = if opening.has_input { Given::Pipe } else { Given::Nothing };
        let (program, remedy) = program(std::env::var_os(PROGRAM_VARIABLE));
        let started = start(&self.call(program), given, Some(remedy))?;
        let (host, command) = (self.host(), self.command());
        if opening.has_input {
            opening.cannot_be_undone(format!("what {command} on {host} was given"));
        }
        let fault = Box::new(move |end| fault(end, &host, &command));
        Ok(body(started, Terms { accepted: self.ok, fault }))
    }
}

#[cfg(test)]
mod tests {
    use super::{BadEnd, ENTRY, Ssh, fault, program};
    use crate::stage::testing::stage;
    use clap::FromArgMatches;
    use std::ffi::{OsStr, OsString};

    fn ssh(words: &[&str]) -> Result<Ssh, clap::Error> {
        Ssh::from_arg_matches(&ENTRY.command().try_get_matches_from(words)?)
    }

    #[test]
    fn the_call_ends_its_options_before_the_host() {
        let options = "-p 2222 -i key -i other -J a,b@c:1 -o A=b -o C=d me@host";
        let words: Vec<&str> = options.split(' ').chain(["sh", "-c", "a b", "--ok", "-p"]).collect();
        let call = ssh(&words).unwrap().call("prog".into());
        let expected =
            "prog -T -p 2222 -i key -i other -J a,b@c:1 -o A=b -o C=d -- me@host sh -c 'a b' --ok -p";
        assert_eq!(call.join(OsStr::new(" ")), expected);
        assert_eq!(stage("ssh -p 1 me@host ls -l").unwrap().label(), "me@host ls -l");
        // As ssh itself takes them behind the host; behind the command all is the command's.
        let call = ssh(&["host", "-p", "1", "ls", "-p", "\0-\0x"]).unwrap().call("prog".into());
        assert_eq!(call.join(OsStr::new(" ")), "prog -T -p 1 -- host ls -p -x");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let names = ["", "\0-oProxyCommand=x", "a b", "a;b", "$(id)", "a\n", "a\u{1b}"];
        for name in names {
            assert!(ssh(&["--", name, "ls"]).is_err(), "{name:?}");
            assert!(ssh(&[&format!("-Ja,{name}"), "host", "ls"]).is_err(), "{name:?}");
        }
        for name in ["host", "me@host", "dom\\me@host", "ssh://me@host:22", "fe80::1%eth0", "ÿ.example"] {
            assert_eq!(ssh(&[name, "ls"]).unwrap().host, name);
        }
    }

    #[test]
    fn a_call_that_is_no_command_is_refused() {
        for call in ["ssh", "ssh host", "ssh host -p 1", "ssh -p 0 host ls", "ssh -p 65536 host ls"] {
            assert!(stage(call).is_err(), "{call}");
        }
        // It would take a failure of ssh itself for a success.
        assert!(stage("ssh --ok 255 host ls").is_err() && stage("ssh --ok 254,1 host ls").is_ok());
        assert!(ENTRY.parse(&ENTRY.command().get_matches_from(["host", ""])).is_err());
    }

    #[test]
    fn how_it_ended_is_told_of_whom_it_belongs_to() {
        let told = |code: Option<i32>, how: &str, has_said_something| {
            let end = BadEnd { name: "ssh".to_owned(), code, how: how.to_owned(), has_said_something };
            fault(end, "host", "ls").to_string()
        };
        assert_eq!(told(Some(3), "ended with exit status 3", true), "host: ls ended with exit status 3");
        assert_eq!(
            told(None, "was killed by signal 9 (KILL)", false),
            "host: ssh was killed by signal 9 (KILL)"
        );
        let own = |has_said_something| told(Some(255), "ended with exit status 255", has_said_something);
        assert_eq!(own(true), "host: ssh failed (exit status 255)");
        assert_eq!(own(false), "host: ls was killed by a signal there, or ended with exit status 255");
    }

    #[test]
    fn the_environment_names_the_program() {
        let name = |named: Option<&str>| program(named.map(OsString::from)).0;
        assert_eq!(
            (name(None), name(Some("")), name(Some("dbclient"))),
            ("ssh".into(), "ssh".into(), "dbclient".into())
        );
    }
}
