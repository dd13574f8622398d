//! Configuration from a file, the environment and flags, with one precedence: flags over environment over file over
//! defaults.
//!
//! The keys of a file are the long names of the command's flags, so there is one list of settings, and the help describes
//! all three. What a file says is put before the parser as flags; [`check`] then looks at every value of every source, so
//! that all mistakes are told at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};
use serde_json::Value;

/// Names the file on every command that runs a process.
pub const FLAG: &str = "config";
/// Names the file in the environment.
const VARIABLE: &str = "TRIREME_CONFIG";

/// The commands that read a file.
pub const COMMANDS: [&str; 3] = ["server", "agent", "front-door"];

/// The flag, for the commands that read a file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// A YAML file whose keys are the names of these flags.
    #[arg(long, env = VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    values: Vec<String>,
    source: &'static str,
}

/// Where a command's settings can be: the subcommand, and the global flags of the whole.
fn settings<'a>(root: &'a Command, command: &'a Command) -> impl Iterator<Item = &'a Arg> {
    let globals = root.get_arguments().filter(|arg| arg.is_global_set());
    command
        .get_arguments()
        .chain(globals)
        .filter(|arg| arg.get_long().is_some_and(|long| !matches!(long, FLAG | "help" | "version")))
}

/// The command line with what the file says put into it, and every mistake in file, environment and flags.
///
/// # Errors
/// All mistakes, one a line.
pub fn merge(root: &Command, line: Vec<OsString>) -> Result<Vec<OsString>> {
    let Some((at, name)) = command_of(root, &line) else { return Ok(line) };
    let Some(command) = root.find_subcommand(&name) else { return Ok(line) };
    if line.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(line);
    }
    let file = match path_of(&line) {
        Some(path) => read(&path)?,
        None => BTreeMap::new(),
    };
    let mut mistakes = Vec::new();
    for key in file.keys() {
        if !settings(root, command).any(|arg| arg.get_long() == Some(key)) {
            mistakes.push(format!("{key}: there is no such setting{}", suggestion(key, settings(root, command))));
        }
    }
    let mut merged = line[..=at].to_vec();
    for arg in settings(root, command) {
        let Some(Setting { values, source }) = setting(arg, &line[1..], &file) else { continue };
        let long = arg.get_long().unwrap_or_default();
        for value in split(arg, &values) {
            if let Err(why) = try_value(arg, &value) {
                mistakes.push(format!("{long}: {why} ({source})"));
            }
        }
        if source == "file" {
            merged.extend(flags(arg, &values).into_iter().map(OsString::from));
        }
    }
    merged.extend_from_slice(&line[at + 1..]);
    if mistakes.is_empty() {
        Ok(merged)
    } else {
        bail!("the configuration is not usable:\n  {}", mistakes.join("\n  "))
    }
}

/// Position and name of the command, when it is one that reads a file: the first word that is neither a flag nor the
/// value of one.
fn command_of(root: &Command, line: &[OsString]) -> Option<(usize, String)> {
    let mut words = line.iter().enumerate().skip(1).map(|(at, word)| (at, word.to_string_lossy()));
    while let Some((at, word)) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            return COMMANDS.iter().any(|name| word == *name).then(|| (at, word.into_owned()));
        };
        let has_value_behind = |arg: &Arg| arg.get_long() == Some(flag) && takes_value(arg);
        if root.get_arguments().any(has_value_behind) {
            words.next();
        }
    }
    None
}

fn path_of(line: &[OsString]) -> Option<PathBuf> {
    let mut words = line.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if let Some(path) = word.strip_prefix("--config=") {
            return Some(path.into());
        }
        if word == "--config" {
            return words.next().map(|path| path.into_owned().into());
        }
    }
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// A file's settings, each as a list of words.
fn read(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading the configuration {}", path.display()))?;
    parse(&text).with_context(|| format!("the configuration {} is not usable", path.display()))
}

fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let value: Value = serde_saphyr::from_str(text).context("it is no YAML")?;
    let keys = match value {
        Value::Object(keys) => keys,
        Value::Null => return Ok(BTreeMap::new()),
        _ => bail!("it is no mapping of settings to values"),
    };
    keys.into_iter()
        .map(|(key, value)| {
            let values = match value {
                Value::Array(items) => items.iter().map(|item| word(&key, item)).collect::<Result<_>>()?,
                one => vec![word(&key, &one)?],
            };
            Ok((key, values))
        })
        .collect()
}

fn word(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => bail!("{key}: a word, a number or a list of them is expected"),
    }
}

/// The value in force of one setting, when anybody gave one.
fn setting(arg: &Arg, flags: &[OsString], file: &BTreeMap<String, Vec<String>>) -> Option<Setting> {
    let long = arg.get_long()?;
    let given = given(long, takes_value(arg), flags);
    if !given.is_empty() {
        return Some(Setting { values: given, source: "flag" });
    }
    let from_environment = arg.get_env().and_then(std::env::var_os);
    if let Some(value) = from_environment {
        return Some(Setting { values: vec![value.to_string_lossy().into_owned()], source: "environment" });
    }
    file.get(long).map(|values| Setting { values: values.clone(), source: "file" })
}

/// What the flags say of one setting.
fn given(long: &str, takes_value: bool, flags: &[OsString]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = flags.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--").and_then(|rest| rest.strip_prefix(long)) else { continue };
        if let Some(value) = rest.strip_prefix('=') {
            found.push(value.to_owned());
        } else if rest.is_empty() {
            let value =
                if takes_value { words.next().map(|value| value.into_owned()) } else { Some("true".to_owned()) };
            found.extend(value);
        }
    }
    found
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn flags(arg: &Arg, values: &[String]) -> Vec<String> {
    let long = arg.get_long().unwrap_or_default();
    if takes_value(arg) {
        values.iter().map(|value| format!("--{long}={value}")).collect()
    } else {
        values.iter().filter(|value| *value == "true").map(|_| format!("--{long}")).collect()
    }
}

fn split(arg: &Arg, values: &[String]) -> Vec<String> {
    match arg.get_value_delimiter() {
        Some(delimiter) => values.iter().flat_map(|value| value.split(delimiter)).map(str::to_owned).collect(),
        None => values.to_vec(),
    }
}

/// Whether a setting takes a value, asked of a command that has nothing else.
fn try_value(arg: &Arg, value: &str) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    if !takes_value(arg) {
        return match value {
            "true" | "false" | "1" | "0" => Ok(()),
            other => Err(format!("\"{other}\" is neither true nor false")),
        };
    }
    let alone = arg.clone().required(false).global(false).env(None::<&str>);
    let parsed =
        Command::new("setting").no_binary_name(true).arg(alone).try_get_matches_from([format!("--{long}={value}")]);
    parsed.map(drop).map_err(|error| {
        let said = error.to_string();
        let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
        first.rsplit_once(": ").map_or(first, |(_, why)| why).to_owned() + &format!(": \"{value}\"")
    })
}

fn suggestion<'a>(key: &str, mut settings: impl Iterator<Item = &'a Arg>) -> String {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let wanted = plain(key);
    let near = |long: &&str| {
        let long = plain(long);
        long == wanted || long.starts_with(&wanted) || wanted.starts_with(&long)
    };
    let found = settings.find_map(|arg| arg.get_long().filter(near));
    found.map_or_else(String::new, |long| format!("; is {long} meant?"))
}

/// `trireme config`
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print every setting of a command as a configuration file, with where each value comes from.
    Show {
        /// server, agent or front-door.
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(COMMANDS))]
        command: String,
        /// Flags as the command would get them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<OsString>,
    },
}

/// Runs the command.
pub fn run(args: ConfigArgs, root: Command) -> Result<()> {
    let ConfigCommand::Show { command, flags } = args.command;
    let mut line: Vec<OsString> = vec!["trireme".into(), command.clone().into()];
    line.extend(flags);
    say!("{}", show(root, line, &command)?);
    Ok(())
}

/// The settings in force, as YAML. What a person typed a secret into is not among them: keys lie in files.
fn show(root: Command, line: Vec<OsString>, name: &str) -> Result<String> {
    let merged = merge(&root, line.clone())?;
    let file = path_of(&line).map(|path| read(&path)).transpose()?.unwrap_or_default();
    let command = root.find_subcommand(name).context("no such command")?.clone();
    // What is required and missing is shown as such instead of ending the command.
    let relaxed = settings(&root, &command).cloned().map(|arg| arg.required(false).global(false));
    let relaxed = Command::new("settings").no_binary_name(true).args(relaxed).arg(Arg::new(FLAG).long(FLAG));
    let start = merged.iter().position(|word| word == name).map_or(0, |at| at + 1);
    let matches = relaxed.try_get_matches_from(&merged[start..])?;
    let mut lines = Vec::new();
    for arg in settings(&root, &command) {
        let (id, long) = (arg.get_id().as_str(), arg.get_long().unwrap_or_default());
        let values: Vec<String> = matches
            .get_raw(id)
            .map(|raw| raw.map(|value| value.to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        let from_file = given(long, takes_value(arg), &line).is_empty() && file.contains_key(long);
        let source = match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => "environment",
            Some(ValueSource::DefaultValue) => "default",
            Some(_) if from_file => "file",
            Some(_) => "flag",
            None if arg.is_required_set() => "missing, and required",
            None => "not set",
        };
        lines.push(entry(arg, long, &values, source));
    }
    Ok(lines.join("\n"))
}

fn entry(arg: &Arg, long: &str, values: &[String], source: &str) -> String {
    let many = matches!(arg.get_action(), ArgAction::Append);
    match values {
        [] => format!("# {long}:  # {source}"),
        [one] if !many => format!("{long}: {}  # {source}", quoted(one)),
        all => {
            let items: String = all.iter().map(|value| format!("\n  - {}", quoted(value))).collect();
            format!("{long}:  # {source}{items}")
        }
    }
}

fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !matches!(value, "true" | "false" | "null" | "yes" | "no")
        || matches!(value, "true" | "false");
    if plain { value.to_owned() } else { Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let server = Command::new("server")
            .arg(Arg::new("name").long("name").required(true))
            .arg(
                Arg::new("listen")
                    .long("listen")
                    .default_value("127.0.0.1:1")
                    .value_parser(clap::value_parser!(std::net::SocketAddr)),
            )
            .arg(Arg::new("member").long("member").action(ArgAction::Append).value_delimiter(';'))
            .arg(Arg::new("loud").long("loud").action(ArgAction::SetTrue))
            .arg(Arg::new("from-env").long("from-env").env("TRIREME_TEST_OF_CONFIG"))
            .arg(Arg::new(FLAG).long(FLAG));
        Command::new("trireme").subcommand(server).arg(Arg::new("log").long("log").global(true))
    }

    fn line(file: &Path, flags: &[&str]) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["trireme".into(), "server".into(), "--config".into(), file.into()];
        line.extend(flags.iter().map(OsString::from));
        line
    }

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = written("name: m1\nlisten: 0.0.0.0:5\nmember: [a, b]\nloud: true\nlog: debug\n");
        let check = |flags: &[&str], expected: &str| {
            let shown = show(root(), line(file.path(), flags), "server").unwrap();
            assert!(shown.contains(expected), "{flags:?}: {expected:?} is not in\n{shown}");
        };
        check(&[], "name: m1  # file");
        check(&[], "listen: \"0.0.0.0:5\"  # file");
        check(&[], "member:  # file\n  - a\n  - b");
        check(&[], "log: debug  # file");
        check(&["--name", "m2"], "name: m2  # flag");
        check(&["--listen=1.2.3.4:5"], "listen: \"1.2.3.4:5\"  # flag");
        check(&["--member=c"], "member:  # flag\n  - c");
        let empty = written("");
        let shown = show(root(), line(empty.path(), &[]), "server").unwrap();
        assert!(shown.contains("listen: \"127.0.0.1:1\"  # default"), "{shown}");
        assert!(shown.contains("# name:  # missing, and required"), "{shown}");
        assert!(shown.contains("# from-env:  # not set"), "{shown}");
    }

    #[test]
    fn what_was_merged_is_parsed_as_if_it_had_been_typed() {
        let file = written("name: m1\nmember: [a, b]\nloud: true\n");
        let merged = merge(&root(), line(file.path(), &["--member=c"])).unwrap();
        let matches = root().try_get_matches_from(merged).unwrap();
        let (_, server) = matches.subcommand().unwrap();
        assert_eq!(server.get_one::<String>("name").map(String::as_str), Some("m1"));
        assert_eq!(server.get_many::<String>("member").unwrap().collect::<Vec<_>>(), ["c"]);
        assert!(server.get_flag("loud"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let file = written("nme: m1\nlisten: nowhere\nloud: perhaps\napi_listen: x\n");
        let error = merge(&root(), line(file.path(), &[])).unwrap_err().to_string();
        for expected in
            ["nme: there is no such setting", "listen: ", "nowhere", "loud: \"perhaps\" is neither", "(file)"]
        {
            assert!(error.contains(expected), "{expected:?} is not in\n{error}");
        }
        let error = merge(&root(), line(file.path(), &["--listen=there"])).unwrap_err().to_string();
        assert!(error.contains("\"there\" (flag)"), "{error}");
    }

    #[test]
    fn only_the_command_itself_reads_a_file() {
        let check = |line: &str, expected: Option<usize>| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(command_of(&root(), &words).map(|(at, _)| at), expected, "{line}");
        };
        check("trireme server --name=a", Some(1));
        check("trireme --log debug server", Some(3));
        check("trireme --log=debug server", Some(2));
        check("trireme config show server", None);
        check("trireme", None);
    }

    #[test]
    fn a_file_that_is_no_mapping_is_refused() {
        for text in ["[a, b]", "name: {first: m}", "a: b: c"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().is_empty());
    }
}
