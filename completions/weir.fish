complete -c weir -s B -l buffer -d 'How much each link holds before its writer has to wait [default: 2M]' -r
complete -c weir -s T -l threads -d 'How many threads compute for the heavy stages, all of them together; 0 is one for each core' -r
complete -c weir -s j -l jobs -d 'How many runs of a batch go on at once; 0 is one for each core [default: 1]' -r
complete -c weir -s f -l file -d 'Read the chain from FILE; every argument is an operand then' -r -F
complete -c weir -l files0-from -d 'Read the operands from FILE, each ended by a NUL; `-` is standard input' -r -F
complete -c weir -s s -l size -d 'The input\'s size, for percent and time left, when it cannot be known' -r
complete -c weir -s i -l interval -d 'How often the view is refreshed' -r
complete -c weir -l progress -d 'When the live view is shown' -r -f -a "auto\t'When standard error is a terminal, and the run lasts over half a second'
always\t'From the start'
never\t'Not at all'
plain\t'As plain lines, one at each interval'
json\t'As lines of JSON, one at each interval, with the report as the last'"
complete -c weir -l report -d 'Report at the end what each stage and each link did' -r -f -a "text\t'For people'
json\t'As one line of JSON for each run, however it ended'"
complete -c weir -l metrics -d 'Show what every stage and link does to Prometheus, over HTTP at ADDR, a PORT or HOST:PORT, while the process runs' -r
complete -c weir -l trace -d 'Write to FILE what every stage and link did over time, for ui.perfetto.dev or chrome://tracing' -r -F
complete -c weir -l plot -d 'Draw the run to FILE: a picture if it ends in `.svg`, a page with the report if in `.html`' -r -F
complete -c weir -l stall-timeout -d 'Give up, with exit code 124, when no byte moved for TIME' -r
complete -c weir -l generate -d 'Print the man page or a shell\'s completions' -r -f -a "man\t'The man page, as roff'
bash\t'Completions for bash'
zsh\t'Completions for zsh'
fish\t'Completions for fish'"
complete -c weir -s n -l dry-run -d 'Show the plan and what would become of each file; open nothing'
complete -c weir -s q -l quiet -d 'Say nothing but errors'
complete -c weir -s v -l verbose -d 'Say more: the report at the end, and what a failure caused in other stages'
complete -c weir -l inspect -d 'Inspect the run on the whole screen: the history of every link, and keys that pause the run or a stage, change a throttle\'s rate or a link\'s size, and freeze the picture'
complete -c weir -l metrics-allow-remote -d 'Let other machines see the metrics, too'
complete -c weir -l stages -d 'List the stages'
complete -c weir -s h -l help -d 'Print help (see more with \'--help\')'
complete -c weir -s V -l version -d 'Print version'
