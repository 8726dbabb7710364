//! The comparisons: what is run, beside what, and what the ratio ought to be.
//! Knows nothing of how a comparison is made.
//!
//! In a command, as bash runs it, `$T` is the text, `$M` the first part of it, `$G` a GiB of it, `$B` the binaries, `$R` the random
//! bytes, `$O` the output, `$D` a directory on disk, `$S` one in memory, which holds copies of texts and what was made of them.
//! What only moves bytes is given the GiB: of less, the time to start processes would be compared.

/// One comparison.
pub(crate) struct Row {
    /// By which it is asked for.
    pub(crate) name: &'static str,
    /// In the table.
    pub(crate) job: &'static str,
    pub(crate) weir: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) tool: &'static Tool,
    /// The ratio to reach.
    pub(crate) at_least: f64,
    /// Turns an output into what must agree.
    pub(crate) decoded_by: &'static str,
    pub(crate) output: Output,
    /// How many times as much weir's command has to do.
    pub(crate) times_the_work: f64,
    /// For a comparison of servers: theirs and ours. The commands are clients, and the same ones.
    pub(crate) servers: Option<Servers>,
}

/// Two servers, each as bash runs it; `$L` is the port where it listens, `$K` one it may use besides.
#[derive(Clone, Copy)]
pub(crate) struct Servers {
    pub(crate) weir: &'static str,
    pub(crate) peer: &'static str,
}

/// A peer: its program, the package that has it, and what prints its version.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) package: Package,
    pub(crate) version: &'static str,
}

/// Where a program is had from.
pub(crate) enum Package {
    /// Of Debian.
    Debian(&'static str),
    /// Of the Rust registry.
    Cargo(&'static str),
    /// It is weir.
    Own,
}

/// Where `$O` is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Output {
    Disk,
    Memory,
    /// There is none, and nothing is compared.
    None,
}

const fn debian(name: &'static str, package: &'static str, version: &'static str) -> Tool {
    Tool { name, package: Package::Debian(package), version }
}

const AGE: Tool = debian("age", "age", "echo age $(age --version)");
const CAT: Tool = debian("cat", "coreutils", "cat --version");
const CP: Tool = debian("cp", "coreutils", "cp --version");
const CRABZ: Tool = Tool { name: "crabz", package: Package::Cargo("crabz"), version: "crabz --version" };
const DD: Tool = debian("dd", "coreutils", "dd --version");
const IGZIP: Tool =
    debian("igzip", "isal", "igzip --version | sed 's/command line interface/(ISA-L)/; s/  */ /g'");
const LBZIP2: Tool = debian("lbzip2", "lbzip2", "lbzip2 --version 2>&1");
const LZ4: Tool = debian("lz4", "lz4", "lz4 --version | sed 's/.*v\\([0-9.]*\\).*/lz4 \\1/'");
const NODE: Tool = debian("node", "nodejs", "echo node $(node --version)");
const NGINX: Tool = debian("nginx", "nginx-light", "nginx -v 2>&1 | sed 's/.*version: //'");
const OPENSSL: Tool = debian("openssl", "openssl", "openssl version | cut -d' ' -f1,2");
const PIGZ: Tool = debian("pigz", "pigz", "pigz --version 2>&1");
const PV: Tool = debian("pv", "pv", "pv --version");
const SHA256SUM: Tool = debian("sha256sum", "coreutils", "sha256sum --version");
const SOCAT: Tool =
    debian("socat", "socat", "socat -V | sed -n 's/^socat version \\([0-9.]*\\).*/socat \\1/p'");
const TR: Tool = debian("tr", "coreutils", "tr --version");
const WEIR: Tool = Tool { name: "weir", package: Package::Own, version: "echo weir itself" };
const XZ: Tool = debian("xz", "xz-utils", "xz --version");
const ZSTD: Tool = debian("zstd", "zstd", "zstd --version | sed 's/.*v\\([0-9.]*\\).*/zstd \\1/'");

const fn row(
    name: &'static str,
    job: &'static str,
    weir: &'static str,
    peer: &'static str,
    tool: &'static Tool,
    at_least: f64,
) -> Row {
    let (decoded_by, output) = ("cat", Output::Memory);
    Row { name, job, weir, peer, tool, at_least, decoded_by, output, times_the_work: 1.0, servers: None }
}

impl Row {
    const fn on_disk(mut self) -> Row {
        self.output = Output::Disk;
        self
    }

    const fn without_output(mut self) -> Row {
        self.output = Output::None;
        self
    }

    const fn decoded_by(mut self, command: &'static str) -> Row {
        self.decoded_by = command;
        self
    }

    const fn times_the_work(mut self, times: f64) -> Row {
        self.times_the_work = times;
        self
    }
}

/// A comparison of servers, asked by the same client.
const fn served(
    name: &'static str,
    job: &'static str,
    client: &'static str,
    servers: Servers,
    tool: &'static Tool,
    at_least: f64,
) -> Row {
    let mut row = row(name, job, client, client, tool, at_least).without_output();
    row.servers = Some(servers);
    row
}

/// One file, four times over one connection.
const FETCH: &str = "curl -sf -o /dev/null http://127.0.0.1:$L/text -o /dev/null http://127.0.0.1:$L/text \
     -o /dev/null http://127.0.0.1:$L/text -o /dev/null http://127.0.0.1:$L/text";
const FILES: &str = "exec weir --progress never 'serve --files $S http://127.0.0.1:$L'";

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    row("copy-disk-cat", "copy, disk", "weir 'read $G | write $O'", "cat $G >$O", &CAT, 1.25).on_disk(),
    row("copy-disk-cp", "copy, disk", "weir 'read $G | write $O'", "cp $G $O", &CP, 1.4).on_disk(),
    row("copy-memory-cat", "copy, tmpfs", "weir 'read $S/long | write $O'", "cat $S/long >$O", &CAT, 1.2),
    row(
        "file-to-pipe",
        "file → pipe",
        "weir 'read $G' | cat >/dev/null",
        "pv -q $G | cat >/dev/null",
        &PV,
        3.5,
    )
    .without_output(),
    row(
        "middle-of-a-pipe",
        "middle of a pipe",
        "cat $G | weir pass | cat >/dev/null",
        "cat $G | dd bs=256k status=none | cat >/dev/null",
        &DD,
        1.35,
    )
    .without_output(),
    row(
        "pipe-to-null",
        "pipe → null",
        "cat $G | weir stdin >/dev/null",
        "cat $G | pv -q >/dev/null",
        &PV,
        2.0,
    )
    .without_output(),
    row(
        "gzip-6-text",
        "gzip -6, text",
        "weir 'read $T | gzip -6 | write $O'",
        "pigz -p2 -6 -c $T >$O",
        &PIGZ,
        2.4,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-6-text-crabz",
        "gzip -6, text",
        "weir 'read $T | gzip -6 | write $O'",
        "crabz -Q -p2 -l6 $T >$O",
        &CRABZ,
        1.33,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-6-bin",
        "gzip -6, binaries",
        "weir 'read $B | gzip -6 | write $O'",
        "pigz -p2 -6 -c $B >$O",
        &PIGZ,
        3.2,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-9-text",
        "gzip -9, text",
        "weir 'read $T | gzip -9 | write $O'",
        "pigz -p2 -9 -c $T >$O",
        &PIGZ,
        2.2,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-6-random",
        "gzip -6, random bytes",
        "weir 'read $R | gzip -6 | write $O'",
        "pigz -p2 -6 -c $R >$O",
        &PIGZ,
        20.0,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-1-text-igzip",
        "gzip -1, text",
        "weir 'read $T | gzip -1 | write $O'",
        "igzip -1 -c $T >$O",
        &IGZIP,
        0.9,
    )
    .decoded_by("gzip -dc"),
    row(
        "gzip-1-text-pigz",
        "gzip -1, text",
        "weir 'read $T | gzip -1 | write $O'",
        "pigz -p2 -1 -c $T >$O",
        &PIGZ,
        1.8,
    )
    .decoded_by("gzip -dc"),
    row(
        "gunzip-foreign",
        "gunzip, gzip's file",
        "weir 'read $S/text.gz | gunzip | write $O'",
        "igzip -dc $S/text.gz >$O",
        &IGZIP,
        1.1,
    ),
    row(
        "gunzip-own",
        "gunzip, our file",
        "weir 'read $S/own.gz | gunzip | write $O'",
        "igzip -dc $S/own.gz >$O",
        &IGZIP,
        1.5,
    ),
    row(
        "zstd-3-text",
        "zstd -3, text",
        "weir 'read $T | zstd -3 | write $O'",
        "zstd -q -T2 -3 -c $T >$O",
        &ZSTD,
        1.0,
    )
    .decoded_by("zstd -dc"),
    row(
        "unzstd",
        "unzstd",
        "weir 'read $S/text.zst | unzstd | write $O'",
        "zstd -q -dc $S/text.zst >$O",
        &ZSTD,
        1.0,
    ),
    row("xz-1-text", "xz -1, text", "weir 'read $M | xz -1 | write $O'", "xz -T2 -1 -c $M >$O", &XZ, 1.0)
        .decoded_by("xz -dc"),
    row(
        "unxz",
        "unxz",
        "weir 'read $S/part.xz | unxz | write $O'",
        "xz -dc $S/part.xz >$O",
        &XZ,
        1.0,
    ),
    row(
        "bzip2-text",
        "bzip2, text",
        "weir 'read $M | bzip2 | write $O'",
        "lbzip2 -n2 -c $M >$O",
        &LBZIP2,
        1.0,
    )
    .decoded_by("bzip2 -dc"),
    row("lz4-text", "lz4, text", "weir 'read $T | lz4 | write $O'", "lz4 -q -c $T >$O", &LZ4, 1.5)
        .decoded_by("lz4 -dc"),
    row(
        "unlz4",
        "unlz4",
        "weir 'read $S/text.lz4 | unlz4 | write $O'",
        "lz4 -q -dc $S/text.lz4 >$O",
        &LZ4,
        1.0,
    ),
    row(
        "sha256-openssl",
        "hash sha256",
        "weir -q 'read $S/text | hash sha256 -o $O | discard'",
        "openssl dgst -sha256 -r $S/text >$O",
        &OPENSSL,
        1.2,
    )
    .decoded_by("cut -c1-64"),
    row(
        "sha256-coreutils",
        "hash sha256",
        "weir -q 'read $S/text | hash sha256 -o $O | discard'",
        "sha256sum $S/text >$O",
        &SHA256SUM,
        4.4,
    )
    .decoded_by("cut -c1-64"),
    row(
        "encrypt",
        "encrypt",
        "weir 'read $T | encrypt -R $D/key.pub | write $O'",
        "age -R $D/key.pub -o $O $T",
        &AGE,
        1.2,
    )
    .decoded_by("age -d -i $D/key"),
    row(
        "decrypt",
        "decrypt",
        "weir 'read $S/text.age | decrypt -i $D/key | write $O'",
        "age -d -i $D/key -o $O $S/text.age",
        &AGE,
        1.0,
    ),
    row(
        "upper-memory",
        "upper --ascii, tmpfs",
        "weir 'read $S/long | upper --ascii | write $O'",
        "tr a-z A-Z <$S/long >$O",
        &TR,
        3.0,
    ),
    row(
        "upper-disk",
        "upper --ascii, disk",
        "weir 'read $G | upper --ascii | write $O'",
        "tr a-z A-Z <$G >$O",
        &TR,
        6.0,
    )
    .on_disk(),
    row(
        "upper-gzip",
        "upper --ascii ¦ gzip -6",
        "weir 'read $T | upper --ascii | gzip -6 | write $O'",
        "tr a-z A-Z <$T | pigz -p2 -6 >$O",
        &PIGZ,
        2.5,
    )
    .decoded_by("gzip -dc"),
    row(
        "upper-gzip-node",
        "upper --ascii ¦ gzip -6",
        "weir 'read $T | upper --ascii | gzip -6 | write $O'",
        "node -e \"const f=require('fs'),z=require('zlib'),s=require('stream');s.pipeline(f.createReadStream('$T'),new s.Transform({transform(c,e,n){n(null,Buffer.from(c.toString('latin1').replace(/[a-z]+/g,x=>x.toUpperCase()),'latin1'))}}),z.createGzip({level:6}),f.createWriteStream('$O'),e=>{if(e)throw e})\"",
        &NODE,
        4.2,
    )
    .decoded_by("gzip -dc"),
    row(
        "sixteen-passes",
        "16 × pass to a file against 1",
        "weir 'read $S/text | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | pass | write $O'",
        "weir 'read $S/text | pass | write $O'",
        &WEIR,
        0.67,
    ),
    row(
        "ten-gigabytes",
        "a byte of 10 GB against one of 100 MB",
        "weir 'generate random 10240M | upper --ascii | write /dev/null'",
        "weir 'generate random 100M | upper --ascii | write /dev/null'",
        &WEIR,
        0.95,
    )
    .without_output()
    .times_the_work(102.4),
    row(
        "start-up",
        "a tiny chain",
        "for i in {1..50}; do weir 'read $S/tiny' >/dev/null; done",
        "for i in {1..50}; do cat $S/tiny >/dev/null; done",
        &CAT,
        0.5,
    )
    .without_output(),
    row(
        "exec-in-the-middle",
        "a child in the middle",
        "weir 'read $S/text | exec cat | discard'",
        "cat $S/text | cat | cat >/dev/null",
        &CAT,
        0.9,
    )
    .without_output(),
    served(
        "http-nginx",
        "HTTP, one file, loopback",
        FETCH,
        Servers {
            weir: FILES,
            peer: "echo \"daemon off; worker_processes auto; pid $D/nginx.pid; error_log /dev/null; \
                   events {} http { access_log off; sendfile on; server { listen 127.0.0.1:$L; root $S; } }\" \
                   >$D/nginx.conf; exec nginx -p $D -c $D/nginx.conf",
        },
        &NGINX,
        0.9,
    ),
    served(
        "http-node",
        "HTTP, one file, loopback",
        FETCH,
        Servers {
            weir: FILES,
            peer: "exec node -e \"require('http').createServer((request, response) => \
                   require('fs').createReadStream('$S/text').pipe(response)).listen($L, '127.0.0.1')\"",
        },
        &NODE,
        3.0,
    ),
    served(
        "tcp-echo",
        "TCP echo, loopback",
        "weir 'read $S/text | tcp 127.0.0.1:$L | discard'",
        Servers {
            weir: "exec weir --progress never 'serve tcp://127.0.0.1:$L { pass }'",
            peer: "exec socat TCP-LISTEN:$L,bind=127.0.0.1,reuseaddr,fork PIPE",
        },
        &SOCAT,
        1.5,
    ),
    served(
        "tcp-proxy",
        "TCP proxy, loopback",
        "weir 'read /dev/null | tcp 127.0.0.1:$L | discard'",
        Servers {
            weir: "weir --progress never 'serve tcp://127.0.0.1:$K { read $S/text }' & \
                   exec weir --progress never 'serve tcp://127.0.0.1:$L { tcp 127.0.0.1:$K }'",
            peer: "weir --progress never 'serve tcp://127.0.0.1:$K { read $S/text }' & \
                   exec socat TCP-LISTEN:$L,bind=127.0.0.1,reuseaddr,fork TCP:127.0.0.1:$K",
        },
        &SOCAT,
        1.5,
    ),
];
