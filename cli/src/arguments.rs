//! What can be typed: every command with its arguments, in the words of its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Dagmar runs graphs of work, and remembers exactly what it ran.
#[derive(Clone, Debug, Parser)]
#[command(name = "dagmar", version, max_term_width = 100)]
#[command(
    after_help = "Try `dagmar run FILE`, then `dagmar ls`. Exit codes: `dagmar help exit-codes`."
)]
#[command(disable_help_subcommand = true)]
pub struct Arguments {
    /// Colours: `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN")]
    #[arg(value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline here, without a server
    Run(RunArguments),
    /// List runs, newest first
    #[command(visible_alias = "list", alias = "ps")]
    Ls(LsArguments),
    /// Show one run or one step of it
    #[command(alias = "get", alias = "describe")]
    Show(ShowArguments),
    /// Print what steps wrote
    Logs(LogsArguments),
    /// End a run
    Cancel(CancelArguments),
    /// Go on with a run whose process is gone
    Resume(ResumeArguments),
    /// Check a pipeline and run nothing
    Lint(LintArguments),
    /// Say why a run or a step stands where it stands
    Why(WhyArguments),
    /// Measure this machine with a graph of many small tasks
    Bench(BenchArguments),
    /// Print the version
    Version,
    /// Print this help, the help of a command, or what exit codes mean
    Help(HelpArguments),
    /// The owner of a detached run
    #[command(name = "__host", hide = true)]
    Host(HostArguments),
    /// The process that starts task processes
    #[command(name = "__supervisor", hide = true)]
    Supervisor,
}

#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// The pipeline; without it pipeline.yaml or pipeline.yml
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub parameters: ParameterArguments,
    /// The name of the run; without it one is made up
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// A word that stands in the run log
    #[arg(long, default_value = "", hide_default_value = true)]
    pub tag: String,
    /// Return as soon as the run is durable; it goes on by itself
    #[arg(long)]
    pub detach: bool,
    /// Print the run id and nothing else
    #[arg(short, long)]
    pub quiet: bool,
    /// Tell every change of every step
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ParameterArguments {
    /// A parameter; the value is JSON if it parses, else text
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// A file with parameters, below -p
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// For programs: nothing but JSON on stdout
    Json,
}

#[derive(Clone, Debug, Args)]
pub struct LsArguments {
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Older runs too
    #[arg(long)]
    pub all: bool,
    /// Print run ids and nothing else
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ShowArguments {
    /// A run, or RUN/STEP: a name, the beginning of one, @latest or @failed
    pub run: String,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct LogsArguments {
    /// A run, RUN/STEP, RUN/MAP[ITEM] or RUN/STEP:ATTEMPT
    pub run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Clone, Debug, Args)]
pub struct CancelArguments {
    /// The run: a name, the beginning of one, or @latest
    pub run: String,
    /// Stands in the run log
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct ResumeArguments {
    /// The run: a name, the beginning of one, or @latest
    pub run: String,
    /// Print the run id and nothing else
    #[arg(short, long)]
    pub quiet: bool,
    /// Tell every change of every step
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Clone, Debug, Args)]
pub struct LintArguments {
    /// The pipeline; without it pipeline.yaml or pipeline.yml
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub parameters: ParameterArguments,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct WhyArguments {
    /// A run, or RUN/STEP
    pub run: String,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct BenchArguments {
    /// How the tasks hang together
    #[arg(long, value_enum, default_value_t = Shape::Wide)]
    pub shape: Shape,
    #[arg(long, default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub tasks: u32,
    /// What each task does
    #[arg(long, value_enum, default_value_t = BenchFunction::Noop)]
    pub function: BenchFunction,
    /// Submit a run of so many stubs beside it, and time its hops meanwhile; for a chain
    #[arg(long, value_name = "STUBS", value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub beside: Option<u32>,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// All at once
    Wide,
    /// One after the other
    Chain,
    /// Layers of 1,000, each task with 3 parents
    Layers,
    /// Items of one map
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchFunction {
    /// Answered by the worker itself
    Noop,
    /// A process: /bin/true
    True,
    /// The same as a script for a shell
    ShTrue,
    /// Nothing: ends inside the state machine
    Stub,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Shape::Wide => "wide",
            Shape::Chain => "chain",
            Shape::Layers => "layers",
            Shape::Map => "map",
        }
    }
}

impl BenchFunction {
    pub fn name(self) -> &'static str {
        match self {
            BenchFunction::Noop => "noop",
            BenchFunction::True => "true",
            BenchFunction::ShTrue => "sh-true",
            BenchFunction::Stub => "stub",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct HelpArguments {
    /// A command, or `exit-codes`
    pub topic: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct HostArguments {
    pub run: String,
    /// The run id was made up: one that is taken gets a suffix
    #[arg(long)]
    pub generated: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("dagmar").chain(line.split_whitespace()))
    }

    fn refusal(line: &str) -> String {
        parse(line).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn the_declaration_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_takes_what_its_help_says() {
        let line = "run a.yaml -p n=1 -p m=x --params p.yaml --run-id r --tag t --detach -v";
        let Some(Command::Run(run)) = parse(line).unwrap().command else { panic!() };
        assert_eq!(run.file.as_deref(), Some(std::path::Path::new("a.yaml")));
        assert_eq!(run.parameters.param, ["n=1", "m=x"]);
        assert_eq!((run.run_id.as_deref(), &*run.tag), (Some("r"), "t"));
        assert!(run.detach && run.verbose && !run.quiet);
        assert!(parse("").unwrap().command.is_none());
        assert!(matches!(parse("list --all").unwrap().command, Some(Command::Ls(_))));
        assert_eq!(parse("ls --color never").unwrap().color, ColorChoice::Never);
    }

    #[test]
    fn what_is_typed_wrong_is_answered_with_what_was_meant() {
        assert!(refusal("run a.yaml --detsch").contains("--detach"));
        assert!(refusal("shwo r").contains("show"));
        assert!(refusal("ls -o yaml").contains("json"));
        assert!(refusal("bench --shape wdie").contains("wide"));
        assert!(refusal("bench --tasks 0").contains("1..=4000000"));
        for line in ["run --det", "frobnicate", "show"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_machinery_is_not_in_the_help() {
        let help = Arguments::command().render_long_help().to_string();
        assert!(!help.contains("__"), "{help}");
        assert!(matches!(parse("__supervisor").unwrap().command, Some(Command::Supervisor)));
    }
}
