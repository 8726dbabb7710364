//! The level of a compressor as an argument: `-1` to `-9`, or `--level N`, at most one of them.
//! Where levels have two digits, `-N` is no flag but stands for [`LEVEL_OPTION`]: the stage's entry says so.
//! Knows nothing of any compressor.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, value_parser};

const FLAG_IDS: [&str; 10] = [
    "level-0", "level-1", "level-2", "level-3", "level-4", "level-5", "level-6", "level-7", "level-8",
    "level-9",
];
/// For the `number_option` of an entry whose levels have two digits.
#[cfg(any(feature = "brotli", feature = "zstd"))]
pub(super) const LEVEL_OPTION: &str = OPTION_ID;
const OPTION_ID: &str = "level";
/// Above it, a level is no flag of clap's.
const FLAG_MAX: u8 = 9;

/// A level from `LOW` to `HIGH`, `USUAL` if none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level<const LOW: u8, const HIGH: u8, const USUAL: u8> {
    pub(super) number: u8,
}

impl<const LOW: u8, const HIGH: u8, const USUAL: u8> Level<LOW, HIGH, USUAL> {
    fn flag(number: u8, id: &'static str) -> Arg {
        let help = match number {
            _ if number == LOW => "Fastest",
            _ if number == USUAL => "The level if none is given",
            _ if number == HIGH => "Smallest",
            _ => "A level between these",
        };
        // Those between would make the help long and tell nothing.
        let is_between = ![LOW, USUAL, HIGH].contains(&number);
        let flag = Arg::new(id).short(char::from(b'0' + number)).action(ArgAction::SetTrue);
        flag.help(help).hide(is_between)
    }

    fn flags() -> impl Iterator<Item = (u8, &'static str)> {
        let numbers = (LOW..=HIGH).filter(|_| HIGH <= FLAG_MAX);
        numbers.filter_map(|number| Some((number, *FLAG_IDS.get(usize::from(number))?)))
    }

    fn help() -> String {
        if HIGH > FLAG_MAX {
            let range = format!("{LOW} (fastest) to {HIGH} (smallest)");
            format!("The level, {range}; `-{LOW}` to `-{HIGH}` for short; {USUAL} if none is given")
        } else {
            format!("The level, {LOW} to {HIGH}")
        }
    }
}

impl<const LOW: u8, const HIGH: u8, const USUAL: u8> clap::Args for Level<LOW, HIGH, USUAL> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let option = Arg::new(OPTION_ID)
            .short('l')
            .long("level")
            .value_name("N")
            .value_parser(value_parser!(u8).range(i64::from(LOW)..=i64::from(HIGH)))
            .help(Self::help());
        let one_of_them = ArgGroup::new("one level").arg(OPTION_ID).args(Self::flags().map(|(_, id)| id));
        let flags = Self::flags().map(|(number, id)| Self::flag(number, id));
        command.args(flags).arg(option).group(one_of_them)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<const LOW: u8, const HIGH: u8, const USUAL: u8> clap::FromArgMatches for Level<LOW, HIGH, USUAL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flag = Self::flags().find(|(_, id)| matches.get_flag(id)).map(|(number, _)| number);
        let option = matches.get_one::<u8>(OPTION_ID).copied();
        Ok(Level { number: flag.or(option).unwrap_or(USUAL) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Level;
    use clap::Parser;

    #[derive(Debug, Parser)]
    #[command(no_binary_name = true)]
    struct Arguments {
        #[command(flatten)]
        level: Level<1, 9, 6>,
    }

    fn level(call: &str) -> Option<u8> {
        Arguments::try_parse_from(call.split_whitespace()).ok().map(|arguments| arguments.level.number)
    }

    #[test]
    fn a_level_is_a_digit_or_a_number() {
        assert_eq!(level(""), Some(6));
        for number in 1..=9 {
            assert_eq!(level(&format!("-{number}")), Some(number));
            assert_eq!(level(&format!("-l {number}")), Some(number));
            assert_eq!(level(&format!("--level={number}")), Some(number));
        }
    }

    #[test]
    fn a_level_of_two_digits_is_an_option_alone() {
        #[derive(Debug, Parser)]
        #[command(no_binary_name = true)]
        struct Arguments {
            #[command(flatten)]
            level: Level<0, 11, 6>,
        }
        let level = |call: &str| {
            Arguments::try_parse_from(call.split_whitespace()).ok().map(|arguments| arguments.level.number)
        };
        assert_eq!(level(""), Some(6));
        assert_eq!(level("-l 0"), Some(0));
        assert_eq!(level("--level=11"), Some(11));
        for call in ["-l 12", "-1", "-11", "-l 1 --level=1"] {
            assert_eq!(level(call), None, "{call}");
        }
    }

    #[test]
    fn what_is_out_of_range_or_said_twice_is_refused() {
        for call in ["-0", "-l 0", "-l 10", "-l x", "-1 -9", "-19", "-9 -9", "-9 -l 9", "-l 1 -l 2"] {
            assert_eq!(level(call), None, "{call}");
        }
    }
}
