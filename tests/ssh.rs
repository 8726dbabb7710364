//! Commands on another machine, which is a server of ours on the loopback with keys that live as long as a test.
//! What is tried with a stand-in for ssh needs no server.

use crate::harness::{Call, Patience, Ran, World, has_tool, skipped};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";

/// A server, and a world whose user it lets in.
struct Server {
    world: World,
    child: Child,
    port: u16,
}

impl Server {
    /// `None`, and noted as skipped, where there cannot be one.
    fn start() -> Option<Server> {
        if !Path::new(SSHD).is_file() {
            skipped("sshd is not installed");
            return None;
        }
        if !has_tool("ssh") || !has_tool("ssh-keygen") {
            return None;
        }
        if nix::unistd::geteuid().is_root() {
            // Where the system's own server has never run, this is missing.
            fs::create_dir_all("/run/sshd").ok();
        }
        let world = World::new();
        for name in ["host", "user", "stranger"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(world.path(name));
            assert!(make.status().unwrap().success());
        }
        fs::copy(world.path("user.pub"), world.path("allowed")).unwrap();
        // The port may be taken by somebody else before the server has it.
        let Some((child, port)) = (0..5).find_map(|_| listening(&world)) else {
            skipped("sshd does not start here");
            return None;
        };
        let host = String::from_utf8(world.bytes("host.pub")).unwrap();
        let user = String::from_utf8(world.bytes("user.pub")).unwrap();
        fs::write(world.path("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        fs::write(world.path("changed"), format!("[127.0.0.1]:{port} {user}")).unwrap();
        let server = Server { world, child, port };
        // A login may be locked, or have no shell.
        let stage = server.stage("known", "user");
        let plain = server.world.shell(&format!("{stage} true </dev/null")).run();
        if plain.code() != 0 {
            skipped(&format!("sshd lets nobody in here: {}", plain.stderr()));
            return None;
        }
        Some(server)
    }

    /// The stage up to its command, which is also how ssh itself is called.
    fn stage(&self, known: &str, key: &str) -> String {
        format!(
            "ssh -p {} -i {} -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes -o BatchMode=yes \
             -o IdentitiesOnly=yes -o IdentityAgent=none 127.0.0.1",
            self.port,
            self.world.path(key).display(),
            self.world.path(known).display()
        )
    }

    /// A chain in which `@ ` stands for the stage up to its command.
    fn weir(&self, chain: &str) -> Call {
        self.world.weir(chain.replace("@ ", &(self.stage("known", "user") + " ")))
    }

    #[track_caller]
    fn run(&self, chain: &str) -> Ran {
        let ran = self.weir(chain).run();
        assert!(ran.took < Duration::from_secs(20), "it took {:?}", ran.took);
        ran
    }

    /// Ends what serves a connection, and then what it has started, which would not hear of that.
    fn cut(&self) {
        // In this order: the first ones are the server's own.
        let mut begun = children(self.child.id());
        let mut next = 0;
        while next < begun.len() {
            begun.extend(children(begun[next]));
            next += 1;
        }
        for id in begun {
            kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGKILL).ok();
        }
    }
}

fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cut();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that listens, and on which port.
fn listening(world: &World) -> Option<(Child, u16)> {
    let port = free_port();
    let mut config =
        format!("ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nStrictModes no\nUsePAM no\n");
    config.push_str("PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n");
    for (option, name) in [("HostKey", "host"), ("AuthorizedKeysFile", "allowed")] {
        writeln!(config, "{option} {}", world.path(name).display()).unwrap();
    }
    fs::write(world.path("config"), config).unwrap();
    let mut child = Command::new(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(world.path("config"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    if !line.starts_with("Server listening") {
        child.kill().ok();
        child.wait().unwrap();
        eprintln!("no server on port {port}: {line}");
        return None;
    }
    // What else it says nobody reads, but it must not wait for that.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    Some((child, port))
}

/// Bytes without any order that a text or a terminal would leave alone.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn bytes_go_both_ways_as_they_are() {
    let Some(server) = Server::start() else { return };
    let bytes = noise(6_000_001);
    server.weir("stdin | @ cat").stdin(bytes.clone()).run().quietly().giving(&bytes);
    server.weir("stdin | @ cat").run().quietly().giving("");
    // First in a chain, the command is given nothing.
    server.weir("@ cat").stdin("not asked for").run().quietly().giving("");
    server
        .run("@ -o RequestTTY=force tty")
        .with_code(1)
        .saying("tty ended with exit status 1")
        .giving("not a tty\n");
}

#[test]
fn a_file_is_copied_to_the_other_machine_whatever_its_name() {
    let Some(server) = Server::start() else { return };
    let bytes = noise(3_000_000);
    fs::create_dir(server.world.path("there")).unwrap();
    for name in ["plain", "it's $(id) \"x\" *;\n!\\", "-n"] {
        fs::write(server.world.path(name), &bytes).unwrap();
        let there = server.world.path("there").join(name);
        let chain = "read {1} | @ sh -c 'cat >\"$1\"' sh {2}";
        server.weir(chain).arg("--").arg(name).arg(&there).run().quietly().giving("");
        assert!(fs::read(there).unwrap() == bytes, "{name}");
    }
}

#[test]
fn every_word_reaches_the_program_there_as_it_is() {
    let Some(server) = Server::start() else { return };
    let mut words: Vec<OsString> = [
        "",
        "a b",
        " ",
        "'",
        "''",
        "\"",
        "\\",
        "\\\\n",
        "$(id)",
        "`id`",
        "$HOME",
        "*",
        "?",
        "~",
        "!",
        "!!",
        "a=b",
        "-n",
        "--",
        "-",
        "--help",
        "#",
        ";",
        "|",
        "&&",
        ">x",
        "{a,b}",
        "[a-z]",
        "time",
        "new\nline",
        "\ttab",
        "ÿß",
        "%s\\0",
        "\u{1b}[2J",
        "\r\n",
    ]
    .iter()
    .map(OsString::from)
    .collect();
    words.push(OsString::from_vec((1..=255).collect()));
    words.push(OsString::from_vec(b"\xff\xfe'\x80".to_vec()));
    words.push("x".repeat(100_000).into());
    // As a command it would be an option of the shell there.
    let ran = server.weir("@ {}").arg("--").arg("--help").run().with_code(1).giving("");
    ran.saying("--help ended with exit status 127");
    let ran = server.weir("@ printf '%s\\0' {@}").arg("--").args(&words).run().quietly();
    let came: Vec<&[u8]> = ran.stdout().strip_suffix(b"\0").unwrap().split(|&byte| byte == 0).collect();
    let sent: Vec<Vec<u8>> = words.into_iter().map(OsString::into_vec).collect();
    assert_eq!(came, sent);
}

#[test]
fn how_the_command_there_ends_decides() {
    let Some(server) = Server::start() else { return };
    let failing = |command: &str| {
        fs::write(server.world.path("out"), "old").unwrap();
        let ran = server.run(&format!("@ sh -c '{command}' | write out")).with_code(1);
        assert_eq!(server.world.bytes("out"), b"old", "{command}");
        ran.saying("out is as it was")
    };
    let ran =
        failing("echo part; exit 3").saying("weir: ssh (stage 1): 127.0.0.1: sh ended with exit status 3\n");
    ran.saying("if that is no failure: `ssh --ok 3 …`");
    failing("echo part; kill -9 $$")
        .saying("127.0.0.1: sh was killed by a signal there, or ended with exit status 255");
    failing("echo words >&2; exit 255").saying("words\n").saying("127.0.0.1: ssh failed (exit status 255)");
    server.run("@ --ok 1,3 sh -c 'echo all; exit 3'").quietly().giving("all\n");
    server.run("@ no-such-command").with_code(1).saying("no-such-command ended with exit status 127");
    server.run("@ sh -c 'echo heard >&2'").with_code(0).saying("heard\n").giving("");
}

#[test]
fn a_connection_that_cannot_be_made_is_ssh_s_own_failure() {
    let Some(server) = Server::start() else { return };
    let world = World::new().with("in", "x");
    let refused = |stage: &str, why: &str| {
        let ran = world.weir(format!("read in | {stage} cat | write out")).run().with_code(1);
        let ran = ran.saying(why).saying("weir: ssh (stage 2): 127.0.0.1: ssh failed (exit status 255)");
        let ran = ran.saying("what it says is above");
        assert_eq!(ran.stderr().matches("weir:").count(), 1, "{}", ran.stderr());
        world.assert_names(&["in"]);
    };
    refused(&format!("ssh -p {} 127.0.0.1", free_port()), "Connection refused");
    refused(&server.stage("none", "user"), "Host key verification failed");
    refused(&server.stage("changed", "user"), "REMOTE HOST IDENTIFICATION HAS CHANGED");
    refused(&server.stage("known", "stranger"), "Permission denied");
    refused("ssh -o NoSuchOption=1 127.0.0.1", "nosuchoption");
}

#[test]
fn a_connection_that_is_lost_fails_the_run() {
    let Some(server) = Server::start() else { return };
    for chain in [
        "@ sh -c 'echo ready; exec sleep 1000' | tee { write out } | stdout",
        "read /dev/zero | @ sh -c 'echo ready; exec cat >/dev/null' | tee { write out } | stdout",
    ] {
        let mut child = server
            .weir(chain)
            .spawn(|command| command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let _guard = Patience::with(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        server.cut();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
        assert!(said.contains("127.0.0.1: ssh failed (exit status 255)"), "{said}");
        assert!(
            said.contains("closed by remote host") || said.contains("Broken pipe") || said.contains("reset"),
            "{said}"
        );
        assert!(!server.world.path("out").exists());
    }
}

#[test]
fn nobody_wants_more_and_ssh_goes() {
    let Some(server) = Server::start() else { return };
    server.run("@ yes | head -n 1").quietly().giving("y\n");
    server.run("read /dev/zero | @ sh -c 'echo y; exec cat' | head -n 1").quietly().giving("y\n");
    // It is not told there, and stays for its time.
    server.run("@ sh -c 'echo y; exec sleep 30' | head -n 1").quietly().giving("y\n");
    // The command there has enough, which is no failure.
    server.run("read /dev/zero | @ head -c 5").quietly().giving("\0\0\0\0\0");
    server.run("read /dev/zero | @ false").with_code(1).saying("false ended with exit status 1");
}

#[test]
fn a_connection_that_is_kept_for_others_is_not_waited_for() {
    let Some(server) = Server::start() else { return };
    let socket = server.world.path("socket");
    let shared = format!("-o ControlPath={} -o ControlMaster=auto -o ControlPersist=60", socket.display());
    let began = Instant::now();
    server.run(&format!("@ {shared} echo first")).quietly().giving("first\n");
    assert!(socket.exists());
    server.weir(&format!("stdin | @ {shared} cat")).stdin("second").run().quietly().giving("second");
    assert!(began.elapsed() < Duration::from_secs(30));
    let mut tell = Command::new("ssh");
    tell.arg(format!("-oControlPath={}", socket.display())).args(["-O", "exit", "127.0.0.1"]);
    assert!(tell.stderr(Stdio::null()).status().unwrap().success());
}

/// A chain with a stand-in for ssh.
fn stood_in(world: &World, chain: &str) -> Call {
    world.weir(chain).env("WEIR_SSH", world.ssh_stand_in())
}

#[test]
fn the_environment_names_the_program_for_ssh() {
    let world = World::new().with("in", "text\n");
    stood_in(&world, "read in | ssh -p 1 me@nowhere tr a-z A-Z | write out").run().quietly();
    assert_eq!(world.bytes("out"), b"TEXT\n");
    stood_in(&world, "ssh nowhere sh -c 'exit 7'")
        .run()
        .with_code(1)
        .saying("nowhere: sh ended with exit status 7");
    stood_in(&world, "ssh nowhere env").env("WEIR_PASSPHRASE", "secret").run().with_code(0);
    let ran = stood_in(&world, "ssh nowhere printenv WEIR_PASSPHRASE").env("WEIR_PASSPHRASE", "secret").run();
    ran.with_code(1).giving("");
    let ran = stood_in(&world, "ssh nowhere sh -c 'kill -9 $PPID; kill -9 $$'").run().with_code(1);
    ran.saying("was killed by signal 9 (KILL)");
    let missing = |named: &str, path: &str| {
        world
            .weir("read in | ssh nowhere cat | write new")
            .env("WEIR_SSH", named)
            .env("PATH", path)
            .run()
            .with_code(1)
    };
    let help = "WEIR_SSH names it: one program, without arguments";
    missing("./none", "/usr/bin").saying("./none: no such file or directory").saying(help);
    missing("ssh -v", "/usr/bin").saying("\"ssh -v\": command not found").saying(help);
    missing("./in", "/usr/bin").saying("./in: is not executable");
    missing("", "/none")
        .saying("ssh: command not found")
        .saying("install OpenSSH's client, or name another in WEIR_SSH");
    assert!(!world.path("new").exists());
}

#[test]
fn an_operand_is_no_option_of_ssh_and_no_text_of_a_shell() {
    let world = World::new();
    for operand in ["-oProxyCommand=touch made", "--help", "-", "a;touch made", "$(touch made)", "two words"]
    {
        let ran = stood_in(&world, "ssh {} true").arg("--").arg(operand).run().with_code(2);
        ran.saying("is no value for `HOST`");
        stood_in(&world, "ssh -J {} host true").arg("--").arg(operand).run().with_code(2);
        let ran = stood_in(&world, "ssh host printf %s, a {} --x={}").arg("--").arg(operand).run().quietly();
        ran.giving(format!("a,{operand},--x={operand},"));
        // As the command it is one that does not exist.
        stood_in(&world, "ssh host {}").arg("--").arg(operand).run().with_code(1).saying("exit status 127");
    }
    world.assert_names(&["ssh-stand-in"]);
}
