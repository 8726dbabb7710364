//! What the man page says of output that other programs read.
//! Text only; a test compares the names with those that a report has.

/// Before the table of names.
pub(super) const JSON: &[&str] = &[
    "With --report=json there is one line of JSON on standard error at the end of each run, however it ended. With --progress=json there is \
     one at each interval (-i, else 1 s), too. Whatever else weir says of the call is such a line then, so that a reader of lines can read \
     all of them: an event of its own for each. Only what keeps every run from its beginning (a mistake in the command line or in the chain, a file of --trace or --plot that cannot be had) is told as text. \
     -q leaves out progress and notices, never the report; -v adds nothing.",
    "Numbers are integers, of bytes or of nanoseconds, as their names say; percent and own have fractions. A stage or a link is named by its \
     place in stages or links, from 0. All names of an event are always there, null where there is nothing to tell. Text is ASCII with \
     escapes; a name that is no UTF-8 is written as messages show it. Under the same schema a name keeps its meaning, and others may be added.",
    "Counts and times are of the whole run up to now; rates (_per_second), fill_average_bytes and the verdict are of the last stretch_nanos: since \
     the progress before, in a report the whole run.",
];

/// The names of JSON, and what they mean.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("schema", "1."),
    (
        "event",
        "report; progress; remark (a stage tells something: place, text); quote (a line from the child of a stage: place, text); notice (of the \
         call: text; place is null); batch (the end of one with several runs: runs, done, failed, exit_code).",
    ),
    (
        "run, runs, operands",
        "Which run of how many, from 1, and what it is made for. run is null in what is of no run.",
    ),
    (
        "outcome",
        "In a report: done, hung_up (the reader of standard output went away), failed, cancelled (by a signal), stalled.",
    ),
    (
        "exit_code, signal",
        "That of the run, as a shell shows it; SIGINT and its like, if the process ends by one.",
    ),
    ("message", "Why the run did not end well."),
    (
        "failures",
        "The root cause first: stage, place (as in messages), message (with the file), help, exit_code. What a failure caused in others is left out.",
    ),
    (
        "outputs",
        "What became of each, where there is something to tell: name; state: published, as_it_was, not_created, changed, partial; partial_bytes; message: how it was changed.",
    ),
    ("notes", "What stages had to tell at the end, as hash does."),
    ("elapsed_nanos, stretch_nanos", "Since the run began; what rates are about."),
    (
        "taken_bytes, total_bytes, percent, left_nanos, bytes_per_second",
        "How much of the input was taken, of how much; how far the run is, how long it will take, as far as that is known, and at what \
         rate: what links still hold of what was taken is not done.",
    ),
    (
        "stages",
        "One for each thread; a stage with a peer has two, and returns is the other one. index, name, label (its arguments), depth (of \
         groups), input (a link), outputs (links), in_bytes, out_bytes, in_bytes_per_second, out_bytes_per_second. Its time is busy_nanos, waiting_nanos \
         (in the system, for medium: disk, pipe, terminal, clock, opener, child, socket, writer, pause, unknown), stalled_nanos, starved_nanos and \
         absent_nanos, which add up to that of the run. Of busy_nanos, on_core_nanos; of those, system_nanos (copying in the kernel); \
         queued_nanos (no core was free). worked_nanos is what its workers computed beside. caveat: what to know of its output.",
    ),
    (
        "links",
        "index, from and to (stages), high_bytes (at so many the writer has to wait), fill_bytes, fill_average_bytes, fill_max_bytes, in_bytes, \
         out_bytes; stalls and stalled_nanos, starves and starved_nanos: how often and how long the writer and the reader waited.",
    ),
    (
        "server",
        "For serve: connections, connections_open, runs, runs_open, runs_failed, in_bytes, out_bytes, both _per_second; busiest, at most \
         three runs: name, elapsed_nanos, moved_bytes, words.",
    ),
    (
        "batch",
        "In progress of runs that go on at once (-j; run is null): runs_open, runs_ended, runs_failed, busiest, as above. Stages and links are in \
         the report of each run.",
    ),
    (
        "verdict",
        "finding: limited, balanced (balance: even, by_turns, short_of_cores), nothing_moved, too_short. limit and next: what limits the run, and \
         what would then: stage, name, state (computing, short_of_cores, copying_in_kernel, waiting), medium, cores_used, cores_allowed, own \
         (the part of the time in which it did anything but wait for its neighbours). advice: what to try; settled: why there is nothing to try. \
         words, advice_words: the same as people read it. null for a server, and for runs at once together.",
    ),
];

/// Of `--metrics`.
pub(super) const METRICS: &[&str] = &[
    "With --metrics ADDR, GET http://ADDR/metrics gives the same counters in the text format of Prometheus, from before the first run until the \
     process ends. ADDR is PORT or HOST:PORT; port 0 takes a free one, and says which. Only this machine can connect unless \
     --metrics-allow-remote is given: what is told are names of stages and numbers, never names of files. If ADDR cannot be had, nothing is \
     opened (exit status 2).",
    "Counters (weir_stage_bytes_total, weir_stage_seconds_total, weir_link_stalled_seconds_total, …) add up all runs of a batch; \
     weir_link_fill_bytes is of those going on. rate(weir_stage_seconds_total{state=\"busy\"}[1m]) is how busy each stage is, and \
     rate(weir_link_fill_byte_seconds_total[1m]) how full each link is, on average. What a server counts is in weir_server_connections_total and \
     its kin; each name is explained where it is given.",
];
